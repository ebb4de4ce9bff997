"""What happens to a running task, from outside and from within, and what Airflow's user sees of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.airflow.ecs_deployment import EcsDeployment
from local.machine.waiting import until
from tests.e2e.conftest import LATER, LOAD_FAILED
from tests.e2e.runs import Run


@pytest.fixture
def at_work(deployment: EcsDeployment) -> Callable[[Run, str], str]:
    """Waits until the only task of a run has written these words, and returns the ARN of its ECS task."""

    def wait(run: Run, words: str) -> str:
        arn: str = until(run.running, 180, f"{run.dag_id} runs")[-1]["arn"]
        until(lambda: words in deployment.container_log(arn), 60, f"{run.dag_id} has written {words!r}")
        return arn

    return wait


def test_the_ui_shows_what_a_task_has_written_while_it_runs(happened: dict[str, Run]) -> None:
    run = happened["stopped in the UI"]
    run.until("works_for_an_hour", "running", timeout=180)
    run.until_log("works_for_an_hour", "still at work")
    assert run.states() == {"works_for_an_hour": ["running"]}


def test_a_task_stopped_in_the_ui_runs_its_on_kill(
    happened: dict[str, Run], at_work: Callable[[Run, str], str], deployment: EcsDeployment
) -> None:
    run = happened["stopped in the UI"]
    at_work(run, "still at work")
    deployment.airflow.api.set_state(run.dag_id, run.run_id, "works_for_an_hour", "failed")
    until(lambda: not run.running(), 60, "its container has ended")
    run.until_log("works_for_an_hour", "on_kill: the command is told to end")
    run.until_log("works_for_an_hour", "the command was asked to end")
    assert run.states() == {"works_for_an_hour": ["failed"]}


@pytest.mark.newest
def test_a_task_stopped_from_outside_fails_and_tells_who_stopped_it(
    happened: dict[str, Run], at_work: Callable[[Run, str], str], deployment: EcsDeployment
) -> None:
    run = happened["stopped from outside"]
    arn = at_work(run, "waiting")
    deployment.aws.client("ecs").stop_task(cluster="airflow", task=arn, reason="somebody's maintenance")
    assert run.wait() == "failed"
    run.until_event("wait", "somebody's maintenance")
    assert len(run.ecs_tasks()) == 1, "what somebody stopped is not launched again"


def test_a_task_whose_spot_capacity_is_taken_back_is_launched_again_in_the_same_try(
    happened: dict[str, Run], at_work: Callable[[Run, str], str], deployment: EcsDeployment
) -> None:
    run = happened["interrupted"]
    arn = at_work(run, "waiting")
    deployment.aws.ecs.stop_tasks([arn], stop_code="SpotInterruption", reason="Your Spot Task was interrupted.")
    if not deployment.airflow.has_api_server:
        # Airflow 2 ends a task on SIGTERM, and has reported that when Spot takes the container.
        assert run.wait() == "failed"
        run.until_event("wait", "Your Spot Task was interrupted")
        return
    until(lambda: len(run.ecs_tasks()) == 2, 60, "it is launched again")
    run.let_go()
    assert run.wait() == "success"
    assert run.xcom("wait") == 1
    run.wait_until_gone()
    assert [task["stopCode"] for task in run.ecs_tasks()] == ["SpotInterruption", "EssentialContainerExited"]


@pytest.mark.newest
def test_a_task_that_needs_more_memory_fails_with_the_reason_in_the_ui(demo: dict[str, Run]) -> None:
    run = demo["demo_memory"]
    run.wait()
    assert run.states() == {"needs_more_memory": ["failed"], "afterwards": ["success"]}
    run.until_event("needs_more_memory", "OutOfMemoryError: Container killed due to memory usage")


@pytest.mark.newest
def test_a_container_that_cannot_load_its_dags_uses_up_an_attempt_and_no_try(elsewhere: Run) -> None:
    run = elsewhere
    assert run.until(LATER, "success", "failed").state == "success"
    run.wait_until_gone()
    assert set(run.exit_codes(LATER)) == {LOAD_FAILED, 0}
    assert [instance.try_number for instance in run.instances() if instance.task_id == LATER] == [1]


@pytest.mark.newest
def test_a_task_fails_when_its_attempts_are_used_up(elsewhere: Run) -> None:
    run, task = elsewhere, "never-reaches-s3"
    assert run.until(task, "success", "failed").state == "failed"
    run.wait_until_gone()
    assert run.exit_codes(task) == [LOAD_FAILED] * 3
    run.until_event(task, "No container could be started in 3 attempts")
