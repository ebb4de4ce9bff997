"""Lines of a task's log as readable text: Airflow 3 writes JSON objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

# What Airflow 3 repeats on every line of a task's log.
_NOISE = (
    "logger", "filename", "lineno", "dag_id", "task_id", "run_id", "map_index", "try_number", "ti_id",
)  # fmt: skip


def readable(entry: Mapping[str, Any]) -> str:
    """Return a log entry as a line, with an error's traceback below it. Raises KeyError without an event."""
    details = {key: value for key, value in entry.items() if key not in (*_NOISE, "timestamp", "level", "event")}
    errors = details.pop("error_detail", None) or []
    if not isinstance(errors, list):  # as a text, it is shown as it is
        details["error_detail"], errors = errors, []
    stamp = f"[{entry['timestamp']}] " if entry.get("timestamp") else ""
    level = f"{str(entry['level']).upper()} - " if entry.get("level") else ""
    end = "".join(f" {key}={value}" for key, value in details.items())
    return "\n".join(
        [f"{stamp}{level}{entry['event']}{end}", *(line for error in errors for line in _traceback(error))]
    )


def _traceback(error: Mapping[str, Any]) -> Iterator[str]:
    """Yield an exception with its traceback as Python writes it, without the source lines."""
    yield "Traceback (most recent call last):"
    for frame in error.get("frames") or []:
        yield f'  File "{frame.get("filename")}", line {frame.get("lineno")}, in {frame.get("name")}'
    yield f"{error.get('exc_type')}: {error.get('exc_value')}"


def readable_line(line: str) -> str:
    """Return a line of a task's log file as text; a line that is not a JSON entry is returned unchanged."""
    try:
        return readable(json.loads(line))
    except (ValueError, AttributeError, KeyError, TypeError):
        return line
