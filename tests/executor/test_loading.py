"""How Airflow finds the executor: alone, beside others, by an alias, and for single tasks."""

from __future__ import annotations

import os
import subprocess
import sys

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


def test_airflow_loads_the_executor_as_it_is_named() -> None:
    """By its alias, its class and its path, beside another. Alone, as the default: test_config_command.py."""
    environment = {
        **os.environ,
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor,ecs:airflow_ecs_executor.AwsEcsExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://airflow:airflow@127.0.0.1:9/airflow",
    }
    names = ["ecs", "airflow_ecs_executor.AwsEcsExecutor", "AwsEcsExecutor"]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *names], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = [line for line in done.stdout.splitlines() if "Executor" in line and " " not in line]
    assert loaded == [LOCAL, OURS, OURS, OURS]
