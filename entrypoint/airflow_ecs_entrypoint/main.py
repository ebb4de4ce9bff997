"""The entrypoint's flow: read settings, load DAGs, become the command."""

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
from airflow_ecs_entrypoint.garbage_collection import nothing_collected
from airflow_ecs_entrypoint.report import StartUp
from airflow_ecs_entrypoint.settings import Settings, read
from airflow_ecs_entrypoint.starting.command import (
    FIRST_RUN_VARIABLES,
    TASKS_RUN,
    WORKLOAD,
    Command,
    Loading,
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
    user_home,
)
from airflow_ecs_entrypoint.starting.program import Program, give_arguments, program_for, run, take_place

OFFICIAL_ENTRYPOINT = "/entrypoint"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the container's ``arguments`` (default: this process's); returns only the code of a failure.

    A command that is run in this process ends it; its exceptions pass.
    """
    start = _Start()
    start.interruption.install()
    # What tasks write on shared volumes stays writable for other users of group 0.
    os.umask(0o002)
    try:
        program = start.prepare(tuple(sys.argv[1:] if arguments is None else arguments))
    except EntrypointError as error:
        messages.error(str(error))
        return error.exit_code
    except Exception as error:
        # Its text and traceback might show what must not be logged.
        messages.error(f"unexpected {type(error).__name__} in the entrypoint: please report it")
        return DagsError.exit_code
    run(program)


class _Start:
    """One start of one command."""

    def __init__(self) -> None:
        self.interruption = signals.Interruption(self._end)
        self._report = StartUp()
        self._loader: Any = None

    def prepare(self, arguments: tuple[str, ...]) -> Program:
        """Do all that comes before the command; returns only if it is to be run in this process.

        Raises `EntrypointError`.
        """
        for name in empty_aws_variables(os.environ):
            del os.environ[name]
        command = parse(arguments)
        check_version(command, os.environ.get("AIRFLOW_VERSION", ""))
        user = current_user()
        if not user.known:
            os.environ["HOME"] = user_home(os.environ)  # before the load, which looks for ~/.aws
        settings = self._begin(command)
        register(user, os.environ)
        environment = for_command(os.environ, settings, user)
        if command.task and settings is not None and settings.start == "fast":
            program = program_for(command.argv, environment.get("PATH"))
            if program is not None and self._warm_up(command, program, environment):
                self._finish(command)
                if command.has_pointer:
                    give_arguments(program, self._loader.arguments)
                self._take_signals_back(command)
                return program
        whole = self._finish(command)
        signals.as_a_new_process_finds_them()
        first_run = any(os.environ.get(name) for name in FIRST_RUN_VARIABLES)
        if hand_over(command, first_run) and os.access(OFFICIAL_ENTRYPOINT, os.X_OK):
            _become((OFFICIAL_ENTRYPOINT, *arguments), environment)
        argv = whole.argv
        if command.has_pointer:
            from airflow_ecs_entrypoint.starting.arguments import without_secret

            argv = without_secret(whole)
        _become(argv, environment)

    def _begin(self, command: Command) -> Settings | None:
        """Read the settings and start to load; None if the command can do without valid settings."""
        settings = None
        try:
            settings = read(os.environ, kept=(user_home(os.environ),), python=sys.prefix)
            if command.loading is not Loading.NEVER:
                self._load(command, settings)
        except EntrypointError as error:
            _without_dags(command, error)
        self._report.phase("settings")
        return settings

    def _load(self, command: Command, settings: Settings) -> None:
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
            # Only here: a container that loads nothing need not import it.
            from airflow_ecs_entrypoint.starting.airflow_start import TASKS_RUN_COMMON
            from airflow_ecs_entrypoint.sync.sync_process import Loader

            self._loader = Loader(settings, os.environ, location)
            self._loader.start(TASKS_RUN_COMMON if command.kind == TASKS_RUN else ())

    def _finish(self, command: Command) -> Command:
        """Wait for the load, and say how the start went; returns the command with all its arguments."""
        loaded: list[dict[str, Any]] = []
        whole = command
        if self._loader is not None:
            try:
                loaded = self._loader.wait()
                if command.has_pointer:
                    from airflow_ecs_entrypoint.starting.arguments import complete

                    whole = complete(command, self._loader.arguments)
                    check_version(whole, os.environ.get("AIRFLOW_VERSION", ""))
            except EntrypointError as error:
                _without_dags(command, error)
        if loaded or command.task:
            load, wait = (self._loader.seconds, self._loader.waited) if self._loader else (0.0, 0.0)
            arguments = "s3" if command.has_pointer else "command"
            messages.plain(self._report.line(command.kind, arguments, os.environ, loaded, load, wait))
        return whole

    def _warm_up(self, command: Command, program: Program, environment: dict[str, str]) -> bool:
        """Import what the task's command imports, while its DAGs come down; False if that failed."""
        from airflow_ecs_entrypoint.starting.airflow_start import import_early

        preload = environment.get("LD_PRELOAD", "")
        if preload != os.environ.get("LD_PRELOAD", ""):
            load_library(preload)
        os.environ.clear()
        os.environ.update(environment)
        take_place(program)
        with nothing_collected(), self._gate(command) as gate:
            # Imports are held back by the gate; a file that Airflow reads before all of them is not.
            config = os.path.abspath(environment.get("AIRFLOW_CONFIG") or "/")
            if gate is not None and gate.guards(config):
                gate.open()
            imported = import_early(command.kind == WORKLOAD)
        self._report.phase("import")
        return imported

    def _take_signals_back(self, command: Command) -> None:
        """From now on, signals are the program's."""
        self.interruption.uninstall()
        if command.kind == WORKLOAD:
            from airflow_ecs_entrypoint.starting.airflow_start import TaskSignals

            TaskSignals().install()

    def _gate(self, command: Command) -> ContextManager[Any]:
        """Holds imports back that would look into a folder which is still being loaded."""
        from airflow_ecs_entrypoint.starting.gate import Gate

        loader = self._loader

        def wait() -> None:
            try:
                loader.wait()
            except EntrypointError as error:
                # In the middle of an import, through which no exception comes unharmed.
                messages.error(_not_started(command, error))
                os._exit(error.exit_code)

        return Gate(loader.folders, wait) if loader else nullcontext()

    def _end(self, number: int) -> NoReturn:
        """A signal came before the command had its place."""
        if self._loader is not None:
            self._loader.stop()
        messages.error(f"stopped by {signals.name_of(number)} before the command was started")
        os._exit(StoppedError.exit_code)


def _without_dags(command: Command, error: EntrypointError) -> None:
    """Go on without DAGs if the command can."""
    if command.loading is Loading.STRICT:
        raise type(error)(_not_started(command, error)) from error
    messages.warning(f"{error}; {command.kind} starts without")


def _not_started(command: Command, error: EntrypointError) -> str:
    return f"{error}; {command.kind} was not started"


def _become(argv: Sequence[str], environment: dict[str, str]) -> NoReturn:
    """Replace this process by a program: init keeps its child, signals and the exit code are the program's.

    Raises `NotFoundError` or `NotExecutableError`.
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
