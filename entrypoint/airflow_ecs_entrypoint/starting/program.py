"""Execution of a Python program in this process, without the start of another interpreter.

Only programs of this interpreter are run: console scripts of its environment, and modules with ``python -m``.
"""

from __future__ import annotations

import atexit
import importlib
import os
import runpy
import shutil
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, Sequence


@dataclass(frozen=True)
class Program:
    """A console script at ``path``, or a ``module``, and its arguments."""

    path: str
    module: str
    arguments: tuple[str, ...]


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
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.getcwd() if program.module else os.path.dirname(os.path.realpath(program.path))
    sys.argv[:] = ["-m" if program.module else program.path, *program.arguments]


def give_arguments(program: Program, arguments: Sequence[str]) -> None:
    """Replace the last two arguments of the prepared program, which point to S3, with ``arguments``."""
    sys.argv[1:] = [*program.arguments[:-2], *arguments]


def show_command_line(program: Program) -> None:
    """Let ``ps`` show the command line of the program, if ``setproctitle`` is there, which Airflow 2 requires.

    Not for a workload, whose command line may hold a token; Airflow 3 sets a title of its own.
    """
    with suppress(ImportError):
        title = importlib.import_module("setproctitle")
        title.setproctitle(" ".join((sys.executable, program.path, *program.arguments)))


def run(program: Program) -> NoReturn:
    """Run the program and end this process. Exceptions, including SystemExit with a message, are not caught."""
    process = os.getpid()
    code: int | None = 0
    try:
        if program.module:
            runpy.run_module(program.module, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(program.path, run_name="__main__")
    except SystemExit as exit_:
        if os.getpid() != process or not isinstance(exit_.code, (int, type(None))):
            raise  # a process that the program has forked, or a message, which the interpreter prints
        code = exit_.code
    if os.getpid() == process:
        _end(int(code or 0) & 0xFF)
    sys.exit(code)


def _end(code: int) -> None:
    """End the process as the interpreter does, but without the time-consuming cleanup of modules.

    The order is that of ``Py_FinalizeEx``: threads, exit functions, streams. All exit functions run, also those that
    were registered before this package was imported, for example by ``sitecustomize``. Return if a stream cannot be
    flushed: the interpreter then reports that, with its own exit code.
    """
    threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 - has no public name
    # In Python 3.8 and 3.9, it prints an exception of an exit function and raises it again.
    with suppress(BaseException):
        atexit._run_exitfuncs()  # noqa: SLF001 - has no public name
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        return
    os._exit(code)


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
