"""A task's arguments that lie in S3, where ECS's limit does not apply and no reader of its API finds a token.

The command holds a pointer to them: its program, then ``--arguments-from s3://bucket/key``. The object is JSON in
UTF-8, ``{"arguments": ["…", …]}``. Only arguments come from S3, never the program.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from dataclasses import replace
from typing import Any, Sequence

from airflow_ecs_entrypoint.errors import SettingsError, UnavailableError
from airflow_ecs_entrypoint.s3_uri import BUCKET, S3Location
from airflow_ecs_entrypoint.starting.command import ARGUMENTS_FROM, TASK_SDK_MODULE, WORKLOAD, Command

MAX_BYTES = 1024 * 1024
"""Of the object. Linux lets a pipe of any user hold as much (man 7 pipe: pipe-max-size)."""

_PROGRAMS = (("airflow", "tasks", "run"), ("python", "-m", TASK_SDK_MODULE))
_JSON_STRING, _JSON_PATH = "--json-string", "--json-path"  # options of TASK_SDK_MODULE
_F_SETPIPE_SZ = 1031  # man 2 fcntl; Python has the name from 3.10 on


def location_of(command: Command) -> S3Location:
    """Where the arguments of a command are that `has_pointer`.

    Raises `SettingsError`, which does not repeat a URI that could not be read.
    """
    program, rest = command.argv[:3], command.argv[3:]
    if program not in _PROGRAMS or len(rest) != 2 or rest[0] != ARGUMENTS_FROM:
        allowed = " or ".join(f"'{' '.join(words)}'" for words in _PROGRAMS)
        raise SettingsError(f"{ARGUMENTS_FROM} and one s3://bucket/key must be all that comes after {allowed}")
    scheme, _, name = rest[1].partition("://")
    bucket, _, key = name.partition("/")
    if scheme != "s3" or not BUCKET.fullmatch(bucket) or not key or not key.isprintable() or set("?#") & set(key):
        raise SettingsError(f"{ARGUMENTS_FROM} must name an object as s3://bucket/key")
    return S3Location(bucket, key)


def arguments_in(content: bytes, location: S3Location) -> list[str]:
    """The arguments that the object holds. Raises `SettingsError`, which shows nothing of it."""
    try:
        found = json.loads(content.decode("utf-8"))["arguments"]
    except (ValueError, TypeError, KeyError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(_is_argument(one) for one in found):
        raise SettingsError(
            f'the task\'s arguments at {location} must be JSON, {{"arguments": ["…"]}}, texts without NUL: '
            "correct what writes them"
        )
    return found


def complete(command: Command, arguments: Sequence[str]) -> Command:
    """The command with its ``arguments`` in the pointer's place.

    Raises `SettingsError` if a workload comes in another way than as JSON: it could not be kept off a command line.
    """
    if command.kind == WORKLOAD and list(arguments)[:-1] != [_JSON_STRING]:
        raise SettingsError(
            f"the arguments of a {WORKLOAD} must be {_JSON_STRING} and its JSON: correct what writes them"
        )
    return replace(command, argv=(*command.argv[:3], *arguments))


def without_secret(command: Command) -> tuple[str, ...]:
    """The argument vector of a complete command for a process of its own, whose command line anybody may read.

    A workload, which holds a token, waits in a pipe that the process inherits; Airflow reads it once, to its end.

    Raises `UnavailableError` if the kernel has no pipe for it.
    """
    if command.kind != WORKLOAD:
        return command.argv
    *program, _, workload = command.argv
    return (*program, _JSON_PATH, f"/proc/self/fd/{_pipe_with(workload.encode())}")


def _is_argument(value: Any) -> bool:
    """Whether a program can get it."""
    return isinstance(value, str) and not re.search("[\0\ud800-\udfff]", value)


def _pipe_with(content: bytes) -> int:
    """The reading end of a pipe that holds ``content`` and no more; programs inherit it."""
    reading, writing = os.pipe()
    # What does not fit is an error: nobody reads before this process has become the program.
    os.set_blocking(writing, False)
    try:
        fcntl.fcntl(writing, _F_SETPIPE_SZ, len(content))
        written = os.write(writing, content)
    except OSError:
        written = -1
    os.close(writing)
    if written != len(content):
        raise UnavailableError(
            f"the kernel has no pipe for the workload's {len(content)} bytes: raise fs.pipe-user-pages-soft on the "
            "host, or leave AIRFLOW_ECS_START at fast, which needs none, and launch the task again"
        )
    os.set_inheritable(reading, True)
    return reading
