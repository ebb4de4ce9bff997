"""What a container's log warns of is found in every format, and what is expected is left out."""

from __future__ import annotations

import json

import pytest

from tests.container_warnings import EXPECTED, Expected, unexpected_warnings

HEALTHY = """\
airflow-ecs-entrypoint: loading DAGs from s3://dags/project
[2026-01-02T03:04:05.678+0000] {taskinstance.py:1206} INFO - Marking task as SUCCESS, errors: 0, warnings: 0
2026-01-02T03:04:05.678901Z [info     ] Task finished                  [supervisor] exit_code=0 level=WARNING
{"timestamp": "2026-01-02T03:04:05Z", "level": "info", "event": "no error"}
[2026-01-02 03:04:05 +0000] [7] [INFO] Booting worker
AIRFLOW__LOGGING__LOGGING_LEVEL=WARNING
loaded /opt/errors/WARNING.txt
"""


def test_a_healthy_log_has_none() -> None:
    assert unexpected_warnings(HEALTHY) == []


@pytest.mark.parametrize(
    "line",
    [
        "airflow-ecs-entrypoint: warning: the DAGs could not be loaded",
        "airflow-ecs-entrypoint: error: S3_URI is not valid",
        "[2026-01-02T03:04:05.678+0000] {taskinstance.py:12} WARNING - no space",
        "[2026-01-02T03:04:05.678+0000] {taskinstance.py:12} ERROR - Task failed with exception",
        "[2026-01-02 03:04:05,678] {x.py:12} CRITICAL - gone",
        "2026-01-02T03:04:05.678901Z [warning  ] Skipping a bundle              [dags] loc=x.py:1",
        "2026-01-02T03:04:05.678901Z [error    ] Task failed",
        "[2026-01-02 03:04:05 +0000] [7] [WARNING] Worker timed out",
        "WARNING:  Unsupported upgrade request.",
        "WARNING:root:text",
        "/opt/airflow/x.py:3: DeprecationWarning: do not use this",
        "/opt/airflow/x.py:3: RemovedInAirflow4Warning: do not use this",
        "<string>:1: SyntaxWarning: invalid escape sequence",
        "sys:1: ResourceWarning: unclosed file",
        "Exception ignored in: <function Pool.__del__ at 0x7f>",
    ],
)
def test_every_way_to_warn_is_found(line: str) -> None:
    assert unexpected_warnings(f"{HEALTHY}{line}\n{HEALTHY}") == [line]


def test_colors_are_not_in_the_way() -> None:
    line = "[\x1b[34m2026-01-02T03:04:05.678+0000\x1b[0m] {\x1b[34mx.py:\x1b[0m12} \x1b[33mWARNING\x1b[0m - no space"
    assert unexpected_warnings(line) == ["[2026-01-02T03:04:05.678+0000] {x.py:12} WARNING - no space"]


def test_airflow_3s_json_is_read() -> None:
    entry = {"timestamp": "T", "level": "warning", "event": "no space", "logger": "task"}
    assert unexpected_warnings(f"{HEALTHY}{json.dumps(entry)}") == ["[T] WARNING - no space"]


def test_a_traceback_is_one_line_with_its_exception() -> None:
    log = (
        'Traceback (most recent call last):\n  File "x.py", line 7, in work\n    raise ValueError(x)\nValueError: no\n'
    )
    assert unexpected_warnings(HEALTHY + log + HEALTHY) == ["Traceback (most recent call last): … ValueError: no"]


def test_a_traceback_in_json_is_found_as_well() -> None:
    error = {"exc_type": "ValueError", "exc_value": "no", "frames": [{"filename": "x.py", "lineno": 7, "name": "work"}]}
    log = json.dumps({"event": "Task failed", "level": "error", "error_detail": [error]})
    assert unexpected_warnings(log) == ["ERROR - Task failed", "Traceback (most recent call last): … ValueError: no"]


def test_what_is_expected_is_left_out_and_nothing_else() -> None:
    log = "WARNING: disk is slow\nWARNING: disk is full\nWARNING: retry 2 of 3\n"
    slow = Expected("disk is slow$", "a test machine")
    assert unexpected_warnings(log, expected=[slow], also=[r"retry \d of 3"]) == ["WARNING: disk is full"]


def test_a_log_cut_within_a_traceback_is_read_to_its_end() -> None:
    assert unexpected_warnings('Traceback (most recent call last):\n  File "x.py"') == [
        "Traceback (most recent call last): … "
    ]


def test_no_entry_of_the_list_expects_whatever_there_is() -> None:
    for entry in EXPECTED:
        assert entry.reason
        assert unexpected_warnings("WARNING: something nobody knows", expected=[entry])
