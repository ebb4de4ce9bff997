"""Messages for people, on stderr."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """One line for the person who waits; one write, so that lines of several threads do not mix."""
    sys.stderr.write(f"build.py: {text}\n")
    sys.stderr.flush()
