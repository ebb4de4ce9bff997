"""One run from its start to its end, and what it tells Airflow. Rows are those of the reference executor's defects."""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Callable

import pytest
from airflow_ecs_executor.airflow_side import QueuedWorkload

from local.ecs.control import EcsApi
from tests.unit.executor.harness import Airflow, Scheduler, finish_all, key, launched, patient

# What Airflow is told


def test_launches_ends_and_troubles_are_counted(ecs: EcsApi, said: Callable[[], str]) -> None:
    scheduler = Scheduler(max_run_task_attempts="2")
    ecs.configure(run_seconds=0.5)
    ecs.behave("task-1", exit_code=1)
    ecs.behave("task-2", times=1, never_starts="CannotPullContainerError: timeout")
    ecs.fault("RunTask", "throttle", times=2)
    ecs.fault("RunTask", "server_error", match="task-3", times=1)
    scheduler.queue_all(4)
    scheduler.run_to_the_end()
    figures = scheduler.airflow.figures
    assert figures.counters == {
        "launched": 5, "succeeded": 3, "failed": 1, "throttled": 2, "api_errors": 1, "server_errors": 1,
        "never_started": 1,
    }  # fmt: skip
    assert max(figures.gauges["running"]) >= 1 and figures.gauges["running"][-1] == 0
    assert {"queued", "pending_launches"} <= set(figures.gauges)
    assert len(figures.timings["launch_latency"]) == 5
    assert "1 succeeded" in said() or "2 succeeded" in said() or "3 succeeded" in said()


def test_an_executor_that_raises_does_not_end_the_loop(
    ecs: EcsApi, monkeypatch: pytest.MonkeyPatch, said: Callable[[], str]
) -> None:
    scheduler = Scheduler()
    ecs.configure(run_seconds=0.1)
    monkeypatch.setattr(scheduler, "running_state", lambda *told: 1 / 0)
    scheduler.complete()
    assert scheduler.states() == ["success"]
    assert "Unexpected error in the ECS executor; the scheduler continues" in said()


def test_without_a_name_the_deployment_is_that_of_the_database(ecs: EcsApi) -> None:
    class Elsewhere(Airflow):
        def database_place(self) -> str:
            return "another:5432/airflow "

    for airflow in (Airflow(), Airflow(), Elsewhere()):
        scheduler = Scheduler(deployment="", airflow=airflow)
        scheduler.complete()
    here, again, elsewhere = (
        {task["startedBy"], task["environment"]["AIRFLOW_ECS_TASK_INSTANCE"]} for task in ecs.tasks()
    )
    assert here == again and not here & elsewhere
    assert all(task["startedBy"].startswith("airflow-") for task in ecs.tasks())


# The end


def test_row_11_terminate_stops_every_container_and_launches_none_again(ecs: EcsApi) -> None:
    scheduler = Scheduler(parallelism=4)
    launched(ecs, scheduler, 4)
    for number in range(10, 20):
        scheduler.queue(key(number))
    scheduler.beat()
    scheduler.executor.terminate()
    assert ecs.running() == 0
    time.sleep(0.2)
    assert len(ecs.tasks()) == 4
    assert {task["stopCode"] for task in ecs.tasks()} == {"UserInitiated"}


def test_terminate_stops_what_is_being_launched(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    ecs.configure(run_seconds=None)
    ecs.fault("RunTask", "latency", seconds=0.5)
    scheduler.queue_all(5)
    scheduler.beat()
    deadline = time.monotonic() + 10
    while not ecs.calls().get("RunTask") and time.monotonic() < deadline:
        time.sleep(0.01)
    scheduler.executor.terminate()
    assert ecs.running() == 0


def test_containers_that_cannot_be_stopped_in_time_are_said(ecs: EcsApi, warned: Callable[[], str]) -> None:
    scheduler = Scheduler(policy=patient(terminate_timeout=0.3))
    launched(ecs, scheduler, 2)
    ecs.fault("StopTask", "throttle")
    scheduler.executor.terminate()
    assert "2 ECS tasks could not be stopped" in warned() and ecs.running() == 2


def test_row_12_end_lets_run_what_runs_and_launches_nothing(ecs: EcsApi, said: Callable[[], str]) -> None:
    scheduler = Scheduler(run_task_rate="0.1", run_task_burst="3")
    ecs.configure(run_seconds=0.5)
    scheduler.queue_all(50)
    scheduler.run(lambda: len(ecs.tasks(["arn"])) == 3)
    scheduler.executor.end(heartbeat_interval=0.05)
    assert {task["exitCode"] for task in ecs.tasks()} == {0} and len(ecs.tasks()) == 3
    assert len(scheduler.ends()) == 3 and "Waiting for" in said()


def test_row_12_end_returns_at_once_when_nothing_runs(ecs: EcsApi) -> None:
    Scheduler().executor.end(heartbeat_interval=60.0)


# Revocation


def test_row_17_a_revoked_task_s_container_is_stopped_and_nothing_is_reported(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    arns = launched(ecs, scheduler, 2)
    before = list(scheduler.events)
    one, other = arns
    scheduler.revoke(one)
    scheduler.run(lambda: ecs.running() == 1)
    scheduler.for_a_while(0.3)
    assert scheduler.events == before
    stopped = [task for task in ecs.tasks() if task["stopCode"] == "UserInitiated"]
    assert len(stopped) == 1 and "revoked" in stopped[0]["stoppedReason"]
    finish_all(ecs)
    scheduler.run_to_the_end()
    assert scheduler.ends() == {other: ["success"]}


def test_a_stop_that_fails_is_made_again(ecs: EcsApi, warned: Callable[[], str]) -> None:
    scheduler = Scheduler()
    launched(ecs, scheduler, 1)
    ecs.fault("StopTask", "throttle", times=1)
    scheduler.revoke(key())
    scheduler.run(lambda: ecs.running() == 0)
    assert "StopTask" in warned() and scheduler.airflow.figures.counters["throttled"] == 1


def test_row_17_a_task_revoked_before_its_launch_is_never_launched(ecs: EcsApi) -> None:
    scheduler = Scheduler(run_task_rate="0.5", run_task_burst="1")
    scheduler.queue_all(3)
    scheduler.beat()
    scheduler.queue(key(3))
    for number in range(1, 4):
        scheduler.revoke(key(number))
    scheduler.run_to_the_end()
    assert [task["tags"]["airflow:task_id"] for task in ecs.tasks()] == ["task-0"]


# Processes


def test_after_a_fork_the_child_has_a_client_and_threads_of_its_own(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    scheduler.complete(key(0))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            scheduler.events.clear()
            scheduler.queue(key(1))
            scheduler.run_to_the_end(timeout=10)
            code = 0 if scheduler.ends() == {key(1): ["success"]} else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) == 0
    scheduler.complete(key(2))
    assert len(ecs.tasks()) == 3


def test_a_start_makes_no_thread(ecs: EcsApi) -> None:
    """Airflow 2's scheduler forks after it has started its executors."""
    before = threading.active_count()
    Scheduler()
    assert threading.active_count() == before


def test_a_heartbeat_spends_little_time_on_what_was_queued(ecs: EcsApi) -> None:
    scheduler: Any = Scheduler(parallelism=20_000, run_task_rate="0.1", run_task_burst="1")
    for number in range(20_000):
        scheduler.executor.submit(QueuedWorkload(key(number), ["airflow"], None))
    scheduler.executor.sync()
    pending = scheduler.airflow.figures.gauges["pending_launches"][-1]
    assert 0 < pending < 20_000, "the rest waits for the next heartbeat"
