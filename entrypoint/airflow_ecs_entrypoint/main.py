"""The sequence of a start: read the settings, sync DAGs, run the command."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from typing import Any, ContextManager, NoReturn, Sequence

from airflow_ecs_entrypoint import messages, signals
from airflow_ecs_entrypoint.errors import (
    DagsError,
    EntrypointError,
    NotExecutableError,
    NotFoundError,
    SettingsError,
    StoppedError,
)
from airflow_ecs_entrypoint.garbage_collection import gc_paused
from airflow_ecs_entrypoint.report import StartUp
from airflow_ecs_entrypoint.settings import Settings, read
from airflow_ecs_entrypoint.starting.command import (
    FIRST_RUN_VARIABLES,
    TASKS_RUN,
    WORKLOAD,
    Command,
    SyncPolicy,
    check_version,
    hand_over,
    parse,
)
from airflow_ecs_entrypoint.starting.environment import (
    current_user,
    empty_aws_variables,
    for_command,
    load_library,
    register,
    replace_environment,
    user_home,
)
from airflow_ecs_entrypoint.starting.program import (
    Program,
    give_arguments,
    program_for,
    run,
    show_command_line,
    take_place,
)

OFFICIAL_ENTRYPOINT = "/entrypoint"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the container's ``arguments`` (default: those of this process), or return the exit code of an error.

    Without an error, the command replaces this process or ends it, with the command's own exceptions.
    """
    start = _Start()
    start.shutdown.install()
    # Files that tasks write to shared volumes stay writable for other users of group 0.
    os.umask(0o002)
    try:
        program = start.prepare(tuple(sys.argv[1:] if arguments is None else arguments))
    except EntrypointError as error:
        messages.error(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the container must end with a known exit code
        # The message and the traceback might contain secrets.
        messages.error(f"unexpected {type(error).__name__} in the entrypoint: please report it")
        return DagsError.exit_code
    return run(program)


class _Start:
    """The start of one command."""

    def __init__(self) -> None:
        self.shutdown = signals.ShutdownHandler(self._end)
        self._report = StartUp()
        self._sync: Any = None

    def prepare(self, arguments: tuple[str, ...]) -> Program:
        """Do everything that precedes the command, and return the program to be run in this process.

        Any other command replaces this process. Raises EntrypointError.
        """
        for name in empty_aws_variables(os.environ):
            del os.environ[name]
        command = parse(arguments)
        check_version(command, os.environ.get("AIRFLOW_VERSION", ""))
        user = current_user()
        if not user.known:
            os.environ["HOME"] = user_home(os.environ)  # before the sync, which looks for ~/.aws
        settings = self._read_settings(command)
        register(user, os.environ)
        environment = for_command(os.environ, settings, user)
        if command.task and settings is not None and settings.start == "fast":
            program = program_for(command.argv, environment.get("PATH"))
            if program is not None and self._warm_up(command, program, environment):
                self._finish(command)
                if command.has_pointer:
                    give_arguments(program, self._sync.arguments)
                self._hand_over_signals(command)
                if command.kind == TASKS_RUN:
                    show_command_line(program)
                return program
        whole = self._finish(command)
        signals.restore_defaults()
        first_run = any(os.environ.get(name) for name in FIRST_RUN_VARIABLES)
        if hand_over(command, first_run) and os.access(OFFICIAL_ENTRYPOINT, os.X_OK):
            _become((OFFICIAL_ENTRYPOINT, *arguments), environment)
        argv = whole.argv
        if command.has_pointer:
            from airflow_ecs_entrypoint.starting.arguments import without_secret

            argv = without_secret(whole)
        return _become(argv, environment)

    def _read_settings(self, command: Command) -> Settings | None:
        """Read the settings and start the sync. Return None if the command can do without valid settings."""
        settings = None
        try:
            settings = read(os.environ, kept=(user_home(os.environ),), python=sys.prefix)
            if command.sync is not SyncPolicy.NEVER:
                self._start_sync(command, settings)
        except EntrypointError as error:
            _without_dags(command, error)
        self._report.phase("settings")
        return settings

    def _start_sync(self, command: Command, settings: Settings) -> None:
        if settings.lacks_dags:
            text = "S3_URI is not set, but AIRFLOW_ECS_DAGS is s3: set S3_URI to s3://bucket/prefix"
            if command.task:
                raise SettingsError(text)
            messages.warning(text)
        location = None
        if command.has_pointer:
            from airflow_ecs_entrypoint.starting.arguments import location_of

            location = location_of(command)
        if settings.sources or location:
            # Imported here, because a container without a sync does not need it.
            from airflow_ecs_entrypoint.starting.airflow_start import TASKS_RUN_COMMON
            from airflow_ecs_entrypoint.sync.sync_process import SyncProcess

            self._sync = SyncProcess(settings, os.environ, location)
            self._sync.start(TASKS_RUN_COMMON if command.kind == TASKS_RUN else ())

    def _finish(self, command: Command) -> Command:
        """Wait for the sync and write the report. Return the command with all its arguments."""
        synced: list[dict[str, Any]] = []
        whole = command
        if self._sync is not None:
            try:
                synced = self._sync.wait()
                if command.has_pointer:
                    from airflow_ecs_entrypoint.starting.arguments import complete

                    whole = complete(command, self._sync.arguments)
                    check_version(whole, os.environ.get("AIRFLOW_VERSION", ""))
            except EntrypointError as error:
                _without_dags(command, error)
        if synced or command.task:
            sync, wait = (self._sync.seconds, self._sync.waited) if self._sync else (0.0, 0.0)
            arguments = "s3" if command.has_pointer else "command"
            messages.plain(self._report.line(command.kind, arguments, os.environ, synced, sync, wait))
        return whole

    def _warm_up(self, command: Command, program: Program, environment: dict[str, str]) -> bool:
        """Import the modules of the task's command during the sync. Return False if that failed."""
        from airflow_ecs_entrypoint.starting.airflow_start import import_early

        preload = environment.get("LD_PRELOAD", "")
        if preload != os.environ.get("LD_PRELOAD", ""):
            load_library(preload)
        replace_environment(environment)
        take_place(program)
        with gc_paused(), self._gate(command) as gate:
            # The gate holds back imports, but not the configuration file, which Airflow reads before.
            config = os.path.abspath(environment.get("AIRFLOW_CONFIG") or "/")
            if gate is not None and gate.guards(config):
                gate.open()
            imported = import_early(command.kind == WORKLOAD)
        self._report.phase("import")
        return imported

    def _hand_over_signals(self, command: Command) -> None:
        """Leave all signals to the program that is going to run in this process."""
        self.shutdown.uninstall()
        if command.kind == WORKLOAD:
            from airflow_ecs_entrypoint.starting.airflow_start import TaskSignals

            TaskSignals().install()

    def _gate(self, command: Command) -> ContextManager[Any]:
        """Return a context that holds back imports from a folder that is still being synced."""
        from airflow_ecs_entrypoint.starting.gate import Gate

        sync = self._sync

        def wait() -> None:
            try:
                sync.wait()
            except EntrypointError as error:
                # An exception might be suppressed or replaced by the import that is in progress.
                messages.error(_not_started(command, error))
                os._exit(error.exit_code)

        return Gate(sync.folders, wait) if sync else nullcontext()

    def _end(self, number: int) -> NoReturn:
        """End the process on a signal that was received before the command was started."""
        if self._sync is not None:
            self._sync.stop()
        messages.error(f"stopped by {signals.name_of(number)} before the command was started")
        os._exit(StoppedError.exit_code)


def _without_dags(command: Command, error: EntrypointError) -> None:
    """Continue with a warning if the command can start without the sync; otherwise raise the error again."""
    if command.sync is SyncPolicy.STRICT:
        raise type(error)(_not_started(command, error)) from error
    messages.warning(f"{error}; {command.kind} starts without files from S3")


def _not_started(command: Command, error: EntrypointError) -> str:
    return f"{error}; {command.kind} was not started"


def _become(argv: Sequence[str], environment: dict[str, str]) -> NoReturn:
    """Replace this process with a program, which gets all signals and determines the exit code.

    Raises NotFoundError or NotExecutableError.
    """
    program = argv[0]
    try:
        os.execvpe(program, list(argv), environment)
    except (FileNotFoundError, NotADirectoryError) as error:
        if "/" in program and os.path.exists(program):
            raise NotExecutableError(f"cannot run {program}: its interpreter does not exist") from error
        raise NotFoundError(f"cannot run {program}: not found; check the command and PATH") from error
    except OSError as error:
        raise NotExecutableError(f"cannot run {program}: {error.strerror}: check the file and its mode") from error
