"""One-line messages on standard error."""

from __future__ import annotations

import os
from contextlib import suppress

PREFIX = "airflow-ecs-entrypoint: "


def one_line(text: str) -> str:
    """Escape line breaks and other control characters in ``text``, which may contain object keys."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def plain(line: str) -> None:
    """Write a line for log processors, unchanged and without prefix."""
    _write(line)


def warning(text: str) -> None:
    """Write a line about an error that does not stop the command."""
    _write(f"{PREFIX}warning: {one_line(text)}")


def error(text: str) -> None:
    """Write a line about the error that ends the container."""
    _write(f"{PREFIX}error: {one_line(text)}")


def _write(line: str) -> None:
    # os.write instead of print: signal handlers write as well, and a buffered stream is not reentrant.
    # A task must not fail because stderr is closed or full.
    with suppress(OSError):
        os.write(2, (line + "\n").encode("utf-8", "backslashreplace"))
