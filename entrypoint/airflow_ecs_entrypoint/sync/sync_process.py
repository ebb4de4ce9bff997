"""The sync process, which syncs DAGs and reads a task's arguments while this process imports Airflow.

It is a process, not a thread, so that both do not compete for the interpreter lock, and the task does not see the
modules that only the sync imports.
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
from airflow_ecs_entrypoint.garbage_collection import gc_paused
from airflow_ecs_entrypoint.s3_uri import S3Location
from airflow_ecs_entrypoint.settings import TIMEOUT, Settings, leads_into, with_real_paths
from airflow_ecs_entrypoint.signals import ENDING, GRACE, ShutdownHandler
from airflow_ecs_entrypoint.sync.child_process import Answer, Child, unblock_signals
from airflow_ecs_entrypoint.sync.progress import Progress

COMMON_MODULES = (
    "configparser", "email.parser", "getpass", "gzip", "html", "http.client", "logging", "platform",
    "shlex", "ssl", "subprocess", "tempfile", "urllib.request", "uuid", "zipfile",
)  # fmt: skip
"""Modules that both the sync and every Airflow import."""
# The sync process ends itself when DAGS_TIMEOUT is over. If it does not, it is killed this much later, in seconds.
_GRACE_PERIOD = 10.0
# The time that a task waits for the deletion of its arguments, in seconds. Must be less than the grace period.
_DELETION_TIMEOUT = 5.0


class SyncProcess:
    """A sync in a process of its own.

    After `wait` has returned, ``seconds`` is the duration of the sync, ``waited`` the time for which this process
    waited, and ``arguments`` are those of the task, if a ``location`` was given.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], location: S3Location | None = None) -> None:
        self.seconds = self.waited = 0.0
        self.arguments: list[str] = []
        self.folders = [source.folder for source in settings.sources]
        self._settings = settings
        self._latest = 0.0
        self._child = Child(lambda answer: _run(settings, environ, location, answer))
        self._synced: list[dict[str, Any]] | None = None

    def start(self, common: Sequence[str] = ()) -> None:
        """Start the process. No other thread may be running in this process.

        ``common`` are libraries that both this process and the sync import. They are imported now, once for both.
        """
        # The folders must not be accessed before they are synced.
        folders = with_real_paths(self.folders)
        if not any(leads_into(path, folders) for path in sys.path):
            with gc_paused():
                for name in (*COMMON_MODULES, *common):
                    with suppress(ImportError):
                        importlib.import_module(name)
        self._latest = time.monotonic() + self._settings.timeout + _GRACE_PERIOD
        self._child.start()

    def wait(self) -> list[dict[str, Any]]:
        """Wait until all files are in place, and return the fields of `sync.SyncedSource` for each source.

        Raises EntrypointError. The folders are unchanged then.
        """
        if self._synced is None:
            began = time.monotonic()
            try:
                self._synced, self.arguments, self.seconds = self._child.answer(self._latest)
            except TimeoutError:
                raise _too_late(self._settings, "and the sync process did not respond") from None
            self.waited = time.monotonic() - began
        return self._synced

    def stop(self) -> None:
        """Stop the sync if it is still running, and wait for its cleanup."""
        self._child.stop()


def _run(settings: Settings, environ: Mapping[str, str], location: S3Location | None, answer: Answer) -> NoReturn:
    """Run the sync in its process."""
    began = time.monotonic()
    progress = Progress()

    def end(number: int) -> None:
        shutdown.cancelled = True
        for helper in shutdown.helpers:
            helper.kill()
        if shutdown.staging:
            time.sleep(GRACE)
        for folder in shutdown.staging:
            shutil.rmtree(folder, ignore_errors=True)
        if number == signal.SIGALRM:
            answer(_too_late(settings, progress))
        os._exit(1)

    shutdown = ShutdownHandler(end)
    shutdown.install((*ENDING, signal.SIGALRM))
    unblock_signals()
    signal.setitimer(signal.ITIMER_REAL, settings.timeout)
    # No module of the sync is imported from a DAG folder, whatever PYTHONPATH contains.
    folders = with_real_paths(source.folder for source in settings.sources)
    sys.path[:] = [path for path in sys.path if not leads_into(path, folders)]
    with gc_paused():
        from airflow_ecs_entrypoint.sync.sync import Sync  # the process that runs the command does not need it

        sync = Sync(settings, environ, shutdown, progress)
    arguments = sync.arguments(location) if location else []
    synced = sync.run()

    def succeed() -> NoReturn:
        # The parent process may read the answer later. A timeout must not write another answer meanwhile.
        signal.setitimer(signal.ITIMER_REAL, 0)
        answer(([asdict(one) for one in synced], arguments, time.monotonic() - began))

    if location:
        # Deleted last: after an error, the container can be started again.
        _delete_arguments(sync, location, succeed)
    succeed()


def _delete_arguments(sync: Any, location: S3Location, give_up: Callable[[], NoReturn]) -> None:
    """Delete the arguments. An error is only a warning. ``give_up`` is called if the deletion takes too long."""

    def warn(reason: object) -> None:
        messages.warning(f"{reason}; the task starts anyway")

    def too_slow(*_: object) -> NoReturn:
        warn(f"cannot delete the task's arguments at {location}: no response within {_DELETION_TIMEOUT:.0f} s")
        give_up()

    signal.signal(signal.SIGALRM, too_slow)
    signal.setitimer(signal.ITIMER_REAL, _DELETION_TIMEOUT)
    try:
        sync.delete_arguments(location)
    except EntrypointError as error:
        warn(error)


def _too_late(settings: Settings, progress: object) -> UnavailableError:
    return UnavailableError(
        f"DAGs were not synced within {settings.timeout} s, {progress}: check the route to S3, raise {TIMEOUT.name}, "
        "or sync fewer files"
    )
