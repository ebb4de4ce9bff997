"""Airflow's own workloads and commands in the request of a launch."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow_ecs_executor import airflow_compat

from local.ecs.control import EcsApi
from tests.executor.harness import Scheduler, key, task_workload

pytestmark = pytest.mark.oldest


class Generator:
    """What makes tokens in Airflow 3: for a whole set of claims."""

    def generate(self, extras: Any = None, **_: Any) -> str:
        return f"new token of {extras['sub']}"


def test_a_workload_is_run_by_a_command_of_this_airflow(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    scheduler.queue(key())
    scheduler.run_to_the_end()
    (task,) = ecs.tasks()
    command = task["command"]
    if airflow_compat.HAS_WORKLOADS:
        assert command[:-1] == ["python", "-m", "airflow.sdk.execution_time.execute_workload", "--json-string"]
        assert json.loads(command[-1])["ti"]["task_id"] == key().task_id
    else:
        assert command[:6] == ["airflow", "tasks", "run", key().dag_id, key().task_id, key().run_id]


def test_a_workload_is_given_a_new_token_and_nothing_else_changes() -> None:
    workload = task_workload(key())
    if not airflow_compat.HAS_WORKLOADS:  # nor tokens
        assert airflow_compat.command_of(workload, None, renew_token=True) == workload
        return
    old = json.loads(airflow_compat.command_of(workload, Generator(), renew_token=False)[-1])
    new = json.loads(airflow_compat.command_of(workload, Generator(), renew_token=True)[-1])
    assert old["token"] == "a-token" and new["token"] == f"new token of {workload.ti.id}"
    assert {**new, "token": ""} == {**old, "token": ""} and workload.token == "a-token"
