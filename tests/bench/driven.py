"""The driver in another environment's process, as seen from here."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from local.errors import LocalError
from tests.aws_environment import AWS_ENVIRONMENT

_DRIVER = Path(__file__).with_name("drive.py")
_SILENCE = 900.0
"""Seconds after which a driver that has not answered is ended."""
_TAIL = 4000

# The same for every executor: its endpoint and its options.
_OPTIONS = {
    "CLUSTER": "airflow",
    "CONTAINER_NAME": "airflow",
    "REGION_NAME": "us-east-1",
    "TASK_DEFINITION": "worker",
    "SUBNETS": "subnet-1",
    "SECURITY_GROUPS": "sg-1",
    "LAUNCH_TYPE": "FARGATE",
    "CONN_ID": "",  # boto3's own credential chain
    "CHECK_HEALTH_ON_STARTUP": "True",
}


@dataclass(frozen=True)
class Contender:
    """An executor to measure: the Python of its environment, and its class."""

    name: str
    python: Path
    executor: str
    own_options: bool = False
    """Whether it knows the options of the section airflow_ecs_executor."""


@dataclass(frozen=True)
class Drive:
    """What came of one drive."""

    started: float
    seconds: float
    cpu: float
    beats: list[float]
    heard: list[tuple[int, str, str, float]]

    def launches(self) -> dict[int, tuple[str, float]]:
        """The ARN of each task, and when the scheduler knew that it was launched."""
        return {number: (info, at) for number, state, info, at in reversed(self.heard) if state == "running"}

    def ends(self, state: str) -> dict[int, float]:
        """When the scheduler knew that tasks ended in a state."""
        return {number: at for number, heard, _, at in self.heard if heard == state}

    @property
    def launched_within(self) -> float:
        """Seconds until the last launch was known."""
        return max((at for _, at in self.launches().values()), default=self.started) - self.started


class Driven:
    """A process with one executor."""

    def __init__(self, contender: Contender, url: str, parallelism: int, **options: str) -> None:
        """Nothing is started yet. ``options``: of the section airflow_ecs_executor, left out where it is not known."""
        self._contender = contender
        self._url = url
        self._parallelism = parallelism
        # The name of the deployment comes from the database's address by default, and each process here has its own.
        self._options = (
            {"deployment": "benchmark", "image_version_check": "off", **options} if contender.own_options else {}
        )
        self._home = Path(tempfile.mkdtemp(prefix="airflow-ecs-bench-"))
        self._process: subprocess.Popen[str] | None = None
        self.versions: dict[str, str] = {}

    def __enter__(self) -> Driven:
        """Start the process and the executor in it."""
        try:
            with (self._home / "log").open("w") as log:
                self._process = subprocess.Popen(
                    [str(self._contender.python), str(_DRIVER)],
                    env=self._environment(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                )
            self.versions = self.call(
                "start", executor=self._contender.executor, environment={}, parallelism=self._parallelism
            )
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process, as a killed scheduler ends."""
        self.kill()

    def _environment(self) -> dict[str, str]:
        """This machine's settings of Airflow and AWS taken away, and those of the benchmarks."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_", "PYTHON"))
        }
        environment = {
            **inherited,
            **AWS_ENVIRONMENT,
            "AIRFLOW_HOME": str(self._home),
            "AIRFLOW__API_AUTH__JWT_SECRET": "0123456789abcdef" * 4,
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._home / "dags"),
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self._home}/airflow.db",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AWS_ENDPOINT_URL_ECS": self._url,
        }
        for name, value in _OPTIONS.items():
            environment[f"AIRFLOW__AWS_ECS_EXECUTOR__{name}"] = value
        for name, value in self._options.items():
            environment[f"AIRFLOW__AIRFLOW_ECS_EXECUTOR__{name.upper()}"] = value
        return environment

    # Commands

    def send(self, command: str, **arguments: Any) -> None:
        """Give a command; ``answer`` waits for what came of it."""
        process = self._process
        assert process is not None and process.stdin is not None
        process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
        process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the answer. Raises LocalError, with the end of the process's log, when there is none."""
        process = self._process
        assert process is not None and process.stdout is not None
        watchdog = threading.Timer(_SILENCE, process.kill)
        watchdog.start()
        try:
            line = process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            log = (self._home / "log").read_text(encoding="utf-8", errors="replace")
            raise LocalError(f"The driver of {self._contender.name} ended without an answer:\n{log[-_TAIL:]}")
        return json.loads(line)

    def call(self, command: str, **arguments: Any) -> Any:
        """Give a command and wait for its answer."""
        self.send(command, **arguments)
        return self.answer()

    def drive(self, **arguments: Any) -> Drive:
        """Queue tasks and beat; see the driver."""
        self.send("drive", **arguments)
        return self.driven()

    def driven(self) -> Drive:
        """The answer to a drive that was sent."""
        answer = self.answer()
        answer["heard"] = [tuple(item) for item in answer["heard"]]
        return Drive(**answer)

    def kill(self) -> None:
        """End the process at once: no word to ECS."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        shutil.rmtree(self._home, ignore_errors=True)
