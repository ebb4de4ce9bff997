"""The command line of ``build.py``: sub-commands, and exit codes for errors."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import textwrap
import traceback
from collections.abc import Sequence
from pathlib import Path

from docker.errors import APIError, DockerException
from requests import RequestException

from images import __version__
from images.cli import building, dags, existing, publishing, task_definition
from images.cli.parser import DEBUG_FLAG, Command, Parser, add_debug, adder
from images.console import program, say, worded
from images.diagnose import no_engine
from images.errors import (
    INTERRUPTED_EXIT_CODE,
    BuildToolError,
    DefectError,
    DiskFullError,
    EngineError,
    InputError,
    RequestError,
    exit_codes,
)
from images.matrix import MATRIX_FILE, Matrix, load_matrix

EPILOG = f"""\
`python build.py --python 3.8 --dags s3` builds one image; `python build.py build --help` lists all flags.

exit codes:
{textwrap.fill(", ".join(f"{code} {summary}" for code, summary in exit_codes().items()), 118)}
"""

COMMAND_GROUPS = (building, existing, publishing, task_definition, dags)


def run(arguments: Sequence[str], matrix_file: Path = MATRIX_FILE) -> int:
    """Run the command line and return the exit code."""
    debug = DEBUG_FLAG in arguments or os.environ.get("BUILD_DEBUG", "") not in ("", "0")
    try:
        _run([argument for argument in arguments if argument != DEBUG_FLAG], matrix_file)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        say("interrupted; nothing was tagged or pushed after this point.")
        return INTERRUPTED_EXIT_CODE
    except BrokenPipeError:  # the reader of `build.py render | head` has gone
        _discard_output()
    except Exception as error:  # noqa: BLE001 - what nothing expects is reported as a defect
        if debug:
            traceback.print_exception(error)
        failure = _failure(error)
        say(f"error: {failure}")
        if failure is not error:
            _discard_output()
        return failure.exit_code
    return 0


def _run(arguments: list[str], matrix_file: Path) -> None:
    matrix = load_matrix(matrix_file)
    parser, commands = parser_of(matrix)
    parsed = parser.parse_args(_with_default_command(arguments, commands))
    command: Command = parsed.command
    command(matrix, parsed)
    sys.stdout.flush()  # here, where a reader that has gone, or a full disk, is still handled


def _failure(error: Exception) -> BuildToolError:
    if isinstance(error, BuildToolError):
        return error
    if isinstance(error, APIError):
        return EngineError(
            f"The Docker engine refused the request: {error.explanation}", "`docker info` and its log say more."
        )
    if isinstance(error, (DockerException, RequestException)):
        return no_engine()
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return DiskFullError(
                "No space left on this machine.", "Free some space; TMPDIR moves the build context elsewhere."
            )
        reason = error.strerror or error
        return InputError(f"{error.filename}: {reason}." if error.filename else f"{reason}.")
    return DefectError(
        f"This is a defect of the build tool: {type(error).__name__}.",
        f"Run the command again with {DEBUG_FLAG}, and report the traceback that it prints.",
    )


def _discard_output() -> None:
    """Discard what could not be written, so that the interpreter does not try again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser_of(matrix: Matrix) -> tuple[Parser, Sequence[str]]:
    """Return the parser of the command line, and the names of its commands."""
    parser = Parser(
        prog=program(),
        description="Build Airflow worker images for Amazon ECS. `build` is the default command.",
        epilog=worded(EPILOG),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    add_debug(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in COMMAND_GROUPS:
        group.add_commands(adder(commands), matrix)
    return parser, list(commands.choices)


def _with_default_command(arguments: list[str], commands: Sequence[str]) -> list[str]:
    """Return the arguments with `build` as the sub-command if none is named."""
    if arguments and (arguments[0] in commands or arguments[0] in ("-h", "--help", "--version")):
        return arguments
    if arguments and not arguments[0].startswith("-"):
        raise RequestError(f"Unknown command {arguments[0]!r}.", f"Commands: {', '.join(commands)}; see --help.")
    return ["build", *arguments]
