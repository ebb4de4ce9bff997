"""Launches that ECS throttles, and schedulers that are killed while tasks run."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from local.airflow.ecs_deployment import EcsDeployment
from local.airflow.services import Service
from local.machine.waiting import until
from tests.e2e.conftest import Try
from tests.e2e.runs import Run, Runs

TASKS = 3
SHARED_TASKS = 20
ADOPTED = re.compile(r"Adopted (\d+) tasks of a scheduler that is gone")
NOTICED_SECONDS = 90


def at_work(runs: Runs, count: int) -> Run:
    """A run with so many tasks that wait for their sign, each in a container that runs."""
    run = runs.start("e2e_many", count=count, wait=True)
    until(lambda: run.states_of("work").count("running") == count, 240, "the tasks run", explain=run.launches)
    return run


def adopted_by(scheduler: Service) -> int:
    """How many tasks a scheduler has taken over since it was first started."""
    return sum(map(int, ADOPTED.findall(scheduler.log())))


def wait_for_adoption(scheduler: Service, count: int) -> None:
    """Wait until a scheduler has taken over so many tasks."""
    what = f"{count} tasks are taken over"
    until(lambda: adopted_by(scheduler) >= count, NOTICED_SECONDS, what, explain=lambda: scheduler.log()[-2000:])


def check_each_ended_once(run: Run, count: int) -> None:
    """Every task has run to its end, in one container and one try."""
    assert run.wait(300) == "success"
    assert run.xcom("total") == sum(range(count))
    assert len(run.ecs_tasks()) == count + 2, run.launches()
    assert {instance.try_number for instance in run.instances()} == {1}
    run.wait_until_gone()


def test_tasks_whose_launches_were_throttled_go_on_while_their_scheduler_is_killed_and_end_once(
    try_it: Try, deployment: EcsDeployment, runs: Runs
) -> None:
    before = deployment.aws.ecs.calls()["RunTask"]["throttled"]
    assert "airflow" in try_it("throttle")
    run = at_work(runs, TASKS)
    assert deployment.aws.ecs.calls()["RunTask"]["throttled"] == before + 5
    scheduler = deployment.airflow.scheduler()
    adopted = adopted_by(scheduler)
    assert "CONTAINER ID" in try_it("kill")
    wait_for_adoption(scheduler, adopted + TASKS)
    assert run.states_of("work") == ["running"] * TASKS
    run.let_go()
    check_each_ended_once(run, TASKS)


@pytest.mark.full
def test_of_two_schedulers_one_is_killed_and_the_other_takes_over(deployment: EcsDeployment, runs: Runs) -> None:
    own = {"AIRFLOW__AWS_ECS_EXECUTOR__RUN_TASK_KWARGS": '{"group": "second"}'}
    first, second = deployment.airflow.scheduler(), deployment.airflow.start_scheduler("second", own)
    until(lambda: "Starting the scheduler" in second.log(), 120, "the second scheduler runs")
    run = at_work(runs, SHARED_TASKS)
    launched = Counter(task["request"].get("group") == "second" for task in run.running())
    by_the_second, count = launched.most_common(1)[0]  # one of them may have been quick enough to launch all
    lost, living = (second, first) if by_the_second else (first, second)
    before = adopted_by(living)
    lost.kill()
    wait_for_adoption(living, before + count)
    run.let_go()
    check_each_ended_once(run, SHARED_TASKS)
    if lost is first:
        first.start()
    second.remove()
