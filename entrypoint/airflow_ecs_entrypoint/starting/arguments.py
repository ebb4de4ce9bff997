"""Arguments of a task that are stored in S3, where the size limit of ECS does not apply and its API shows no token.

The command contains a pointer to them: its program, then ``--arguments-from s3://bucket/key``. The object is JSON in
UTF-8: ``{"arguments": ["…", …]}``. Only arguments come from S3, never the program.
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
"""The limit of the object's size. On Linux, it is also the limit of a pipe (man 7 pipe: pipe-max-size)."""

_PROGRAMS = (("airflow", "tasks", "run"), ("python", "-m", TASK_SDK_MODULE))
_JSON_STRING, _JSON_PATH = "--json-string", "--json-path"  # options of TASK_SDK_MODULE
_F_SETPIPE_SZ = 1031  # man 2 fcntl; fcntl.F_SETPIPE_SZ requires Python 3.10


def location_of(command: Command) -> S3Location:
    """Return the location of the arguments of a command that `has_pointer`.

    Raises SettingsError if the pointer is invalid. The message does not repeat it.
    """
    program, rest = command.argv[:3], command.argv[3:]
    if program not in _PROGRAMS or len(rest) != 2 or rest[0] != ARGUMENTS_FROM:
        allowed = " or ".join(f"'{' '.join(words)}'" for words in _PROGRAMS)
        raise SettingsError(f"{ARGUMENTS_FROM} and one s3://bucket/key must be the only arguments after {allowed}")
    scheme, _, name = rest[1].partition("://")
    bucket, _, key = name.partition("/")
    if scheme != "s3" or not BUCKET.fullmatch(bucket) or not key or not key.isprintable() or set("?#") & set(key):
        raise SettingsError(f"{ARGUMENTS_FROM} must name an object as s3://bucket/key")
    return S3Location(bucket, key)


def arguments_in(content: bytes, location: S3Location) -> list[str]:
    """Return the arguments in the object's content. Raises `SettingsError`, which shows nothing of the content."""
    try:
        found = json.loads(content.decode("utf-8"))["arguments"]
    except (ValueError, TypeError, KeyError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(_is_argument(one) for one in found):
        raise SettingsError(
            f'the task\'s arguments at {location} must be JSON, {{"arguments": ["…"]}}, with strings without NUL: '
            "correct the program that writes them"
        )
    return found


def complete(command: Command, arguments: Sequence[str]) -> Command:
    """Return the command with its ``arguments`` in place of the pointer.

    Raises SettingsError if those of a workload are not a JSON string, which cannot be kept off a command line.
    """
    if command.kind == WORKLOAD and list(arguments)[:-1] != [_JSON_STRING]:
        raise SettingsError(
            f"the arguments of a {WORKLOAD} must be {_JSON_STRING} and its JSON: correct the program that writes them"
        )
    return replace(command, argv=(*command.argv[:3], *arguments))


def without_secret(command: Command) -> tuple[str, ...]:
    """Return the arguments of a complete command for a new process, whose command line every user can read.

    A workload contains a token. It is passed in a pipe, which the process inherits and Airflow reads once. Raises
    UnavailableError if the kernel provides no pipe of the required size.
    """
    if command.kind != WORKLOAD:
        return command.argv
    *program, _, workload = command.argv
    return (*program, _JSON_PATH, f"/proc/self/fd/{_pipe_with(workload.encode())}")


def _is_argument(value: Any) -> bool:
    """Return whether ``value`` can be passed to a program."""
    return isinstance(value, str) and not re.search("[\0\ud800-\udfff]", value)


def _pipe_with(content: bytes) -> int:
    """Return the reading end of a pipe that contains ``content`` and is inherited by programs."""
    reading, writing = os.pipe()
    # Content that does not fit is an error: nothing reads the pipe before the program has replaced this process.
    os.set_blocking(writing, False)
    try:
        fcntl.fcntl(writing, _F_SETPIPE_SZ, len(content))
        written = os.write(writing, content)
    except OSError:
        written = -1
    os.close(writing)
    if written != len(content):
        raise UnavailableError(
            f"the kernel has no pipe for the workload of {len(content)} bytes: raise fs.pipe-user-pages-soft on the "
            "host, or use AIRFLOW_ECS_START=fast, which requires no pipe, and launch the task again"
        )
    os.set_inheritable(reading, True)
    return reading
