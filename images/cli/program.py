"""The command line of ``build.py``: sub-commands, and errors to exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from docker.errors import DockerException

from images.cli import building, dags, existing, publishing, task_definition
from images.cli.parser import Command, Parser, adder
from images.engine import disk_full, refused
from images.errors import BuildToolError, InputError, RequestError
from images.matrix import MATRIX_FILE, Matrix, load_matrix

EPILOG = """\
`python build.py --python 3.8 --dags s3` builds one image; `python build.py build --help` lists all flags.

exit codes: 2 impossible request, 3 matrix.yaml, 4 input file or folder, 5 a secret would be baked in,
6 missing Python packages, 7 requirements, 10 no Docker engine, 11 no Buildx, 12 base image, 13 build step,
14 verification, 15 push, 16 disk full, 17 no such image, 18 the checked image does not fit, 19 whether it fits is not
known, 20 AWS, 130 interrupted
"""

COMMAND_GROUPS = (building, existing, publishing, task_definition, dags)


def run(arguments: Sequence[str], matrix_file: Path = MATRIX_FILE) -> int:
    """Run the command line; returns the exit code."""
    try:
        matrix = load_matrix(matrix_file)
        parser, commands = parser_of(matrix)
        parsed = parser.parse_args(_with_default_command(list(arguments), commands))
        command: Command = parsed.command
        command(matrix, parsed)
        sys.stdout.flush()  # here, where a reader that has gone, or a full disk, is still handled
    except BuildToolError as error:
        print(f"build.py: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nbuild.py: interrupted; nothing was tagged or pushed after this point.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of `build.py render | head` has gone
        _discard_output()
        return 0
    except (OSError, DockerException) as error:
        failure = disk_full(error) or refused(error) or InputError(_said(error))
        print(f"build.py: error: {failure}", file=sys.stderr)
        _discard_output()
        return failure.exit_code
    return 0


def _discard_output() -> None:
    """What could not be written is not tried again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _said(error: Exception) -> str:
    name, reason = getattr(error, "filename", None), getattr(error, "strerror", None)
    return f"{name}: {reason}." if name else f"{reason or error}."


def parser_of(matrix: Matrix) -> tuple[Parser, Sequence[str]]:
    """The parser of the command line, and the names of its commands."""
    parser = Parser(
        prog="build.py",
        description="Build Airflow worker images for Amazon ECS. `build` is the default command.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in COMMAND_GROUPS:
        group.add_commands(adder(commands), matrix)
    return parser, list(commands.choices)


def _with_default_command(arguments: list[str], commands: Sequence[str]) -> list[str]:
    """`build` is the sub-command when none is named."""
    if arguments and (arguments[0] in commands or arguments[0] in ("-h", "--help")):
        return arguments
    if arguments and not arguments[0].startswith("-"):
        raise RequestError(f"Unknown command {arguments[0]!r}.", f"Commands: {', '.join(commands)}; see --help.")
    return ["build", *arguments]
