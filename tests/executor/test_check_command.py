"""``python -m airflow_ecs_executor check`` as a process beside a scheduler: its answer, and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.ecs.control import EcsApi
from local.fake_registry import FakeRegistry
from tests.executor.harness import OPTIONS, variables
from tests.executor.worker_images import RIGHT, WRONG, put_worker, register

FAMILIES = {"right": RIGHT, "wrong": WRONG, "silent": None}


@pytest.fixture
def families(ecs: EcsApi, registry: FakeRegistry) -> FakeRegistry:
    """Task definitions by what their images are; the registry that has these."""
    for family, versions in FAMILIES.items():
        register(ecs, family, put_worker(registry, family, versions))
    return registry


def check(*arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
    """Run the command with options of [aws_ecs_executor] in its environment."""
    given = {name: OPTIONS[name] for name in ("cluster", "container_name", "region_name", "subnets", "conn_id")}
    command = [sys.executable, "-m", "airflow_ecs_executor", "check", *arguments]
    return subprocess.run(
        command, env={**os.environ, **variables({**given, **options})}, capture_output=True, text=True, timeout=60
    )


def test_the_exit_code_tells_what_was_found(families: FakeRegistry) -> None:
    cases: list[tuple[int, dict[str, str], str]] = [
        (0, {"task_definition": "right"}, "task definition right:1, container airflow: fits"),
        (2, {"task_definition": "right", "assign_public_ip": "perhaps"}, "AIRFLOW__AWS_ECS_EXECUTOR__ASSIGN_PUBLIC_IP"),
        (3, {"task_definition": "right", "cluster": "nothing"}, "There is no cluster 'nothing'"),
        (18, {"task_definition": "wrong"}, f"Airflow           {WRONG.airflow}  <- needed is {RIGHT.airflow}"),
        (18, {"task_definition": "wrong:matching"}, "No active revision of wrong has an image that fits"),
        (19, {"task_definition": "silent"}, "nothing in it says which Airflow"),
    ]
    with ThreadPoolExecutor(len(cases)) as pool:  # most of it is the import of Airflow
        ended = list(pool.map(lambda case: check(**case[1]), cases))
    for (code, _, words), done in zip(cases, ended):
        assert done.returncode == code, done.stdout + done.stderr
        assert words in done.stdout and "Traceback" not in done.stderr


def test_other_versions_may_be_asked_for(families: FakeRegistry) -> None:
    done = check("--airflow", WRONG.airflow, "--python", f"{WRONG.python}.1", task_definition="wrong")
    assert done.returncode == 0, done.stdout + done.stderr
    done = check("--python", "3", task_definition="right")
    assert done.returncode == 2 and "Python '3' is no version, such as 3.12" in done.stderr


def test_as_json(families: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ECS_EXECUTOR__CLUSTER", "mine")  # no such section
    done = check("--json", "--task-definition", "wrong", task_definition="nothing")
    answer: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, answer["exit_code"], answer["outcome"]) == (18, 18, "differs")
    assert answer["task_definition"] == "wrong:1" and answer["image"] == f"{families.host}/airflow-worker:wrong"
    assert {"name": "Airflow", "image": WRONG.airflow, "wanted": RIGHT.airflow, "outcome": "differs"} in answer[
        "comparisons"
    ]
    assert "AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER" in done.stderr


def test_a_revision_that_cannot_be_chosen_is_no_misfit(families: FakeRegistry, ecs: EcsApi) -> None:
    ecs.fault("ListTaskDefinitions", "denied")
    done = check("--task-definition", "right:matching", task_definition="right")
    assert done.returncode == 3 and "Allow ecs:ListTaskDefinitions" in done.stdout
