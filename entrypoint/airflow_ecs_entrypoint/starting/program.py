"""Execution of a Python program in this process, without the start of another interpreter.

Only programs of this interpreter are run: console scripts of its environment, and modules with ``python -m``.
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
    """A console script at ``path``, or a ``module``, and its arguments."""

    path: str
    module: str
    arguments: tuple[str, ...]


class _Ending:
    """Ends the process after all threads and exit functions, without the time-consuming cleanup of modules.

    Exit functions run in reverse order of their registration, so one that is registered before the program's runs last.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        self.process = 0

    def end(self) -> None:
        """End the process, as an exit function."""
        if self.code is None or os.getpid() != self.process:
            return  # a process that the program has forked, or an exit in another way
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (AttributeError, OSError, ValueError):
            return  # the interpreter reports this, with its own exit code
        os._exit(self.code)


_ending = _Ending()


def program_for(argv: Sequence[str], path: str | None) -> Program | None:
    """Return the program that ``argv`` names on ``path`` (the value of PATH); None if it requires a new process."""
    found = shutil.which(argv[0], path=path)
    if found is None:
        return None
    if _is_this_interpreter(found):
        is_module = len(argv) > 2 and argv[1] == "-m"
        return Program("", argv[2], tuple(argv[3:])) if is_module else None
    return Program(found, "", tuple(argv[1:])) if _is_script_of_this_interpreter(found) else None


def take_place(program: Program) -> None:
    """Prepare this process as if it had been started for the program, before the program is imported."""
    atexit.register(_ending.end)
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.getcwd() if program.module else os.path.dirname(os.path.realpath(program.path))
    sys.argv[:] = ["-m" if program.module else program.path, *program.arguments]


def give_arguments(program: Program, arguments: Sequence[str]) -> None:
    """Replace the last two arguments of the prepared program, which point to S3, with ``arguments``."""
    sys.argv[1:] = [*program.arguments[:-2], *arguments]


def run(program: Program) -> NoReturn:
    """Run the program and end this process. Exceptions, including SystemExit, are not caught."""
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
    # The folder identifies the environment: the `bin/python` of several environments may link to the same file.
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
