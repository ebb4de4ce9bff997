"""A forked process that does one piece of work and answers with JSON. Faults of the entrypoint cross as they are."""

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

# How long a process may take to tidy up when it is asked to end, in seconds.
_TIDY = 5.0

_inherited: list[int] = []
"""The pipe on which this process itself answers."""

Answer = Callable[[Any], NoReturn]
"""Ends the process with its result, or with the fault that it met."""


class Child:
    """A process of its own for ``work``, which gets a function that it has to end with."""

    def __init__(self, work: Callable[[Answer], NoReturn]) -> None:
        self._work = work
        self.pid = 0
        """0 before it was started, and when it has ended."""
        self._pipe = -1

    def start(self) -> None:
        """Start it. No other thread may run in this process yet.

        Signals that ask to end are held back in it until `with_signals` is called there.
        """
        self._pipe, writing = os.pipe()
        # None between the fork and the moment when both sides know what to do with one.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._pipe)
            # The pipe of the process that forked this one ends with that process, not with its last child.
            if _inherited:
                os.close(_inherited.pop())
            _inherited.append(writing)
            _run(self._work, writing)
        os.close(writing)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def answer(self, latest: float | None = None) -> Any:
        """The result. ``latest`` is a moment of `time.monotonic`, until which it must have begun to come; without it,
        this waits for as long as it takes.

        Raises the `EntrypointError` that the process met, `DagsError` if it ended without an answer, and
        `TimeoutError` if it did not end in time; it is killed then.
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
            raise DagsError(_ended_without_a_word(status)) from None
        if "fault" in content:
            raise getattr(errors, content["kind"])(content["fault"])
        return content["result"]

    def stop(self) -> None:
        """End it, if it still runs, and wait until it has tidied up."""
        if not self.pid:
            return None
        os.kill(self.pid, signal.SIGTERM)
        until = time.monotonic() + _TIDY
        while not os.waitpid(self.pid, os.WNOHANG)[0]:
            if time.monotonic() > until:
                return self.kill()
            time.sleep(0.01)
        self.pid = 0
        self._close()

    def kill(self) -> None:
        """End it at once, if it still runs."""
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
        content = _fault(result) if isinstance(result, EntrypointError) else {"result": result}
        view = memoryview(json.dumps(content).encode())
        try:
            while view:
                view = view[os.write(pipe, view) :]
        except OSError:
            pass  # nobody listens any more
        os._exit(0)

    try:
        work(answer)
    except EntrypointError as error:
        answer(error)
    except BaseException as error:
        # Its text and traceback might show what must not be logged.
        answer(DagsError(f"unexpected {type(error).__name__} while loading: please report it"))


def with_signals() -> None:
    """In the process, once its handlers are in place: take signals from now on."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def _fault(error: EntrypointError) -> dict[str, str]:
    return {"kind": type(error).__name__, "fault": str(error)}


def _ended_without_a_word(status: int) -> str:
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return f"loading was ended by {name}: give the task more memory, if it ran out of that"
    return "loading ended without a result: please report it"
