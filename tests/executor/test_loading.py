"""How Airflow finds the executor: alone, beside others, by an alias, and for single tasks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import sys
from airflow.executors.executor_loader import ExecutorLoader
names = ExecutorLoader.get_executor_names() if hasattr(ExecutorLoader, "get_executor_names") else []
for name in [None, *sys.argv[1:]]:
    executor = ExecutorLoader.load_executor(name) if name else ExecutorLoader.get_default_executor()
    print(type(executor).__module__ + "." + type(executor).__name__)
import threading
assert threading.active_count() == 1, "to be loaded is no reason to start threads"
"""
OURS = "airflow_ecs_executor.executor.AwsEcsExecutor"
LOCAL = "airflow.executors.local_executor.LocalExecutor"


@pytest.mark.parametrize(
    ("setting", "names", "loaded"),
    [
        ("airflow_ecs_executor.AwsEcsExecutor", [], [OURS]),
        (
            "LocalExecutor,airflow_ecs_executor.AwsEcsExecutor",
            ["airflow_ecs_executor.AwsEcsExecutor", "AwsEcsExecutor"],
            [LOCAL, OURS, OURS],
        ),
        ("ecs:airflow_ecs_executor.AwsEcsExecutor,LocalExecutor", ["ecs", "LocalExecutor"], [OURS, OURS, LOCAL]),
    ],
)
def test_airflow_loads_the_executor_as_it_is_named(setting: str, names: list[str], loaded: list[str]) -> None:
    environment = {
        **os.environ,
        "AIRFLOW__CORE__EXECUTOR": setting,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://airflow:airflow@127.0.0.1:9/airflow",
    }
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *names], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line for line in done.stdout.splitlines() if "Executor" in line and " " not in line] == loaded
