"""Lines of a task's log, as a person reads them."""

from __future__ import annotations

import json

import pytest

from local.airflow.log_lines import readable_line


def test_an_object_is_a_line_without_what_every_line_repeats() -> None:
    entry = {"timestamp": "T", "level": "info", "event": "done", "ti_id": "1", "lineno": 3, "rows": 7}
    assert readable_line(json.dumps(entry)) == "[T] INFO - done rows=7"


@pytest.mark.parametrize(
    "line", ["[2026-01-02] {x.py:1} INFO - text", "[1, 2]", '{"level": "info"}', "17", '"text"', "null"]
)
def test_anything_else_stays_as_it_is(line: str) -> None:
    assert readable_line(line) == line


def test_an_exception_has_its_traceback_below() -> None:
    frames = [{"filename": "/dags/x.py", "lineno": 7, "name": "work"}]
    error = {"exc_type": "ValueError", "exc_value": "no", "frames": frames, "notes": []}
    assert readable_line(json.dumps({"event": "Task failed", "level": "error", "error_detail": [error]})) == (
        'ERROR - Task failed\nTraceback (most recent call last):\n  File "/dags/x.py", line 7, in work\nValueError: no'
    )
