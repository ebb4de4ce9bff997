"""Messages for people, on stderr, under the name by which the build tool was started."""

from __future__ import annotations

import sys
from pathlib import Path

INSTALLED = "airflow-ecs-images"
"""The command of an installed build tool."""


def program() -> str:
    """Return the name of the command: ``build.py``, or that of an installed build tool."""
    return INSTALLED if Path(sys.argv[0]).stem == INSTALLED else "build.py"


def worded(text: str) -> str:
    """Return a message or a help text with the commands in it as this person can run them."""
    return text.replace("python build.py", INSTALLED) if program() == INSTALLED else text


def say(text: str) -> None:
    """Print one line on stderr, in one write, so that lines of several threads do not mix."""
    sys.stderr.write(f"{program()}: {worded(text)}\n")
    sys.stderr.flush()
