"""S3 fails in a real container: the task does not start, and one line says why and what to do.

Each fault of S3 is tested without containers, in tests/unit/entrypoint; here are one of each exit code, and what takes
a real file system.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.aws_services.fake_s3 import FakeS3Service
from tests.images.conftest import Tasks


@dataclass(frozen=True)
class Case:
    """What is wrong, and what the container must say and end with."""

    code: int
    said: tuple[str, ...]
    environment: Mapping[str, str | None] = field(default_factory=dict)
    fault: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


DAG = "project/project_report.py"
TINY = {"tmpfs": {"/opt/airflow/dags": "size=16k,uid=50000,gid=0,mode=0775"}}
READ_ONLY = {"tmpfs": {"/opt/airflow/dags": "ro,size=1m"}}
CASES = {
    "no S3_URI": Case(80, ("S3_URI is not set",), {"S3_URI": None}),
    "may not read": Case(
        81,
        (f"allow s3:GetObject on arn:aws:s3:::dags/{DAG} ",),
        fault={"key": DAG, "kind": "error", "code": "AccessDenied", "status": 403},
    ),
    "full disk": Case(82, ("no space left", "ephemeral storage"), {"DAGS_CONCURRENCY": "1"}, options=TINY),
    "read-only folder": Case(82, ("the file system is read-only",), options=READ_ONLY),
    "S3 unreachable": Case(
        84,
        ("no complete answer from fake-s3", "route"),
        {"AWS_ENDPOINT_URL": "http://fake-s3:9", "AWS_MAX_ATTEMPTS": "2"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_task_does_not_start(name: str, tasks: Tasks, fake_s3: FakeS3Service) -> None:
    case = CASES[name]
    fake_s3.set_faults([case.fault] if case.fault else [])
    task = tasks.pool.take("project_provoke", "succeed")
    environment = {"AWS_ENDPOINT_URL": fake_s3.container_endpoint, **case.environment}
    result = tasks.run(task, warns=("airflow-ecs-entrypoint: error: ",), environment=environment, **case.options)
    tasks.pool.give_back(task)
    assert result.exit_code == case.code, result.describe()
    assert result.state == "queued", "Airflow never heard of an attempt"
    (line,) = result.output.splitlines()
    assert line.startswith("airflow-ecs-entrypoint: error: ") and line.endswith("; airflow tasks run was not started")
    for words in case.said:
        assert words in line
    assert task.run_id not in line, "no command arguments in logs"


def test_a_fault_that_passes_is_waited_for(tasks: Tasks, fake_s3: FakeS3Service) -> None:
    """Throttled, then broken off, then well: the task runs."""
    fake_s3.set_faults(
        [
            {"key": "", "kind": "error", "times": 2, "code": "SlowDown", "status": 503},
            {"key": DAG, "kind": "break", "times": 1},
        ]
    )
    tasks.load(environment={"AWS_ENDPOINT_URL": fake_s3.container_endpoint})
