"""Start the local ECS API and control it.

Standard library only, Python 3.8 and up: it is used inside the environments of several Airflows. The server itself
needs aiohttp and botocore, so it runs on an interpreter of its own: ``LOCAL_ECS_PYTHON``, else the repository's.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Mapping, Sequence

from local.ecs.errors import EmulatorError, NoAnswerError, UnavailableError

_ROOT = Path(__file__).resolve().parents[2]
_PYTHON_VARIABLE = "LOCAL_ECS_PYTHON"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_ANSWER_SECONDS = 60.0


def _interpreter() -> str:
    """Return the Python to run the server with."""
    named = os.environ.get(_PYTHON_VARIABLE)
    if named:
        return named
    own = _ROOT / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


class EcsControl:
    """Controls a running ECS API."""

    url: str
    """Where it listens, such as ``http://127.0.0.1:PORT``."""

    def __init__(self, url: str) -> None:
        """Control the ECS API that listens at ``url``."""
        self.url = url

    def _command(self, name: str, **arguments: Any) -> Any:
        """Send one command and return its result. Raises EmulatorError when it is refused."""
        address = self.url.split("//", 1)[1]
        connection = http.client.HTTPConnection(address, timeout=_ANSWER_SECONDS)
        try:
            connection.request("POST", "/_control/" + name, json.dumps(arguments))
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswerError(f"The ECS API at {self.url} does not answer: {error}") from error
        finally:
            connection.close()
        if answer.status not in (200, 400):
            raise UnavailableError(f"The ECS API failed in the command {name}; its own output says why")
        document = json.loads(text)
        if answer.status == 400:
            raise EmulatorError(document["error"])
        return document["result"]

    def reset(self) -> None:
        """Reset everything to its state after the start.

        That is an ACTIVE cluster ``airflow`` and two task definitions for Fargate: ``worker`` (container ``airflow``)
        and ``worker-with-sidecar`` (containers ``sidecar`` and ``airflow``).
        """
        self._command("reset")

    def configure(self, **settings: Any) -> None:
        """Change settings; those that are not named stay.

        ``run_task_rate``, ``run_task_burst``: RunTask calls. ``launch_rate``, ``launch_burst``: launched tasks.
        ``quotas``: ``{"DescribeTasks": [rate, burst]}``, rate per second; None takes a quota away. ``seed``: of the
        faults' probabilities. Fields of the default behaviour: see ``behave``. The others: see
        ``local.ecs.quotas.Settings``.
        """
        self._command("configure", **settings)

    def behave(self, match: str | None = None, *, times: int | None = None, **behaviour: Any) -> None:
        """Set the behaviour of tasks whose overrides, as JSON, contain ``match``; other fields keep their default.

        The first rule that matches is taken, in the order they were given; with ``times`` it serves that many tasks.
        Without ``match`` and ``times`` the default itself changes. Fields: see ``local.ecs.behaviour.Behaviour``; and
        ``end``, one of ``local.ecs.ends.ENDS``.
        """
        self._command("behave", match=match, times=times, behaviour=behaviour)

    def fault(self, operation: str, kind: str, **details: Any) -> None:
        """Make calls of an operation fail (``*``: of all operations).

        ``kind`` is one of ``local.ecs.faults.KINDS``, which include the answers of AWS (``local.ecs.answers.ANSWERS``).
        Each kind takes ``times``, ``probability`` (0 to 1), ``after`` (the number of calls to skip first) and ``match``
        (a part of the request's JSON).
        """
        self._command("fault", operation=operation, kind=kind, details=details)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._command("clear_faults")

    def stop_tasks(
        self,
        arns: Sequence[str],
        end: str | None = None,
        *,
        stop_code: str | None = None,
        reason: str | None = None,
        exit_code: int | None = None,
    ) -> int:
        """Stop tasks as AWS itself does; return how many were not stopping already.

        ``end``: one of ``local.ecs.ends.ENDS``, such as ``spot_interruption``; else a stop code and a reason.
        ``exit_code``: of a simulated container.
        """
        count: int = self._command(
            "stop_tasks", arns=list(arns), end=end, stop_code=stop_code, reason=reason, exit_code=exit_code
        )
        return count

    def finish(self, arn: str, exit_code: int = 0) -> None:
        """End the container of a task that runs until it is stopped, as if its program had ended."""
        self._command("finish", arn=arn, exit_code=exit_code)

    def tasks(self, fields: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return all tasks since the start or ``reset`` in the order of launch, including forgotten ones.

        Times are epoch seconds, or None. ``fields`` picks some: with thousands of tasks the rest costs time.
        """
        found: list[dict[str, Any]] = self._command("tasks", fields=None if fields is None else list(fields))
        return found

    def running(self) -> int:
        """Return how many tasks have a container that runs now."""
        count: int = self._command("running")
        return count

    def calls(self, times: bool = False) -> dict[str, dict[str, Any]]:
        """Return statistics of the calls of each operation.

        They are ``count``, ``throttled``, ``errors`` (which include throttled calls and lost connections),
        ``max_in_flight``, and on request ``times`` (epoch seconds of each call).
        """
        found: dict[str, dict[str, Any]] = self._command("calls", times=times)
        return found


class EcsApi(EcsControl):
    """An ECS API in a process of its own, which ends with this process even if this process is killed."""

    def __init__(
        self,
        runner: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is started yet.

        ``runner``: ``module:factory``, a function without arguments that returns a ``local.ecs.runner.Runner``;
        default: the simulated one. ``environment``: added to this process's own, for the server and its runner.
        """
        self._python = _interpreter()
        self._runner = runner
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def __enter__(self) -> EcsApi:
        """Start the server."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    def start(self) -> EcsApi:
        """Start the server and wait until it listens. Raises UnavailableError when it does not come up."""
        if self._process is not None:
            return self
        command = [self._python, "-m", "local.ecs", "--with-parent"]
        if self._runner:
            command += ["--runner", self._runner]
        environment = {**os.environ, **self._environment}
        folders = [str(_ROOT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(folder for folder in folders if folder)
        try:
            process = subprocess.Popen(
                command, cwd=str(_ROOT), env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except OSError as error:
            raise UnavailableError(f"The ECS API cannot be started with {self._python}: {error.strerror}") from error
        self._process = process
        self._owner = os.getpid()
        try:
            self.url = self._first_line(process)
        except BaseException:
            self.stop()
            raise
        return self

    @staticmethod
    def _first_line(process: subprocess.Popen[bytes]) -> str:
        """Return the address that the server prints when it listens."""
        assert process.stdout is not None
        patience = threading.Timer(_START_SECONDS, process.kill)
        patience.start()
        line = process.stdout.readline()
        patience.cancel()
        if not line:
            code = process.wait(timeout=_STOP_SECONDS)
            if code == -signal.SIGKILL:
                raise UnavailableError(f"The ECS API did not start within {_START_SECONDS:.0f} s")
            raise UnavailableError(f"The ECS API ended with exit code {code} during startup; its message is above")
        return line.decode().strip()

    def stop(self) -> None:
        """Stop the server. Does nothing if it does not run, or in a fork of the process that started it."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        if self._owner == os.getpid():
            process.terminate()
            try:
                process.wait(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdin.close()
        process.stdout.close()

    def _command(self, name: str, **arguments: Any) -> Any:
        if self._process is None:
            raise EmulatorError("The ECS API is not started")
        return super()._command(name, **arguments)
