"""The container's log in Airflow's UI, by Airflow's own reader. What it says: tests/unit/executor/test_task_log.py."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
from typing import Any

import boto3
import pytest
from airflow_ecs_executor import airflow_compat

from local.ecs.control import EcsApi
from local.fakes.logs import FakeLogs
from tests.executor.harness import OPTIONS, variables
from tests.unit.executor.container_log import GROUP, NO_TASK, define, stream_of

NEW = 1767225600.0  # 2026-01-01T00:00:00Z


@pytest.fixture
def running(ecs: EcsApi) -> str:
    """The ARN of a task that runs and logs."""
    define(ecs)
    ecs.configure(run_seconds=None)
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    with contextlib.closing(boto3.client("ecs", endpoint_url=ecs.url)) as client:
        return str(
            client.run_task(cluster="airflow", taskDefinition="worker", networkConfiguration=network)["tasks"][0][
                "taskArn"
            ]
        )


def airflow_shows(*requests: dict[str, Any]) -> list[list[list[str]]]:
    """What Airflow's own log reader shows, in a process like its webserver."""
    environment = {
        **os.environ,
        **variables(OPTIONS),
        "AIRFLOW__CORE__EXECUTOR": "airflow_ecs_executor.AwsEcsExecutor",
        "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",  # Airflow 2 refuses SQLite
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.executor.ui_log", json.dumps(requests)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    found: list[list[list[str]]] = json.loads(done.stdout.splitlines()[-1])
    return found


def index_of(texts: list[str], part: str) -> int:
    (found,) = [number for number, text in enumerate(texts) if part in text]
    return found


def test_airflow_s_reader_shows_the_container_s_log_beside_its_own(running: str, logs: FakeLogs) -> None:
    """By time; of an older try that try's own; of a task that has ended nothing.

    Airflow 2 asks for an older try with the record of the newest one, Airflow 3 not at all.
    """
    is_airflow_3 = airflow_compat.HAS_WORKLOADS
    own = '{"timestamp": "2026-01-01T00:00:01Z", "event": "airflow 1"}'
    if not is_airflow_3:
        own = "[2026-01-01T00:00:01.000+0000] {module.py:1} INFO - airflow 1"
    logs.put(GROUP, stream_of(running), "dags loaded", start=NEW)
    logs.put(GROUP, stream_of(running), "Traceback:\n  in x", start=NEW + 2)
    logs.put(GROUP, stream_of(NO_TASK), "of the first try")
    ended = running[:-4] + "eeee"
    logs.put(GROUP, stream_of(ended), "unseen")
    shown, older, after = airflow_shows(
        {"arns": [running], "try": 1, "state": "running", "own": [own]},
        {"arns": [NO_TASK, running], "try": 1, "state": "running"},
        {"arns": [ended], "try": 1, "state": "failed"},
    )
    texts = [text for _, text in shown]
    positions = [index_of(texts, part) for part in ("dags loaded", "airflow 1", "Traceback:", "  in x")]
    assert positions == sorted(positions), texts
    assert any(f"stream {stream_of(running)}" in text for text in texts), "where it comes from is said"
    assert not any("Could not read served logs" in text for text in texts), "nobody looked for a log server"
    if is_airflow_3:
        assert [moment[:19] for moment, text in shown if text == "dags loaded"] == ["2026-01-01T00:00:00"]
    assert "dags loaded" not in str(older) and ("of the first try" in str(older)) is not is_airflow_3
    assert stream_of(ended) not in {request["logStreamName"] for request in logs.requests}, str(after)


@pytest.mark.oldest
def test_secrets_that_airflow_knows_are_masked_in_what_is_written_of_a_log() -> None:
    mask_secret("correct-horse-battery")
    assert airflow_compat.redact("password=correct-horse-battery") == "password=***"


def mask_secret(secret: str) -> None:
    """Make it known to Airflow's secrets masker."""
    for name in airflow_compat._SECRETS_MASKERS:
        try:
            importlib.import_module(name).mask_secret(secret)
            return
        except ImportError:
            pass
    pytest.fail("no secrets masker")
