"""The log of a task's container, as Airflow's webserver or API server asks an executor for it."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, Callable

import pytest
from airflow_ecs_executor.task_log import TaskLog

from local.ecs.control import EcsApi
from local.fakes.logs import FakeLogs
from tests.unit.executor.container_log import DENIED, GROUP, LOGS, NO_TASK, define, stream_of
from tests.unit.executor.harness import UNSET, Airflow, Scheduler, key, settings_of


@pytest.fixture
def running(ecs: EcsApi) -> str:
    """The ARN of a task that runs and logs, and whose scheduler calls ECS no more."""
    define(ecs)
    ecs.configure(run_seconds=None)
    scheduler = Scheduler()
    scheduler.queue(key())
    scheduler.run(lambda: ecs.running() == 1 and scheduler.states() == ["running"])
    scheduler.die()
    return scheduler.arns()[key()]


@pytest.fixture
def webserver(ecs: EcsApi) -> TaskLog:
    """A process without a scheduler, with the same configuration."""
    return TaskLog(lambda: settings_of(), Airflow())


def instance(arn: str | None, executor_config: Any = None) -> Any:
    """A running task instance."""
    return SimpleNamespace(try_number=1, external_executor_id=arn, executor_config=executor_config)


def message(webserver: TaskLog, ti: Any) -> str:
    """The one message that is shown when there is no log."""
    messages, logs = webserver.of(ti, 1)
    assert logs == []
    (found,) = messages
    assert "\n" not in found
    return found


def test_the_executor_need_not_be_started(running: str, logs: FakeLogs, webserver: TaskLog) -> None:
    logs.put(GROUP, stream_of(running), "hello")
    messages, text = webserver.of(instance(running), 1)
    assert messages == [f"Container log: CloudWatch log group {GROUP}, stream {stream_of(running)}, us-east-1"]
    assert len(text) == 1 and "hello" in text[0]


def test_what_never_changes_is_asked_for_once(ecs: EcsApi, running: str, logs: FakeLogs, webserver: TaskLog) -> None:
    logs.put(GROUP, stream_of(running), "hello")
    webserver.of(instance(running), 1)
    before = ecs.calls()
    webserver.of(instance(running), 1)
    assert ecs.calls() == before
    assert {request["logStreamName"] for request in logs.requests} == {stream_of(running)}


def test_a_log_of_several_pages_is_read_to_its_end(running: str, logs: FakeLogs, webserver: TaskLog) -> None:
    logs.page = 10
    logs.put(GROUP, stream_of(running), *(f"line {number}." for number in range(35)))
    _, (text,) = webserver.of(instance(running), 1)
    assert [f"line {number}." in text for number in range(35)] == [True] * 35


def test_a_long_log_is_cut_and_says_so(running: str, logs: FakeLogs, webserver: TaskLog) -> None:
    logs.put(GROUP, stream_of(running), *(f"line {number}." for number in range(10_500)))
    messages, (text,) = webserver.of(instance(running), 1)
    assert "line 9999." in text and "line 10000." not in text
    assert "only its first 10000 lines" in messages[-1] and stream_of(running) in messages[-1]


@pytest.mark.parametrize("name", ["gpu", "gpu:matching"])
def test_a_task_that_ecs_has_forgotten_is_shown_by_the_definition_of_its_executor_config(
    name: str, ecs: EcsApi, logs: FakeLogs, webserver: TaskLog
) -> None:
    define(ecs, "gpu", {**LOGS, "awslogs-group": "/gpu"})
    logs.put("/gpu", stream_of(NO_TASK), "hello")
    messages, (text,) = webserver.of(instance(NO_TASK, {"task_definition": name}), 1)
    assert "/gpu" in messages[0] and "hello" in text


@pytest.mark.parametrize("arn", [None, "", "celery-4711"])
def test_without_a_container_the_reason_is_said(webserver: TaskLog, arn: str | None) -> None:
    found = message(webserver, instance(arn))
    assert ("another executor" if arn else "event log") in found


def test_a_configuration_that_cannot_be_used_is_a_message() -> None:
    found = message(TaskLog(lambda: settings_of(cluster=UNSET), Airflow()), instance(NO_TASK))
    assert "AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER" in found


def test_a_defect_of_ours_is_a_message(said: Callable[[], str]) -> None:
    found = message(TaskLog(lambda: settings_of(), Airflow()), object())
    assert "AttributeError" in found and "Cannot show the container's log" in said()


def test_airflow_2_is_given_plain_lines(running: str, logs: FakeLogs) -> None:
    class Airflow2(Airflow):
        HAS_WORKLOADS = False

    logs.put(GROUP, stream_of(running), "hello")
    for airflow, begin in ((Airflow(), "{"), (Airflow2(), "[")):
        _, (text,) = TaskLog(lambda: settings_of(), airflow).of(instance(running), 1)
        assert text.startswith(begin) and "hello" in text


@pytest.mark.parametrize(
    ("stream", "fault", "words"),
    [
        ("another", None, "has printed nothing yet"),
        ("", None, f"no log group {GROUP}"),
        ("", ("AccessDeniedException", DENIED.format("logs:GetLogEvents")), "logs:GetLogEvents is not permitted"),
    ],
)
def test_a_log_that_cannot_be_read(
    stream: str, fault: Any, words: str, running: str, logs: FakeLogs, webserver: TaskLog
) -> None:
    if stream:
        logs.put(GROUP, stream, "x")
    logs.fault = fault
    assert words in message(webserver, instance(running))


def test_a_container_that_logs_elsewhere(ecs: EcsApi, webserver: TaskLog) -> None:
    define(ecs, "worker", {"splunk-url": "x"}, driver="splunk")
    assert "log driver splunk" in message(webserver, instance(NO_TASK))


def test_without_the_right_to_describe_tasks_the_configured_definition_is_taken(
    ecs: EcsApi, running: str, logs: FakeLogs, webserver: TaskLog
) -> None:
    logs.put(GROUP, stream_of(running), "hello")
    ecs.fault("DescribeTasks", "denied", action="ecs:DescribeTasks")
    messages, (text,) = webserver.of(instance(running), 1)
    assert "ecs:DescribeTasks is not permitted" in messages[0] and "hello" in text
    ecs.fault("DescribeTaskDefinition", "denied", action="ecs:DescribeTaskDefinition")
    other = instance(running, {"task_definition": "worker:1"})
    assert "ecs:DescribeTaskDefinition is not permitted" in webserver.of(other, 1)[0][-1]


def test_an_aws_that_does_not_answer_is_not_waited_for(
    running: str, webserver: TaskLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "http://127.0.0.1:9")
    started = time.monotonic()
    assert "logs:GetLogEvents was not answered in time" in message(webserver, instance(running))
    assert time.monotonic() - started < 15
