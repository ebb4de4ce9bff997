"""Messages on stderr, commands that are run quietly or visibly, and exit codes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
from docker.errors import DockerException

from local.ecs.errors import EmulatorError
from local.errors import EngineError, LocalError, TerminatedError
from local.machine.resources import terminating_like_an_exception

_FRAME = 78
_TAIL_LINES = 25
_PATIENCE = 20.0
_INTERRUPTED = 130


def say(message: str) -> None:
    """Print one line for a person."""
    print(message, file=sys.stderr, flush=True)


def loud(title: str, lines: Sequence[str]) -> None:
    """Print a framed notice that cannot be overlooked."""
    say("*" * _FRAME)
    say(f"*** {title}")
    for line in lines:
        say(f"*   {line}" if line else "*")
    say("*" * _FRAME)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print that a step begins, and how long it took if it succeeds."""
    say(f"==> {title}")
    start = time.monotonic()
    yield
    say(f"    done in {time.monotonic() - start:.1f} s: {title}")


def run(
    command: Sequence[str],
    *,
    error: type[LocalError],
    failure: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a command quietly and return its output; when it fails, raise ``error`` with the end of its output."""
    try:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(env) if env is not None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as missing:
        raise error(f"{failure}: the command {command[0]!r} is not installed") from missing
    with process, _ended_with_us(process):
        output, _ = process.communicate()
    if process.returncode != 0:
        tail = "\n".join(output.rstrip().splitlines()[-_TAIL_LINES:])
        raise error(f"{failure} (exit code {process.returncode}):\n{tail}")
    return output


@contextmanager
def _ended_with_us(process: subprocess.Popen[str]) -> Iterator[None]:
    """End a child process before an exception leaves the block."""
    try:
        yield
    except BaseException:
        process.terminate()
        try:
            process.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def run_visibly(command: Sequence[str], *, error: type[LocalError], failure: str, cwd: Path | None = None) -> None:
    """Run a command on this terminal. When this process is interrupted, the command ends first."""
    process = subprocess.Popen(list(command), cwd=cwd, text=True)
    with _ended_with_us(process):
        code = process.wait()
    if code != 0:
        raise error(f"{failure} (exit code {code}); its own message is above")


def guarded(main: Callable[[], int]) -> int:
    """Run a command line, and turn expected errors into one message and an exit code."""
    try:
        with terminating_like_an_exception():
            return main()
    except (LocalError, EmulatorError) as error:
        say(f"ERROR: {error}")
        return error.exit_code
    except DockerException as error:
        say(f"ERROR: The Docker engine refused a request: {error}")
        return EngineError.exit_code
    except requests.exceptions.RequestException as error:
        say(f"ERROR: The Docker engine stopped answering: {error}")
        return EngineError.exit_code
    except TerminatedError as error:
        say(f"Interrupted: {error}")
        return error.exit_code
    except BrokenPipeError:
        return LocalError.exit_code  # whoever read our output has gone: nobody to tell
    except OSError as error:
        say(f"ERROR: {error.filename or 'This machine'}: {error.strerror or error}")
        return LocalError.exit_code
    except KeyboardInterrupt:
        say("Interrupted")
        return _INTERRUPTED
