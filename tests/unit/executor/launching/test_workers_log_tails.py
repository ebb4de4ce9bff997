"""The end of a failed container's log in the event log of its task: a run, CloudWatch Logs over HTTP."""

from __future__ import annotations

from typing import Any

from local.ecs.control import EcsApi
from local.fakes.logs import FakeLogs
from tests.unit.executor.container_log import GROUP, define, stream_of
from tests.unit.executor.harness import Airflow, Scheduler, key


def end_of_log(scheduler: Scheduler) -> list[str]:
    return [text for _, text in scheduler.notes if text.startswith("ecs container log: ")]


def run_one(ecs: EcsApi, logs: FakeLogs, *lines: str, **options: Any) -> Scheduler:
    """Run a task whose container has printed these lines when it ends."""
    scheduler = Scheduler(**options)
    scheduler.queue(key())
    scheduler.run(lambda: bool(ecs.tasks(["arn"])))
    if lines:
        logs.put(GROUP, stream_of(ecs.tasks(["arn"])[0]["arn"]), *lines)
    scheduler.run_to_the_end()
    return scheduler


def test_the_last_lines_of_a_container_that_failed_are_in_the_event_log(ecs: EcsApi, logs: FakeLogs) -> None:
    define(ecs)
    ecs.configure(run_seconds=0.2, exit_code=1)
    lines = [f"line {number}." for number in range(50)]
    scheduler = run_one(ecs, logs, *lines, container_log_lines="3")
    assert scheduler.ends() == {key(): ["failed"]}, "the failure is not kept back"
    assert len(ecs.tasks()) == 1, "a container that ran is not launched again (row 7)"
    scheduler.run(lambda: bool(end_of_log(scheduler)))
    (text,) = end_of_log(scheduler)
    assert [line.split()[-1] for line in text.splitlines()[1:]] == ["47.", "48.", "49."]
    assert GROUP in text.splitlines()[0]


def test_an_attempt_that_ended_before_its_command_has_its_log_told_too(ecs: EcsApi, logs: FakeLogs) -> None:
    define(ecs)
    ecs.behave("task-0", times=1, run_seconds=0.2, exit_code=84)
    scheduler = run_one(ecs, logs, "S3 did not answer")
    scheduler.run(lambda: bool(end_of_log(scheduler)))
    assert scheduler.ends() == {key(): ["success"]}
    assert "S3 did not answer" in end_of_log(scheduler)[0]


def test_nothing_is_read_of_a_container_that_succeeded(ecs: EcsApi, logs: FakeLogs) -> None:
    define(ecs)
    ecs.configure(run_seconds=0.2)
    scheduler = run_one(ecs, logs, "fine")
    scheduler.for_a_while(0.3)
    assert logs.requests == [] and end_of_log(scheduler) == []


def test_the_heartbeat_never_waits_for_cloudwatch(ecs: EcsApi, logs: FakeLogs) -> None:
    define(ecs)
    logs.latency = 1.5
    ecs.configure(run_seconds=0.1, exit_code=1)
    scheduler = run_one(ecs, logs, "slow")
    scheduler.run(lambda: bool(end_of_log(scheduler)))
    assert max(scheduler.beats) < 1.5


def test_secrets_that_airflow_knows_are_masked(ecs: EcsApi, logs: FakeLogs) -> None:
    define(ecs)
    ecs.configure(run_seconds=0.2, exit_code=1)
    airflow = Airflow()
    airflow.secret = "correct-horse-battery"
    scheduler = run_one(ecs, logs, "password=correct-horse-battery", airflow=airflow)
    scheduler.run(lambda: bool(end_of_log(scheduler)))
    assert "***" in end_of_log(scheduler)[0] and "correct-horse" not in end_of_log(scheduler)[0]
