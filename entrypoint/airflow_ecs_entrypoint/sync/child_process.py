"""A forked process that runs one function and answers with JSON. Errors of the entrypoint keep their type."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from typing import Any, Callable, NoReturn

from airflow_ecs_entrypoint import errors
from airflow_ecs_entrypoint.errors import DagsError, EntrypointError
from airflow_ecs_entrypoint.signals import ENDING

# The time in which a process has to clean up when it is asked to end, in seconds.
_CLEANUP_TIMEOUT = 5.0

_inherited: list[int] = []
"""The pipe on which this process itself answers, if it was forked by this module."""

Answer = Callable[[Any], NoReturn]
"""Ends the process with a result or an `EntrypointError`."""


class Child:
    """A process that runs ``work``, which gets a function and has to call it at the end."""

    def __init__(self, work: Callable[[Answer], NoReturn]) -> None:
        self._work = work
        self.pid = 0
        """The process ID; 0 before the start and after the end."""
        self._pipe = -1

    def start(self) -> None:
        """Start the process. No other thread may be running in this process.

        The new process does not receive signals that ask it to end before it calls `unblock_signals`.
        """
        self._pipe, writing = os.pipe()
        # No signal may be received between the fork and the setup of both processes.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._pipe)
            # The parent's own pipe must be closed when the parent ends, even if this process is still running.
            if _inherited:
                os.close(_inherited.pop())
            _inherited.append(writing)
            _run(self._work, writing)
        os.close(writing)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def answer(self, latest: float | None = None) -> Any:
        """Wait for the result. Raises the EntrypointError of the process, or DagsError if it ended without an answer.

        ``latest`` is the time, as of `time.monotonic`, by which the process must begin to answer. If it does not, it is
        ended, and TimeoutError is raised.
        """
        text = b""
        while True:
            remaining = None if latest is None or text else max(0.0, latest - time.monotonic())
            if not select.select([self._pipe], [], [], remaining)[0]:
                self.stop()
                raise TimeoutError
            chunk = os.read(self._pipe, 65536)
            if not chunk:
                break
            text += chunk
        pid, self.pid = self.pid, 0
        _, status = os.waitpid(pid, 0)
        self._close()
        try:
            content = json.loads(text)
        except ValueError:
            raise DagsError(_ended_without_answer(status)) from None
        if "error" in content:
            raise getattr(errors, content["kind"])(content["error"])
        return content["result"]

    def stop(self) -> None:
        """Ask the process to end if it is still running, and wait for its cleanup."""
        if not self.pid:
            return
        os.kill(self.pid, signal.SIGTERM)
        until = time.monotonic() + _CLEANUP_TIMEOUT
        while not os.waitpid(self.pid, os.WNOHANG)[0]:
            if time.monotonic() > until:
                self.kill()
                return
            time.sleep(0.01)
        self.pid = 0
        self._close()

    def kill(self) -> None:
        """Kill the process if it is still running."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
            self._close()

    def _close(self) -> None:
        os.close(self._pipe)
        self._pipe = -1


def _run(work: Callable[[Answer], NoReturn], pipe: int) -> NoReturn:
    def answer(result: Any) -> NoReturn:
        failed = isinstance(result, EntrypointError)
        content = {"kind": type(result).__name__, "error": str(result)} if failed else {"result": result}
        view = memoryview(json.dumps(content).encode())
        try:
            while view:
                view = view[os.write(pipe, view) :]
        except OSError:
            pass  # the parent process has ended
        os._exit(0)

    try:
        work(answer)
    except EntrypointError as error:
        answer(error)
    except BaseException as error:  # noqa: BLE001 - the process must answer in any case
        # The message and the traceback might contain secrets.
        answer(DagsError(f"unexpected {type(error).__name__} during the sync: please report it"))


def unblock_signals() -> None:
    """Receive signals from now on. The process calls this after it has installed its handlers."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def _ended_without_answer(status: int) -> str:
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return f"the sync was ended by {name}: give the task more memory if it ran out of memory"
    return "the sync ended without a result: please report it"
