"""The poller: from a running container to its end. Rows are those of the reference executor's defects."""

from __future__ import annotations

import time
from typing import Callable

import pytest

from local.ecs.control import EcsApi
from tests.unit.executor.harness import Scheduler, key


def started(ecs: EcsApi, number: int = 1) -> list[str]:
    """The ARNs of the tasks whose container runs, once there are so many."""
    return [task["arn"] for task in ecs.tasks(["arn", "lastStatus"]) if task["lastStatus"] == "RUNNING"][:number]


def test_row_4_describes_come_in_full_batches_within_the_budget(ecs: EcsApi) -> None:
    scheduler = Scheduler(
        parallelism=150, run_task_rate="1000", run_task_burst="1000", poll_interval="0.5", describe_tasks_rate="100"
    )
    ecs.configure(run_seconds=None)
    scheduler.queue_all(150)
    scheduler.run(lambda: ecs.running() == 150)
    before, started_at = ecs.calls()["DescribeTasks"]["count"], time.monotonic()
    scheduler.run(lambda: ecs.calls()["DescribeTasks"]["count"] >= before + 4)
    rounds = (time.monotonic() - started_at) / 0.5 + 2
    assert ecs.calls()["DescribeTasks"]["count"] - before <= 2 * rounds, "150 tasks are two calls"


def test_row_4_describes_stay_within_the_rate(ecs: EcsApi) -> None:
    scheduler = Scheduler(describe_tasks_rate="4")
    ecs.configure(run_seconds=None)
    scheduler.queue(key())
    scheduler.run(lambda: bool(started(ecs)))
    scheduler.for_a_while(0.2)
    before, started_at = ecs.calls()["DescribeTasks"]["count"], time.monotonic()
    scheduler.for_a_while(1.0)
    assert ecs.calls()["DescribeTasks"]["count"] - before <= 4 * (time.monotonic() - started_at) + 4


def test_the_end_of_the_container_counts_not_the_end_of_the_task(ecs: EcsApi) -> None:
    """ECS takes the network of a Fargate task down for many seconds after its container has ended."""
    scheduler = Scheduler()
    ecs.configure(run_seconds=0.1, deprovision_seconds=60)
    scheduler.queue(key())
    scheduler.run_to_the_end(timeout=5)
    assert scheduler.states() == ["running", "success"]


def test_row_7_a_sidecar_that_fails_does_not_fail_the_task(ecs: EcsApi) -> None:
    scheduler = Scheduler(task_definition="worker-with-sidecar")
    ecs.configure(run_seconds=0.1, sidecar_exit_codes={"sidecar": 1})
    scheduler.complete()
    assert len(ecs.tasks()) == 1 and scheduler.states() == ["running", "success"]


@pytest.mark.parametrize(("runnable", "option"), [(False, "relaunch"), (True, "fail")])
def test_a_spot_interruption_fails_a_task_that_reported_itself_and_by_option_any(
    ecs: EcsApi, runnable: bool, option: str
) -> None:
    scheduler = Scheduler(spot_interruptions=option)
    scheduler.airflow.runnable = runnable
    ecs.configure(run_seconds=None)
    scheduler.queue(key())
    scheduler.run(lambda: bool(started(ecs)))
    ecs.stop_tasks(started(ecs), stop_code="SpotInterruption", reason="Your Spot Task was interrupted.", exit_code=143)
    scheduler.run_to_the_end()
    assert len(ecs.tasks()) == 1 and scheduler.ends() == {key(): ["failed"]}
    assert scheduler.airflow.interrupted == ([key()] if option == "relaunch" else [])
    assert "Interrupted: AWS took the Spot capacity back" in scheduler.notes[-1][1]


def test_one_task_that_ecs_refuses_to_describe_does_not_hide_the_others(ecs: EcsApi) -> None:
    scheduler = Scheduler(missing_grace_period="0.2")
    ecs.configure(run_seconds=0.5)
    scheduler.queue_all(7)
    scheduler.run(lambda: len(scheduler.states()) == 7)
    bad = ecs.tasks(["arn"])[3]["arn"]
    ecs.fault("DescribeTasks", "error", code="InvalidParameterException", message="Invalid identifier", match=bad)
    scheduler.run_to_the_end()
    assert sorted(states[0] for states in scheduler.ends().values()) == ["failed"] + ["success"] * 6
    assert "has not known this task" in scheduler.notes[-1][1]


@pytest.mark.parametrize("code", [137, 0], ids=["Airflow's process was killed", "another, and Airflow reported that"])
def test_row_23_out_of_memory_is_said_in_the_task_s_event_log(ecs: EcsApi, code: int) -> None:
    scheduler = Scheduler()
    ecs.configure(
        run_seconds=0.1, exit_code=code, container_reason="OutOfMemoryError: Container killed due to memory usage"
    )
    scheduler.complete()
    # If the kernel kills the task's process and not Airflow's, what the task itself has reported stands.
    assert scheduler.states() == ["running", "success" if code == 0 else "failed"]
    ((noted, text),) = scheduler.notes
    assert noted.task_id == "task-0"
    assert text.startswith("ecs container reason: " if code == 0 else "ecs task failed: ")
    for part in ("OutOfMemoryError", f"exit code {code}", "raise `memory`", "arn:aws:ecs"):
        assert part in text


def test_nothing_is_logged_while_nothing_changes(ecs: EcsApi, said: Callable[[], str]) -> None:
    scheduler = Scheduler()
    ecs.configure(run_seconds=None)
    scheduler.queue(key())
    scheduler.run(lambda: bool(started(ecs)) and scheduler.states() == ["running"])
    before, looks = said(), ecs.calls()["DescribeTasks"]["count"]
    scheduler.run(lambda: ecs.calls()["DescribeTasks"]["count"] > looks + 3)
    assert said() == before
