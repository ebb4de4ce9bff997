"""Schedulers that do not start, and schedulers that are killed."""

from __future__ import annotations

import pytest

from local.aws import REGISTRY
from local.ecs_deployment import EcsDeployment
from local.fake_registry import RealRegistry, put_image
from tests.e2e.runs import Runs, until

TASKS = 20


def test_a_scheduler_whose_image_has_another_python_does_not_start(deployment: EcsDeployment) -> None:
    airflow = deployment.airflow.airflow
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": [f"AIRFLOW_VERSION={airflow}", "PYTHON_VERSION=3.7.1"]},
    }
    put_image(RealRegistry(deployment.aws.registry), "misfit", "1", config)
    deployment.register(f"{REGISTRY}/misfit:1", "misfit")
    scheduler = deployment.airflow.start_scheduler("misfit", {"AIRFLOW__AWS_ECS_EXECUTOR__TASK_DEFINITION": "misfit"})
    until(lambda: not scheduler.running, 90, "the scheduler has ended")
    assert "Python: the image has 3.7" in scheduler.log()


def test_tasks_go_on_while_their_scheduler_is_killed_and_end_once(deployment: EcsDeployment, runs: Runs) -> None:
    run = runs.start("e2e_many", count=TASKS, seconds=30)
    until(lambda: len(run.running()) >= TASKS - 2, 120, "the tasks run")
    deployment.airflow.scheduler().kill()
    deployment.airflow.scheduler().start()
    assert run.wait(240) == "success"
    assert run.xcom("total") == sum(range(TASKS))
    assert len(run.ecs_tasks()) == TASKS + 2, run.launches()
    assert {instance.try_number for instance in run.instances()} == {1}
    run.wait_until_gone()


@pytest.mark.full
def test_of_two_schedulers_one_is_killed_and_the_other_takes_over(deployment: EcsDeployment, runs: Runs) -> None:
    second = deployment.airflow.start_scheduler("second")
    run = runs.start("e2e_many", count=TASKS, seconds=60)
    until(lambda: len(run.running()) >= TASKS - 2, 180, "the tasks run")
    second.kill()
    assert run.wait(400) == "success"
    assert run.xcom("total") == sum(range(TASKS))
    assert len(run.ecs_tasks()) == TASKS + 2, run.launches()
    assert {instance.try_number for instance in run.instances()} == {1}
    run.wait_until_gone()
