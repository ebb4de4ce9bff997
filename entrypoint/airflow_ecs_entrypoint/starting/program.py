"""Runs a Python program in this very process, as a fresh interpreter would run it, but for the start of one.

Only what this interpreter itself would run: the console script of a package beside this one, or ``python -m``.
"""

from __future__ import annotations

import atexit
import os
import runpy
import shutil
import sys
from dataclasses import dataclass
from typing import NoReturn, Sequence


@dataclass(frozen=True)
class Program:
    """A console script by its ``path``, or a ``module``, and the arguments that it gets."""

    path: str
    module: str
    arguments: tuple[str, ...]


class _Ending:
    """Ends the process when all threads and exit functions have ended: nobody waits for modules to be taken apart.

    Exit functions run last in, first out, so one that is registered before the program's is the last.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        self.process = 0

    def end(self) -> None:
        """The exit function."""
        if self.code is None or os.getpid() != self.process:
            return  # a process that the program forked, or an end of another kind
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (AttributeError, OSError, ValueError):
            return  # the interpreter has a message and an exit code for that
        os._exit(self.code)


_ending = _Ending()


def program_for(argv: Sequence[str], path: str | None) -> Program | None:
    """The program that ``argv`` means, looked up in ``path`` (the value of PATH); None if it has to be executed."""
    found = shutil.which(argv[0], path=path)
    if found is None:
        return None
    if _is_this_interpreter(found):
        is_module = len(argv) > 2 and argv[1] == "-m"
        return Program("", argv[2], tuple(argv[3:])) if is_module else None
    return Program(found, "", tuple(argv[1:])) if _is_script_of_this_interpreter(found) else None


def take_place(program: Program) -> None:
    """Make this process look as one that was started for the program, before anything of it is imported."""
    atexit.register(_ending.end)
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.getcwd() if program.module else os.path.dirname(os.path.realpath(program.path))
    sys.argv[:] = ["-m" if program.module else program.path, *program.arguments]


def give_arguments(program: Program, arguments: Sequence[str]) -> None:
    """Give a program that has taken its place the ``arguments`` for which its last two stood."""
    sys.argv[1:] = [*program.arguments[:-2], *arguments]


def run(program: Program) -> NoReturn:
    """Run the program to its end, which is that of this process, too. Exceptions pass, SystemExit included."""
    _ending.process = os.getpid()
    try:
        if program.module:
            runpy.run_module(program.module, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(program.path, run_name="__main__")
    except SystemExit as exit_:
        _ending.code = exit_.code & 0xFF if isinstance(exit_.code, int) else int(exit_.code is not None)
        raise
    except Exception:
        _ending.code = 1
        raise
    _ending.code = 0
    sys.exit(0)


def _is_this_interpreter(path: str) -> bool:
    # The folder decides which environment it is: `bin/python` of every environment may be a link to one file.
    return os.path.dirname(path) == os.path.dirname(sys.executable) and os.path.samefile(path, sys.executable)


def _is_script_of_this_interpreter(path: str) -> bool:
    try:
        with open(path, "rb") as stream:
            first = stream.readline(256)
    except OSError:
        return False
    words = os.fsdecode(first).split()
    if not first.startswith(b"#!") or len(words) != 1:
        return False
    interpreter = words[0][2:]
    return os.path.exists(interpreter) and _is_this_interpreter(interpreter)
