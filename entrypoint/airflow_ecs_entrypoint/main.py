"""The entrypoint's flow: read settings, load DAGs, become the command."""

from __future__ import annotations

import os
import sys
from typing import NoReturn, Sequence

from . import messages
from .command import FIRST_RUN_VARIABLES, Command, Loading, check_version, hand_over, parse
from .environment import current_user, empty_aws_variables, for_command, register, user_home
from .errors import DagsError, EntrypointError, NotExecutableError, NotFoundError, SettingsError
from .settings import Settings, read
from .signals import Interruption

OFFICIAL_ENTRYPOINT = "/entrypoint"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the container's ``arguments`` (default: this process's); returns only the code of a failure."""
    interruption = Interruption()
    interruption.install()
    # What tasks write on shared volumes stays writable for other users of group 0.
    os.umask(0o002)
    try:
        _run(tuple(sys.argv[1:] if arguments is None else arguments), interruption)
    except EntrypointError as error:
        messages.error(str(error))
        return error.exit_code
    except Exception as error:
        # Its text and traceback might show what must not be logged.
        messages.error(f"unexpected {type(error).__name__} in the entrypoint: please report it")
        return DagsError.exit_code


def _run(arguments: tuple[str, ...], interruption: Interruption) -> NoReturn:
    for name in empty_aws_variables(os.environ):
        del os.environ[name]
    command = parse(arguments)
    check_version(command, os.environ.get("AIRFLOW_VERSION", ""))
    settings = _prepare(command, interruption)
    user = current_user()
    register(user, os.environ)
    environment = for_command(os.environ, settings, user)
    first_run = any(os.environ.get(name) for name in FIRST_RUN_VARIABLES)
    if hand_over(command, first_run) and os.access(OFFICIAL_ENTRYPOINT, os.X_OK):
        _become((OFFICIAL_ENTRYPOINT, *arguments), environment, interruption)
    _become(command.argv, environment, interruption)


def _prepare(command: Command, interruption: Interruption) -> Settings | None:
    """Read the settings and load the DAGs as ``command`` needs; None if it can do without valid settings.

    Raises `EntrypointError`.
    """
    settings = None
    try:
        settings = read(os.environ, kept=(user_home(os.environ),), python=sys.prefix)
        if command.loading is not Loading.NEVER:
            _load(command, settings, interruption)
    except EntrypointError as error:
        if command.loading is Loading.STRICT:
            raise type(error)(f"{error}; {command.kind} was not started") from error
        messages.warning(f"{error}; {command.kind} starts without")
    return settings


def _load(command: Command, settings: Settings, interruption: Interruption) -> None:
    if settings.lacks_dags:
        text = "S3_URI is not set, but AIRFLOW_ECS_DAGS is s3: set S3_URI to s3://bucket/prefix"
        if command.task:
            raise SettingsError(text)
        messages.warning(text)
    if settings.sources:
        # Only here: a container that loads nothing need not import it.
        from .load import describe, load

        for loaded in load(settings.sources, settings.concurrency, os.environ, interruption):
            messages.info(describe(loaded))


def _become(argv: Sequence[str], environment: dict[str, str], interruption: Interruption) -> NoReturn:
    """Replace this process by a program: init keeps its child, signals and the exit code are the program's.

    Raises `NotFoundError` or `NotExecutableError`.
    """
    program = argv[0]
    interruption.uninstall()
    try:
        os.execvpe(program, list(argv), environment)
    except (FileNotFoundError, NotADirectoryError) as error:
        if "/" in program and os.path.exists(program):
            raise NotExecutableError(f"cannot run {program}: its interpreter does not exist") from error
        raise NotFoundError(f"cannot run {program}: not found; check the command and PATH") from error
    except OSError as error:
        raise NotExecutableError(f"cannot run {program}: {error.strerror}: check the file and its mode") from error
