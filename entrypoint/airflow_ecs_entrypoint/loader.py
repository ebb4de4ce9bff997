"""The loading process: DAGs come down in it while this process imports Airflow.

A process rather than threads: the two compete for no interpreter lock, and what the load imports is never seen by
the task.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import time
from dataclasses import asdict
from typing import Any, Iterable, Mapping, NoReturn

from .errors import DagsError, EntrypointError, UnavailableError, of_exit_code
from .progress import Progress
from .settings import TIMEOUT, Settings, contains
from .signals import ENDING, GRACE, Interruption

# The loader ends itself when its time is up; one that does not even do that is killed so much later, in seconds.
_PATIENCE = 10.0
# How long a loader may take to tidy up when it is asked to end, in seconds.
_TIDY = 5.0


class Loader:
    """A load that goes on beside this process.

    Once `wait` has returned, ``seconds`` is how long the load took, and ``waited`` how much of that was waited for.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.seconds = self.waited = 0.0
        self.folders = [source.folder for source in settings.sources]
        self._settings = settings
        self._environ = environ
        self._began = 0.0
        self._pid = 0
        self._pipe = -1
        self._loaded: list[dict[str, Any]] | None = None

    def start(self) -> None:
        """Start it. No other thread may run in this process yet."""
        self._began = time.monotonic()
        self._pipe, writing = os.pipe()
        # No signal between the fork and the moment when both sides know what to do with one.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._pipe)
            _work(self._settings, self._environ, writing, mask)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(writing)

    def wait(self) -> list[dict[str, Any]]:
        """The fields of `load.Loaded` for each source, once everything is in place.

        Raises `EntrypointError` if it is not; the folders are then as they were before.
        """
        if self._loaded is None:
            began = time.monotonic()
            answer = self._answer()
            self.waited = time.monotonic() - began
            self.seconds = answer.get("seconds", time.monotonic() - self._began)
            if "fault" in answer:
                raise of_exit_code(answer["exit_code"])(answer["fault"])
            self._loaded = answer["loaded"]
        return self._loaded

    def stop(self) -> None:
        """End the load, if it still runs, and wait until it has tidied up."""
        if not self._pid:
            return
        os.kill(self._pid, signal.SIGTERM)
        until = time.monotonic() + _TIDY
        while not os.waitpid(self._pid, os.WNOHANG)[0]:
            if time.monotonic() > until:
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                break
            time.sleep(0.01)
        self._pid = 0

    def _answer(self) -> dict[str, Any]:
        text = b""
        latest = self._began + self._settings.timeout + _PATIENCE
        while True:
            ready, _, _ = select.select([self._pipe], [], [], max(0.0, latest - time.monotonic()))
            if not ready:
                self.stop()
                return _fault(_too_late(self._settings, "and loading did not answer"))
            chunk = os.read(self._pipe, 65536)
            if not chunk:
                break
            text += chunk
        os.close(self._pipe)
        pid, self._pid = self._pid, 0
        _, status = os.waitpid(pid, 0)
        try:
            return dict(json.loads(text))
        except ValueError:
            return _fault(DagsError(_ended_without_a_word(status)))


def _too_late(settings: Settings, progress: object) -> UnavailableError:
    return UnavailableError(
        f"DAGs were not loaded within {settings.timeout} s, {progress}: look at the route to S3, raise {TIMEOUT.name}, "
        "or load less"
    )


def _ended_without_a_word(status: int) -> str:
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return f"loading was ended by {name}: give the task more memory, if it ran out of that"
    return "loading ended without a result: please report it"


def _work(settings: Settings, environ: Mapping[str, str], pipe: int, mask: Iterable[int]) -> NoReturn:
    """The loading process, from its first instruction to its last."""

    def answer(content: dict[str, Any]) -> NoReturn:
        view = memoryview(json.dumps(content).encode())
        try:
            while view:
                view = view[os.write(pipe, view) :]
        except OSError:
            pass  # nobody listens any more
        os._exit(0)

    def end(number: int) -> None:
        interruption.cancelled = True
        if interruption.staging:
            time.sleep(GRACE)
        for folder in interruption.staging:
            shutil.rmtree(folder, ignore_errors=True)
        if number == signal.SIGALRM:
            answer(_fault(_too_late(settings, progress)))
        os._exit(1)

    began = time.monotonic()
    progress = Progress()
    interruption = Interruption(end)
    try:
        interruption.install((*ENDING, signal.SIGALRM))
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.setitimer(signal.ITIMER_REAL, settings.timeout)
        # What lies in a DAG folder is never a module of ours, whatever PYTHONPATH says.
        sys.path[:] = [path for path in sys.path if not _loaded_into(path, settings)]
        from .load import Load  # the process that runs the command needs none of it

        loaded = Load(settings, environ, interruption, progress).run()
        answer({"loaded": [asdict(one) for one in loaded], "seconds": time.monotonic() - began})
    except EntrypointError as error:
        answer(_fault(error))
    except BaseException as error:
        # Its text and traceback might show what must not be logged.
        answer(_fault(DagsError(f"unexpected {type(error).__name__} while loading: please report it")))


def _loaded_into(path: str, settings: Settings) -> bool:
    return any(contains(source.folder, os.path.abspath(path)) for source in settings.sources)


def _fault(error: EntrypointError) -> dict[str, Any]:
    return {"fault": str(error), "exit_code": error.exit_code}
