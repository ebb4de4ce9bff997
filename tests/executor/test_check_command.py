"""``python -m airflow_ecs_executor check`` as a process beside a scheduler, by Airflow's own configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.ecs.control import EcsApi
from local.fakes.registry import FakeRegistry
from tests.executor.harness import OPTIONS, variables
from tests.unit.executor.worker_images import WRONG, put_worker, register


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with options of [aws_ecs_executor] in its environment."""
    names = ("cluster", "container_name", "region_name", "subnets", "conn_id", "task_definition")
    environment = {**os.environ, **variables({name: OPTIONS[name] for name in names})}
    command = [sys.executable, "-m", "airflow_ecs_executor", "check", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_what_airflow_says_is_compared_and_only_the_answer_is_printed(
    ecs: EcsApi, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(ecs, "worker", put_worker(registry, "wrong", WRONG))
    monkeypatch.setenv("AIRFLOW__ECS_EXECUTOR__CLUSTER", "mine")  # no such section
    with ThreadPoolExecutor(3) as pool:  # most of it is the import of Airflow
        cases = [(), ("--airflow", WRONG.airflow, "--python", f"{WRONG.python}.1"), ("--python", "3")]
        differs, fits, refused = pool.map(lambda arguments: check(*arguments), cases)
    assert differs.returncode == 18, differs.stdout + differs.stderr
    assert differs.stdout.startswith("task definition worker:2, container airflow: ")
    assert "AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER" in differs.stderr and "Traceback" not in differs.stderr
    assert fits.returncode == 0, fits.stdout + fits.stderr
    assert refused.returncode == 2 and "Python '3' is not a valid version such as 3.12" in refused.stderr
