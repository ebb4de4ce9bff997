"""Schedulers that do not start, and schedulers that are killed."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from local.airflow_services import Service
from local.aws import REGISTRY
from local.ecs_deployment import EcsDeployment
from local.fake_registry import RealRegistry, put_image
from local.waiting import until
from tests.e2e.runs import Run, Runs

TASKS = 20
ADOPTED = re.compile(r"Adopted (\d+) tasks of a scheduler that is gone")
NOTICED_SECONDS = 90
"""Airflow takes a scheduler for gone after 30 s without a heartbeat."""


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
    code = scheduler.wait(120)
    log = scheduler.log()
    scheduler.remove()
    assert code != 0
    assert "Python: the image has 3.7" in log
    assert [task for task in deployment.aws.ecs.tasks() if "/misfit:" in task["taskDefinition"]] == []


def at_work(runs: Runs) -> Run:
    """A run whose tasks wait for their sign, each in a container that runs."""
    run = runs.start("e2e_many", count=TASKS, wait=True)
    until(lambda: run.states_of("work").count("running") == TASKS, 240, "the tasks run", explain=run.launches)
    return run


def adopted_by(scheduler: Service) -> int:
    """How many tasks a scheduler has taken over since it was first started."""
    return sum(map(int, ADOPTED.findall(scheduler.log())))


def wait_for_adoption(scheduler: Service, count: int) -> None:
    """Wait until a scheduler has taken over so many tasks."""
    what = f"{count} tasks are taken over"
    until(lambda: adopted_by(scheduler) >= count, NOTICED_SECONDS, what, explain=lambda: scheduler.log()[-2000:])


def check_each_ended_once(run: Run) -> None:
    """Every task has run to its end, in one container and one try."""
    assert run.wait(300) == "success"
    assert run.xcom("total") == sum(range(TASKS))
    assert len(run.ecs_tasks()) == TASKS + 2, run.launches()
    assert {instance.try_number for instance in run.instances()} == {1}
    run.wait_until_gone()


def test_tasks_go_on_while_their_scheduler_is_killed_and_end_once(deployment: EcsDeployment, runs: Runs) -> None:
    run = at_work(runs)
    scheduler = deployment.airflow.scheduler()
    before = adopted_by(scheduler)
    scheduler.kill()
    scheduler.start()
    wait_for_adoption(scheduler, before + TASKS)
    assert run.states_of("work") == ["running"] * TASKS
    run.let_go()
    check_each_ended_once(run)


@pytest.mark.full
def test_of_two_schedulers_one_is_killed_and_the_other_takes_over(deployment: EcsDeployment, runs: Runs) -> None:
    own = {"AIRFLOW__AWS_ECS_EXECUTOR__RUN_TASK_KWARGS": '{"group": "second"}'}
    first, second = deployment.airflow.scheduler(), deployment.airflow.start_scheduler("second", own)
    until(lambda: "Starting the scheduler" in second.log(), 120, "the second scheduler runs")
    run = at_work(runs)
    launched = Counter(task["request"].get("group") == "second" for task in run.running())
    by_the_second, count = launched.most_common(1)[0]  # one of them may have been quick enough to launch all
    lost, living = (second, first) if by_the_second else (first, second)
    before = adopted_by(living)
    lost.kill()
    wait_for_adoption(living, before + count)
    run.let_go()
    check_each_ended_once(run)
    if lost is first:
        first.start()
    second.remove()
