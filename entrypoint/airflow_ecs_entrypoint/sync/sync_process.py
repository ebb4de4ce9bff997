"""The loading process: DAGs, and a task's arguments, come down in it while this process imports Airflow.

A process rather than threads: the two compete for no interpreter lock, and what the load alone imports is never
seen by the task.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Callable, Mapping, NoReturn, Sequence

from airflow_ecs_entrypoint import messages
from airflow_ecs_entrypoint.errors import EntrypointError, UnavailableError
from airflow_ecs_entrypoint.garbage_collection import nothing_collected
from airflow_ecs_entrypoint.s3_uri import S3Location
from airflow_ecs_entrypoint.settings import TIMEOUT, Settings, leads_into, with_real_paths
from airflow_ecs_entrypoint.signals import ENDING, GRACE, Interruption
from airflow_ecs_entrypoint.sync.child_process import Answer, Child, with_signals
from airflow_ecs_entrypoint.sync.progress import Progress

COMMON_MODULES = (
    "configparser", "email.parser", "getpass", "gzip", "html", "http.client", "logging", "platform",
    "shlex", "ssl", "subprocess", "tempfile", "urllib.request", "uuid", "zipfile",
)  # fmt: skip
"""What both loading and every Airflow import."""
# The loader ends itself when its time is up; one that does not even do that is killed so much later, in seconds.
_PATIENCE = 10.0
# A task waits no longer for the deletion of its arguments, in seconds; less than the patience.
_DELETION = 5.0


class Loader:
    """A load that goes on beside this process.

    Once `wait` has returned, ``seconds`` is how long the load took, and ``waited`` how much of that was waited for;
    ``arguments`` are those of the task, if they were to be read from ``location``.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], location: S3Location | None = None) -> None:
        self.seconds = self.waited = 0.0
        self.arguments: list[str] = []
        self.folders = [source.folder for source in settings.sources]
        self._settings = settings
        self._latest = 0.0
        self._child = Child(lambda answer: _load(settings, environ, location, answer))
        self._loaded: list[dict[str, Any]] | None = None

    def start(self, common: Sequence[str] = ()) -> None:
        """Start it. No other thread may run in this process yet.

        ``common`` are libraries that this process is going to import in any case, and loading, too: they are imported
        now, once for both.
        """
        # What lies in a folder that is loaded must not be looked at before.
        folders = with_real_paths(self.folders)
        if not any(leads_into(path, folders) for path in sys.path):
            with nothing_collected():
                for name in (*COMMON_MODULES, *common):
                    with suppress(ImportError):
                        importlib.import_module(name)
        self._latest = time.monotonic() + self._settings.timeout + _PATIENCE
        self._child.start()

    def wait(self) -> list[dict[str, Any]]:
        """The fields of `load.Loaded` for each source, once everything is in place.

        Raises `EntrypointError` if it is not; the folders are then as they were before.
        """
        if self._loaded is None:
            began = time.monotonic()
            try:
                self._loaded, self.arguments, self.seconds = self._child.answer(self._latest)
            except TimeoutError:
                raise _too_late(self._settings, "and loading did not answer") from None
            self.waited = time.monotonic() - began
        return self._loaded

    def stop(self) -> None:
        """End the load, if it still runs, and wait until it has tidied up."""
        self._child.stop()


def _load(settings: Settings, environ: Mapping[str, str], location: S3Location | None, answer: Answer) -> NoReturn:
    """The loading process, from its first instruction to its last."""
    began = time.monotonic()
    progress = Progress()

    def end(number: int) -> None:
        interruption.cancelled = True
        for helper in interruption.helpers:
            helper.kill()
        if interruption.staging:
            time.sleep(GRACE)
        for folder in interruption.staging:
            shutil.rmtree(folder, ignore_errors=True)
        if number == signal.SIGALRM:
            answer(_too_late(settings, progress))
        os._exit(1)

    interruption = Interruption(end)
    interruption.install((*ENDING, signal.SIGALRM))
    with_signals()
    signal.setitimer(signal.ITIMER_REAL, settings.timeout)
    # What lies in a DAG folder is never a module of ours, whatever PYTHONPATH says.
    folders = with_real_paths(source.folder for source in settings.sources)
    sys.path[:] = [path for path in sys.path if not leads_into(path, folders)]
    with nothing_collected():
        from airflow_ecs_entrypoint.sync.sync import Load  # the process that runs the command needs none of it

        load = Load(settings, environ, interruption, progress)
    arguments = load.arguments(location) if location else []
    loaded = load.run()

    def succeed() -> NoReturn:
        # The answer may have to wait for somebody who reads it; nothing else may be written into it.
        signal.setitimer(signal.ITIMER_REAL, 0)
        answer(([asdict(one) for one in loaded], arguments, time.monotonic() - began))

    if location:
        # Only now: after whatever has failed before, the container can be started again.
        _delete_arguments(load, location, succeed)
    succeed()


def _delete_arguments(load: Any, location: S3Location, give_up: Callable[[], NoReturn]) -> None:
    """Try to delete the arguments; a failure is a warning. ``give_up`` is called when that takes too long."""

    def warn(reason: object) -> None:
        messages.warning(f"{reason}; the task starts all the same")

    def too_slow(*_: object) -> NoReturn:
        warn(f"cannot delete the task's arguments at {location}: no answer within {_DELETION:.0f} s")
        give_up()

    signal.signal(signal.SIGALRM, too_slow)
    signal.setitimer(signal.ITIMER_REAL, _DELETION)
    try:
        load.delete_arguments(location)
    except EntrypointError as error:
        warn(error)


def _too_late(settings: Settings, progress: object) -> UnavailableError:
    return UnavailableError(
        f"DAGs were not loaded within {settings.timeout} s, {progress}: look at the route to S3, raise {TIMEOUT.name}, "
        "or load less"
    )
