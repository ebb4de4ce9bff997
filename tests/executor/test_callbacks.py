"""Callbacks as workloads: from Airflow 3.3 on, whose containers know how to run them."""

from __future__ import annotations

import json
from typing import Any

from airflow.executors.base_executor import BaseExecutor
from airflow_ecs_executor import airflow_compat
from airflow_ecs_executor.executor import AwsEcsExecutor

from local.ecs.control import EcsApi
from tests.executor.harness import Scheduler, key


def callback_workload(identifier: str) -> Any:
    """A deadline callback, as the scheduler of Airflow 3.3 queues it."""
    from airflow.executors import workloads
    from airflow.executors.workloads.callback import CallbackDTO, CallbackFetchMethod

    return workloads.ExecuteCallback(
        callback=CallbackDTO(
            id=identifier, fetch_method=CallbackFetchMethod.IMPORT_PATH, data={"path": "a.b", "kwargs": {}}
        ),
        dag_rel_path="dag.py",
        bundle_info=workloads.BundleInfo(name="dags-folder"),
        token="a-token",
        log_path="callback.log",
    )


def test_callbacks_are_offered_where_containers_can_run_them() -> None:
    assert AwsEcsExecutor.supports_callbacks == hasattr(BaseExecutor, "run_workload")


def test_a_callback_runs_in_a_container_of_its_own(ecs: EcsApi) -> None:
    if not airflow_compat.CONTAINERS_RUN_CALLBACKS:
        assert not AwsEcsExecutor.supports_callbacks  # then Airflow gives the executor none
        return
    scheduler = Scheduler()
    good = callback_workload("00000000-0000-0000-0000-000000000001")
    bad = callback_workload("00000000-0000-0000-0000-000000000002")
    ecs.configure(run_seconds=0.2)
    ecs.behave("000000000002", exit_code=1)
    for workload in (good, bad):
        scheduler.executor.queue_workload(workload, session=None)
    scheduler.queue(key())
    scheduler.run(lambda: not scheduler.executor.queued_callbacks and not scheduler.executor.running)
    ends = {str(name): states for name, states in scheduler.ends().items()}
    assert ends[str(good.key)] == ["success"] and ends[str(bad.key)] == ["failed"] and len(ends) == 3
    (task,) = [task for task in ecs.tasks() if "000000000001" in json.dumps(task["command"])]
    assert task["tags"]["airflow:callback_id"] == "00000000-0000-0000-0000-000000000001"
