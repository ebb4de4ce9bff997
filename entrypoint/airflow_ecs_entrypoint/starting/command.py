"""Which program the container's arguments mean, and what it needs before it starts. Pure.

Follows the official image's entrypoint: ``bash`` and ``python`` are programs, ``airflow`` may be left out
before a sub-command, no argument at all is ``airflow``. Beyond that, absolute paths and a few well-known
tools are run as programs.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Sequence

from airflow_ecs_entrypoint.errors import VersionError

TASK_SDK_MODULE = "airflow.sdk.execution_time.execute_workload"
TASKS_RUN = "airflow tasks run"
WORKLOAD = "Task SDK workload"
"""Kinds of commands that run a task: Airflow 2's and Airflow 3's."""
ARGUMENTS_FROM = "--arguments-from"
"""Stands, with a place in S3, where the arguments of a task would stand; see `arguments`."""


class Loading(enum.Enum):
    """How a command depends on the DAGs."""

    STRICT = "strict"
    """They are loaded; if that fails, the command does not start."""
    LENIENT = "lenient"
    """They are loaded; if that fails, a warning is written and the command starts."""
    NEVER = "never"
    """They are not loaded."""


# fmt: off
# Airflow sub-commands that read neither DAGs nor plugins; any other sub-command loads strictly.
NEVER_LOAD = frozenset(
    (
        "cheat-sheet", "config", "connections", "db", "info", "jobs", "kerberos", "pools", "providers",
        "roles", "rotate-fernet-key", "users", "variables", "version",
    )
)
# Long-running services: the official entrypoint waits for their database and broker.
SERVICES = frozenset(
    (
        "api-server", "celery", "dag-processor", "kerberos", "scheduler", "standalone", "triggerer",
        "webserver",
    )
)
# fmt: on
# Programs besides Airflow and Python, and how they depend on DAGs.
PROGRAMS = {
    "bash": Loading.LENIENT,
    "sh": Loading.LENIENT,
    "env": Loading.LENIENT,
    "aws": Loading.NEVER,
    "pip": Loading.NEVER,
}
# First-run variables of the official entrypoint: airflow.apache.org/docs/docker-stack/entrypoint.html
FIRST_RUN_VARIABLES = (
    "_AIRFLOW_DB_MIGRATE",
    "_AIRFLOW_DB_UPGRADE",
    "_AIRFLOW_WWW_USER_CREATE",
    "_PIP_ADDITIONAL_REQUIREMENTS",
)

_HELP = frozenset(("-h", "--help"))
_PYTHON_ASKS_ITSELF = frozenset(("-V", "-VV", "--version", "-h", "--help", "-?"))
_PYTHON = re.compile(r"python(3(\.[0-9]+)?)?")
_TASK_IN_TEXT = re.compile(rf"\btasks\s+run\b|{re.escape(TASK_SDK_MODULE)}")


@dataclass(frozen=True)
class Command:
    """A program to run and what it needs.

    ``argv`` is the program's whole argument vector. ``kind`` describes it without its arguments, so it may
    be logged. ``task`` marks commands that run a task; ``service`` long-running parts of Airflow;
    ``official`` those the official entrypoint understands in the same way.
    """

    argv: tuple[str, ...]
    kind: str
    loading: Loading
    task: bool = False
    service: bool = False
    official: bool = False

    @property
    def has_pointer(self) -> bool:
        """Whether it is a task whose arguments are in S3."""
        return ARGUMENTS_FROM in self.argv and self.kind in (TASKS_RUN, WORKLOAD)


def parse(arguments: Sequence[str]) -> Command:
    """The command meant by the container's arguments (without the entrypoint's own name)."""
    args = tuple(arguments)
    if not args:
        return Command(("airflow",), "airflow", Loading.NEVER, official=True)
    first, rest = args[0], args[1:]
    name = first.rsplit("/", 1)[-1] if first.startswith("/") else first
    if _PYTHON.fullmatch(name):
        return _python(args, official=first == "python")
    if name == "airflow":
        return _airflow(args, rest, official=first == name)
    if name in PROGRAMS or first.startswith("/"):
        argv = ("/bin/bash", *rest) if first == "bash" else args
        task = name in PROGRAMS and bool(_TASK_IN_TEXT.search(" ".join(rest)))
        loading = Loading.STRICT if task else PROGRAMS.get(name, Loading.STRICT)
        return Command(argv, name if name in PROGRAMS else "program", loading, task, official=first == "bash")
    return _airflow(("airflow", *args), args, official=True)


def hand_over(command: Command, first_run: bool) -> bool:
    """Whether the official entrypoint should run ``command`` if the image has one.

    ``first_run``: one of `FIRST_RUN_VARIABLES` is set. Tasks never take that road: it starts Airflow once
    more, to check the database, before every command.
    """
    return command.official and not command.task and (command.service or first_run)


def check_version(command: Command, airflow_version: str) -> None:
    """Refuse a task which the image's Airflow certainly cannot run.

    ``airflow_version`` is the image's, such as ``2.10.5``; empty if unknown, and then nothing is refused.

    Raises `VersionError`.
    """
    major = airflow_version.partition(".")[0]
    if command.kind == WORKLOAD and major == "2":
        raise VersionError(
            f"this image has Airflow {airflow_version}, which cannot run a Task SDK workload: "
            "use an image of the scheduler's Airflow version"
        )
    if command.kind == TASKS_RUN and major == "3" and {"--local", "--raw"} & set(command.argv):
        raise VersionError(
            f"this image has Airflow {airflow_version}, but the command is a task of an Airflow 2 scheduler: "
            "use an image of the scheduler's Airflow version"
        )


def _airflow(argv: tuple[str, ...], arguments: Sequence[str], official: bool) -> Command:
    """An Airflow command line; ``arguments`` are those after ``airflow``."""
    # Only the first words: later ones may be the value of some option.
    asks_help = bool(_HELP & set(arguments[:3]))
    if list(arguments[:2]) == ["tasks", "run"] and not asks_help:
        return Command(argv, TASKS_RUN, Loading.STRICT, task=True, official=official)
    name = arguments[0] if arguments else ""
    loads = bool(arguments) and not asks_help and name not in NEVER_LOAD and not name.startswith("-")
    return Command(
        argv,
        f"airflow {name}" if name in NEVER_LOAD | SERVICES else "airflow",
        Loading.STRICT if loads else Loading.NEVER,
        service=name in SERVICES and not asks_help,
        official=official,
    )


def _python(argv: tuple[str, ...], official: bool) -> Command:
    module, after = _python_module(argv[1:])
    if module == TASK_SDK_MODULE:
        return Command(argv, WORKLOAD, Loading.STRICT, task=True, official=official)
    if module == "airflow":
        # The official entrypoint treats this as Python, not as the service it may start.
        return _airflow(argv, after, official=False)
    if len(argv) == 1:
        return Command(argv, "python", Loading.LENIENT, official=official)
    loading = Loading.NEVER if argv[1] in _PYTHON_ASKS_ITSELF else Loading.STRICT
    return Command(argv, "python", loading, official=official)


def _python_module(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The module that ``python -m`` runs, and its arguments; an empty name for a script or ``-c``."""
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        if not argument.startswith("-") or argument in ("-", "-c"):
            break
        if argument in ("-W", "-X", "--check-hash-based-pycs"):
            position += 2
            continue
        # Short flags may be joined: -um MODULE, -mMODULE.
        flags, found, joined = argument.partition("m")
        if found and re.fullmatch(r"-[bBdEiIOPqsSuvx]*", flags):
            module = [joined] if joined else list(arguments[position + 1 : position + 2])
            return (module[0] if module else ""), arguments[position + (1 if joined else 2) :]
        position += 1
    return "", ()
