"""The parser of the command line: each command is added by the module that runs it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from images.console import program
from images.errors import RequestError
from images.matrix import Matrix

Command = Callable[[Matrix, argparse.Namespace], None]
Add = Callable[[str, Command, str], argparse.ArgumentParser]
"""Adds a command: its name, what carries it out, and what it does in a line. Returns the parser for its flags."""


DEBUG_FLAG = "--debug"


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Add the flag to the help; `images.cli.program.run` reads it, wherever it stands."""
    parser.add_argument(
        DEBUG_FLAG,
        action="store_true",
        help="print the traceback of an error, as BUILD_DEBUG=1 in the environment does",
    )


class Parser(argparse.ArgumentParser):
    """A parser whose errors have the form of all others of the build tool."""

    def error(self, message: str) -> NoReturn:
        """Raise RequestError."""
        raise RequestError(
            message[0].upper() + message[1:] + ".", f"See: python build.py{self.prog.removeprefix(program())} --help"
        )


def adder(commands: argparse._SubParsersAction[Any]) -> Add:
    """Return a function that adds commands to a parser's sub-parsers."""

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        child: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        child.set_defaults(command=command)
        add_debug(child)
        return child

    return add
