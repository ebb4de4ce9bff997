"""One-line messages on standard error."""

from __future__ import annotations

import os
from contextlib import suppress

PREFIX = "airflow-ecs-entrypoint: "


def one_line(text: str) -> str:
    """``text`` with line breaks and other control characters escaped: object keys may hold them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def plain(line: str) -> None:
    """Write a line that machines read: as it is, without prefix."""
    _write(line)


def warning(text: str) -> None:
    """Write a line for a fault that does not stop the command."""
    _write(f"{PREFIX}warning: {one_line(text)}")


def error(text: str) -> None:
    """Write a line for the fault that ends the container."""
    _write(f"{PREFIX}error: {one_line(text)}")


def _write(line: str) -> None:
    # os.write, not print: signal handlers write too, and a buffered stream must not be re-entered.
    # A closed or full stderr is no reason to fail a task.
    with suppress(OSError):
        os.write(2, (line + "\n").encode("utf-8", "backslashreplace"))
