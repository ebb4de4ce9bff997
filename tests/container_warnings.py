r"""Unexpected warnings and errors in the log of a container.

>>> unexpected_warnings("[T] {x.py:1} INFO - started\n[T] {x.py:2} WARNING - no space")
['[T] {x.py:2} WARNING - no space']
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from local.airflow.log_lines import readable_line


@dataclass(frozen=True)
class Expected:
    """A warning that a healthy container may write: the pattern of its line, and why it can be ignored."""

    pattern: str
    reason: str


# Warnings of any image, Airflow and command. A warning that one test causes belongs in that test, as `also`.
EXPECTED: tuple[Expected, ...] = (
    Expected(
        r"RemovedInAirflow3Warning: Timer and timing metrics publish in seconds",
        "Airflow 2 says so of its own default, timer_unit_consistency = False",
    ),
    Expected(r"ProvidersManager\.hooks is deprecated", "Airflow 3 itself asks for connection types in its old way"),
    Expected(r"remote_log_handler_unavailable", "Airflow 3.2 writes it after each task if remote logging is off"),
)

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_TRACEBACK = "Traceback (most recent call last)"
_FINDING = re.compile(
    r"""
    (?<![\w/.=-]) (?:WARN|WARNING|ERROR|CRITICAL|FATAL) (?= \s* (?: [\]:] | \ -\ ))  # logging, gunicorn, uvicorn
    | \[ (?:warning|error|critical|exception) \s* \]                                 # structlog's console, Airflow 3
    | ^airflow-ecs-\w+:\ (?:warning|error):                                          # our programs
    | \b[A-Z]\w*Warning:\                                                            # Python's warnings
    | ^Exception\ ignored\b
    """,
    re.VERBOSE,
)


def unexpected_warnings(log: str, *, also: Sequence[str] = (), expected: Sequence[Expected] = EXPECTED) -> list[str]:
    """Return the unexpected lines of a log with warnings or errors, in a readable form.

    A traceback counts as one line, which ends with its exception. ``also`` lists patterns of other expected warnings.
    """
    patterns = [re.compile(pattern) for pattern in (*(one.pattern for one in expected), *also)]
    return [line for line in _findings(log) if not any(pattern.search(line) for pattern in patterns)]


def _findings(log: str) -> Iterator[str]:
    """Yield the lines with warnings or errors. A traceback is one line."""
    lines = iter([part for line in log.splitlines() for part in readable_line(_COLOR.sub("", line)).splitlines()])
    for line in lines:
        if _TRACEBACK in line:
            yield f"{line} … {_exception(lines)}"
        elif _FINDING.search(line):
            yield line


def _exception(lines: Iterator[str]) -> str:
    """Return the exception of a traceback: its first line that is not indented."""
    return next((line for line in lines if line and not line.startswith((" ", "\t"))), "")
