"""What happens to a running task, from outside and from within, and what Airflow's user sees of it."""

from __future__ import annotations

from typing import ClassVar

from local.ecs_deployment import EcsDeployment
from tests.e2e.runs import Run, Runs, until

LOAD_FAILED = 84
"""The exit code of a container whose DAGs could not be loaded for a reason that may pass."""


def running(run: Run, task_id: str, words: str) -> str:
    """Wait until a task has begun its work, and return the ARN of its ECS task."""
    deployment = run.deployment
    run.until(task_id, "running")
    arn: str = until(lambda: run.running(), 60, f"{run.dag_id} runs")[-1]["arn"]
    until(lambda: words in deployment.container_log(arn), 60, f"{run.dag_id} says {words!r}")
    return arn


def test_a_task_that_needs_more_memory_fails_with_the_reason_in_the_ui(runs: Runs) -> None:
    run = runs.start("e2e_memory")
    assert run.wait() == "failed"
    run.until_event("hungry", "OutOfMemoryError: Container killed due to memory usage")


def test_a_task_stopped_in_the_ui_runs_its_on_kill(runs: Runs) -> None:
    run = runs.start("demo_long")
    running(run, "works_for_an_hour", "still at work")
    api = run.deployment.airflow.api
    api.set_state(run.dag_id, run.run_id, "works_for_an_hour", "failed")
    until(lambda: not run.running(), 60, "its container has ended")
    run.until_log("works_for_an_hour", "on_kill: the command is told to end")
    run.until_log("works_for_an_hour", "the command was asked to end")
    assert run.states() == {"works_for_an_hour": ["failed"]}


def test_a_task_stopped_from_outside_fails_and_tells_who_stopped_it(runs: Runs) -> None:
    run = runs.start("e2e_sleep")
    arn = running(run, "sleep", "sleeping")
    run.deployment.aws.client("ecs").stop_task(cluster="airflow", task=arn, reason="somebody's maintenance")
    assert run.wait() == "failed"
    run.until_event("sleep", "somebody's maintenance")
    assert len(run.ecs_tasks()) == 1, "what somebody stopped is not launched again"


def test_a_task_whose_spot_capacity_is_taken_back_is_launched_again_in_the_same_try(runs: Runs) -> None:
    run = runs.start("e2e_sleep", seconds=20)
    arn = running(run, "sleep", "sleeping")
    run.deployment.aws.ecs.stop_tasks([arn], stop_code="SpotInterruption", reason="Your Spot Task was interrupted.")
    assert run.wait() == "success"
    assert run.xcom("sleep") == 1
    assert [task["stopCode"] for task in run.ecs_tasks()] == ["SpotInterruption", "EssentialContainerExited"]


class TestS3IsUnreachableWhenATaskStarts:
    UNREACHABLE: ClassVar[dict[str, str]] = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "DAGS_TIMEOUT": "3"}

    def test_an_attempt_is_used_up_and_airflow_s_try_is_not(self, deployment: EcsDeployment, runs: Runs) -> None:
        with deployment.another_revision(environment=self.UNREACHABLE):
            run = runs.start("e2e_short")
            until(lambda: LOAD_FAILED in exit_codes(run), 60, "a container could not load its DAGs")
        assert run.wait() == "success"
        assert run.instances()[0].try_number == 1
        assert exit_codes(run)[-1] == 0

    def test_the_task_fails_when_its_attempts_are_used_up(self, deployment: EcsDeployment, runs: Runs) -> None:
        with deployment.another_revision(environment=self.UNREACHABLE):
            run = runs.start("e2e_short")
            assert run.wait() == "failed"
        assert exit_codes(run) == [LOAD_FAILED] * 3
        run.until_event("short", "No container could be started in 3 attempts")


def exit_codes(run: Run) -> list[int | None]:
    """Those of its containers, in the order of their launches."""
    return [task["exitCode"] for task in run.ecs_tasks()]
