"""Interpretation of the container's arguments: which program they name, and what it requires. No I/O.

The rules are those of the official image's entrypoint: ``bash`` and ``python`` are programs, ``airflow`` may be omitted
before a sub-command, and no arguments at all mean ``airflow``. In addition, absolute paths and a few common tools are
run as programs.
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
"""The kinds of commands that run a task: those of Airflow 2 and Airflow 3."""
ARGUMENTS_FROM = "--arguments-from"
"""The option that, with a location in S3, replaces the arguments of a task; see `arguments`."""


class SyncPolicy(enum.Enum):
    """How a command depends on the DAGs, plugins and configuration in S3."""

    STRICT = "strict"
    """They are synced. If that fails, the command does not start."""
    LENIENT = "lenient"
    """They are synced. If that fails, a warning is written and the command starts."""
    NEVER = "never"
    """They are not synced."""


# fmt: off
# Airflow sub-commands that read neither DAGs nor plugins. For all others, the sync is strict.
NEVER_SYNC = frozenset(
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
# Programs other than Airflow and Python, and how they depend on DAGs.
PROGRAMS = {
    "bash": SyncPolicy.LENIENT,
    "sh": SyncPolicy.LENIENT,
    "env": SyncPolicy.LENIENT,
    "aws": SyncPolicy.NEVER,
    "pip": SyncPolicy.NEVER,
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
    """A program to run and what it requires."""

    argv: tuple[str, ...]
    """The program and its arguments."""
    kind: str
    """A description without arguments, which may be logged."""
    sync: SyncPolicy
    task: bool = False
    """Whether the command runs a task."""
    service: bool = False
    """Whether the command is a long-running part of Airflow."""
    official: bool = False
    """Whether the official entrypoint interprets the command in the same way."""

    @property
    def has_pointer(self) -> bool:
        """Whether it is a task whose arguments are in S3."""
        return ARGUMENTS_FROM in self.argv and self.kind in (TASKS_RUN, WORKLOAD)


def parse(arguments: Sequence[str]) -> Command:
    """Return the command that the container's arguments name, without the entrypoint's own name."""
    args = tuple(arguments)
    if not args:
        return Command(("airflow",), "airflow", SyncPolicy.NEVER, official=True)
    first, rest = args[0], args[1:]
    name = first.rsplit("/", 1)[-1] if first.startswith("/") else first
    if _PYTHON.fullmatch(name):
        return _python(args, official=first == "python")
    if name == "airflow":
        return _airflow(args, rest, official=first == name)
    if name in PROGRAMS or first.startswith("/"):
        argv = ("/bin/bash", *rest) if first == "bash" else args
        task = name in PROGRAMS and bool(_TASK_IN_TEXT.search(" ".join(rest)))
        sync = SyncPolicy.STRICT if task else PROGRAMS.get(name, SyncPolicy.STRICT)
        return Command(argv, name if name in PROGRAMS else "program", sync, task, official=first == "bash")
    return _airflow(("airflow", *args), args, official=True)


def hand_over(command: Command, first_run: bool) -> bool:
    """Return whether the official entrypoint should run ``command`` if the image has one.

    ``first_run`` means that one of `FIRST_RUN_VARIABLES` is set. Tasks are never handed over, because the official
    entrypoint starts Airflow once more to check the database.
    """
    return command.official and not command.task and (command.service or first_run)


def check_version(command: Command, airflow_version: str) -> None:
    """Raise VersionError if a task requires another major version of Airflow than the image has (empty: not known)."""
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
    """Interpret an Airflow command line; ``arguments`` are those after ``airflow``."""
    # Only the first words, because later ones may be the value of an option.
    asks_help = bool(_HELP & set(arguments[:3]))
    if list(arguments[:2]) == ["tasks", "run"] and not asks_help:
        return Command(argv, TASKS_RUN, SyncPolicy.STRICT, task=True, official=official)
    name = arguments[0] if arguments else ""
    syncs = bool(arguments) and not asks_help and name not in NEVER_SYNC and not name.startswith("-")
    return Command(
        argv,
        f"airflow {name}" if name in NEVER_SYNC | SERVICES else "airflow",
        SyncPolicy.STRICT if syncs else SyncPolicy.NEVER,
        service=name in SERVICES and not asks_help,
        official=official,
    )


def _python(argv: tuple[str, ...], official: bool) -> Command:
    module, after = _python_module(argv[1:])
    if module == TASK_SDK_MODULE:
        return Command(argv, WORKLOAD, SyncPolicy.STRICT, task=True, official=official)
    if module == "airflow":
        # The official entrypoint treats this as Python, even if it starts a service.
        return _airflow(argv, after, official=False)
    if len(argv) == 1:
        return Command(argv, "python", SyncPolicy.LENIENT, official=official)
    sync = SyncPolicy.NEVER if argv[1] in _PYTHON_ASKS_ITSELF else SyncPolicy.STRICT
    return Command(argv, "python", sync, official=official)


def _python_module(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the module that ``python -m`` runs and its arguments, or an empty name for a script or ``-c``."""
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
