"""The launchers: from a submitted task to a container. Rows are those of the reference executor's defects."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from local.ecs.control import EcsApi
from tests.unit.executor.harness import Scheduler, key


def test_a_task_runs_in_a_container_of_its_own_and_succeeds(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    scheduler.complete()
    (task,) = ecs.tasks()
    assert scheduler.events == [(key(), "running", task["arn"]), (key(), "success", task["arn"])]
    assert task["environment"]["AIRFLOW_IS_EXECUTOR_CONTAINER"] == "true"
    assert task["startedBy"] == "tests"
    assert task["tags"]["airflow:dag_id"] == "dag" and task["tags"]["airflow:task_id"] == "task-0"


def test_row_1_missing_credentials_stop_nothing_and_are_picked_up_when_they_come(
    ecs: EcsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = Scheduler(check_health_on_startup="False")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    scheduler.queue(key())
    scheduler.for_a_while(0.5)
    assert scheduler.events == [] and ecs.tasks() == []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    scheduler.run_to_the_end()
    assert scheduler.states() == ["running", "success"]


def test_expired_credentials_are_renewed_without_using_up_an_attempt(ecs: EcsApi) -> None:
    scheduler = Scheduler(max_run_task_attempts="1")
    ecs.fault("RunTask", "expired_credentials", times=2)
    ecs.fault("DescribeTasks", "expired_credentials", times=1)
    scheduler.complete()
    assert scheduler.states() == ["running", "success"]


@pytest.mark.parametrize(
    ("executor_config", "word"),
    [
        ({"command": ["sh"]}, "command"),
        ({"pod_override": object()}, "executor_config"),
        ({"noSuchParameter": 1}, "noSuchParameter"),
        ({"overrides": {"cpu": 256}}, "cpu"),
    ],
)
def test_row_2_a_bad_executor_config_fails_that_task_alone_and_says_why(
    ecs: EcsApi, executor_config: Any, word: str
) -> None:
    scheduler = Scheduler()
    scheduler.queue(key("bad"), executor_config)
    scheduler.complete(key("good"))
    assert scheduler.ends() == {key("bad"): ["failed"], key("good"): ["success"]}
    (note,) = [text for noted, text in scheduler.notes if noted.task_id == "task-bad"]
    assert word in note


def test_row_3_a_slow_api_does_not_slow_the_heartbeat_down(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    for operation in ("RunTask", "DescribeTasks"):
        ecs.fault(operation, "latency", seconds=1.0)
    scheduler.queue_all(12)
    scheduler.run(lambda: len(scheduler.ends()) == 12)
    assert ecs.calls()["RunTask"]["max_in_flight"] > 5
    assert max(scheduler.beats) < 1.0, "one call alone takes longer"


def test_row_6_throttled_describes_are_said_and_keep_no_task_from_being_launched(
    ecs: EcsApi, warned: Callable[[], str]
) -> None:
    scheduler = Scheduler()
    ecs.configure(run_seconds=0.2)
    ecs.fault("DescribeTasks", "throttle", times=5)
    scheduler.queue(key(0))
    scheduler.run(lambda: scheduler.airflow.figures.counters["throttled"] >= 2)
    scheduler.complete(key(1))
    assert len(scheduler.ends()) == 2
    assert scheduler.airflow.figures.counters["throttled"] == 5
    assert warned().count("DescribeTasks: ThrottlingException") == 1, "said once, not five times"


def test_row_10_a_lost_answer_is_not_a_second_container(ecs: EcsApi) -> None:
    scheduler = Scheduler(run_task_rate="1000", run_task_burst="1000")
    ecs.configure(run_seconds=0.3)
    ecs.fault("RunTask", "lost_answer", probability=0.4)
    scheduler.queue_all(20)
    scheduler.run_to_the_end()
    tasks = ecs.tasks()
    assert len(tasks) == 20 and ecs.calls()["RunTask"]["count"] > 20
    assert all(ends == ["success"] for ends in scheduler.ends().values()) and len(scheduler.ends()) == 20


def test_row_13_an_empty_answer_costs_an_attempt_and_loses_nothing(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    ecs.fault("RunTask", "empty", times=1)
    scheduler.complete(key(0), key(1))
    assert len(scheduler.ends()) == 2 and all(ends == ["success"] for ends in scheduler.ends().values())
    assert len([note for _, note in scheduler.notes if "no task and no reason" in note]) == 1


def test_capacity_is_waited_for_until_the_option_s_limit_and_both_are_told_with_advice(ecs: EcsApi) -> None:
    scheduler = Scheduler(max_run_task_attempts="1", launch_wait_limit="0.5")
    ecs.fault("RunTask", "no_capacity", match="task-0")
    ecs.fault("RunTask", "no_capacity", match="task-1", times=2)
    scheduler.complete(key(0), key(1))
    assert scheduler.ends() == {key(0): ["failed"], key(1): ["success"]}
    first, last = [text for noted, text in scheduler.notes if noted == key(0)]
    assert first.startswith("ecs task waiting: ") and "no attempt is used up" in first
    assert "No container could be started within" in last and "FARGATE beside FARGATE_SPOT" in last
    figures = scheduler.airflow.figures
    assert figures.counters["no_capacity"] >= 4 and max(figures.gauges["waiting"]) == 2


@pytest.mark.parametrize(
    ("options", "denied", "words"),
    [
        ({"task_definition": "nothing"}, False, ["TaskDefinition not found", "Register the task definition"]),
        ({"cluster": "nothing"}, False, ["ClusterNotFoundException"]),
        ({}, True, ["ecs:RunTask"]),
    ],
)
def test_a_hopeless_error_fails_at_once_with_the_reason(
    ecs: EcsApi, options: dict[str, str], denied: bool, words: list[str]
) -> None:
    scheduler = Scheduler(check_health_on_startup="False", **options)
    if denied:
        ecs.fault("RunTask", "denied")
    scheduler.complete()
    assert scheduler.ends() == {key(): ["failed"]}
    assert ecs.calls()["RunTask"]["count"] == 1
    for word in words:
        assert word in scheduler.notes[-1][1]


def test_without_the_right_to_tag_tasks_are_launched_without_tags_and_one_warning(
    ecs: EcsApi, warned: Callable[[], str]
) -> None:
    scheduler = Scheduler(max_run_task_attempts="1", run_task_kwargs='{"tags": {"team": "data"}}')
    ecs.fault("RunTask", "denied", action="ecs:TagResource")
    scheduler.queue_all(5)
    scheduler.run_to_the_end()
    assert len(scheduler.ends()) == 5 and all(ends == ["success"] for ends in scheduler.ends().values())
    assert all(task["tags"] == {} for task in ecs.tasks())
    assert warned().count("without tags") == 1 and "ecs:TagResource" in warned()


def test_launches_stay_within_the_rate(ecs: EcsApi) -> None:
    scheduler = Scheduler(run_task_rate="40", run_task_burst="10")
    started = time.monotonic()
    scheduler.queue_all(30)
    scheduler.run(lambda: len(ecs.tasks(["arn"])) == 30)
    assert time.monotonic() - started > 0.45


def test_a_deferred_task_that_comes_back_before_airflow_has_heard_of_its_container_s_end_is_not_failed_for_it(
    ecs: EcsApi,
) -> None:
    """Airflow fails a task that is queued, and that its executor says to have ended and does not have any more."""
    scheduler = Scheduler()
    ecs.configure(run_seconds=None, container_reason="OutOfMemoryError")
    scheduler.queue(key())
    scheduler.queue(key("beside"))  # is looked at on and on
    scheduler.run(lambda: len(scheduler.arns()) == 2)
    first = scheduler.arns()[key()]
    ecs.finish(first)
    looks = ecs.calls()["DescribeTasks"]["count"]
    deadline = time.monotonic() + 20
    while ecs.calls()["DescribeTasks"]["count"] < looks + 3:  # no heartbeat meanwhile
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ecs.fault("RunTask", "latency", seconds=0.5)  # the second container runs after the next heartbeat, not within it
    scheduler.queue(key())
    scheduler.beat()
    assert scheduler.states(key()) == ["running"]
    assert [note.partition(":")[0] for _, note in scheduler.notes] == ["ecs container reason"], "as always"
    scheduler.run(lambda: len(ecs.tasks(["arn"])) == 3)
    for arn in {task["arn"] for task in ecs.tasks(["arn"])} - {first}:
        ecs.finish(arn)
    scheduler.run_to_the_end()
    assert scheduler.states(key()) == ["running", "running", "success"]
