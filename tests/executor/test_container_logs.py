"""The container's log: in Airflow's UI while its task runs, and its end in the task's event log when it has failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any, Callable, Iterator

import pytest
from airflow_ecs_executor import log_tails
from airflow_ecs_executor.executor import AwsEcsExecutor

from local.ecs.control import EcsApi
from local.fake_logs import FakeLogs
from tests.executor.harness import OPTIONS, Scheduler, key, variables
from tests.executor.worker_images import register

GROUP = "/airflow/worker"
DENIED = "User: arn:aws:sts::1:assumed-role/role/x is not authorized to perform: {} on resource: y"
NO_TASK = "arn:aws:ecs:us-east-1:123456789012:task/airflow/" + "0" * 32
LOGS = {"awslogs-group": GROUP, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "task"}
NEW = 1767225600.0  # 2026-01-01T00:00:00Z


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLogs]:
    """CloudWatch Logs; boto3 finds it by the environment."""
    with FakeLogs() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", server.url)
        yield server


def define(ecs: EcsApi, family: str = "worker", options: dict[str, str] | None = None, driver: str = "awslogs") -> None:
    """Register a task definition whose container logs."""
    register(ecs, family, "x", logConfiguration={"logDriver": driver, "options": options or LOGS})


def stream_of(arn: str) -> str:
    return "task/airflow/" + arn.rpartition("/")[2]


@pytest.fixture
def running(ecs: EcsApi) -> str:
    """The ARN of a task that runs and logs, and whose scheduler calls ECS no more."""
    define(ecs)
    ecs.configure(run_seconds=None)
    scheduler = Scheduler()
    scheduler.queue(key())
    scheduler.run(lambda: ecs.running() == 1 and scheduler.states() == ["running"])
    scheduler.die()
    return str(scheduler.events[0][2])


@pytest.fixture
def webserver(monkeypatch: pytest.MonkeyPatch) -> AwsEcsExecutor:
    """An executor that was never started, with the scheduler's configuration in its environment."""
    for name, value in variables(OPTIONS).items():
        monkeypatch.setenv(name, value)
    return AwsEcsExecutor()


def instance(arn: str | None, executor_config: Any = None) -> Any:
    """A running task instance."""
    return SimpleNamespace(try_number=1, external_executor_id=arn, executor_config=executor_config)


def message(executor: AwsEcsExecutor, ti: Any) -> str:
    """The one message that is shown when there is no log."""
    messages, logs = executor.get_task_log(ti, 1)
    assert logs == []
    (found,) = messages
    assert "\n" not in found
    return found


# In Airflow's UI


def airflow_shows(arns: list[str | None], try_number: int = 1, state: str = "running", **more: Any) -> list[list[str]]:
    """What Airflow's own log reader shows, in a process like its webserver."""
    environment = {
        **os.environ,
        **variables(OPTIONS),
        "AIRFLOW__CORE__EXECUTOR": "airflow_ecs_executor.AwsEcsExecutor",
        "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",  # Airflow 2 refuses SQLite
    }
    request = json.dumps({"arns": arns, "try": try_number, "state": state, **more})
    done = subprocess.run(
        [sys.executable, "-m", "tests.executor.ui_log", request],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    found: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def database() -> None:
    """The metadata database of this session's Airflow home."""
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_airflow_s_reader_shows_the_container_s_lines_by_time_beside_its_own(
    database: None, running: str, logs: FakeLogs
) -> None:
    logs.put(GROUP, stream_of(running), "dags loaded", start=NEW)
    logs.put(GROUP, stream_of(running), "Traceback:\n  in x", start=NEW + 2)
    own = '{"timestamp": "2026-01-01T00:00:01Z", "event": "airflow 1"}' if has_workloads() else own_line("airflow 1")
    shown = airflow_shows([running], own=[own])
    texts = [text for _, text in shown]
    positions = [index_of(texts, part) for part in ("dags loaded", "airflow 1", "Traceback:", "  in x")]
    assert positions == sorted(positions), texts
    assert any(f"stream {stream_of(running)}" in text for text in texts), "where it comes from is said"
    assert not any("Could not read served logs" in text for text in texts), "nobody looked for a log server"
    if has_workloads():
        assert [moment[:19] for moment, text in shown if text == "dags loaded"] == ["2026-01-01T00:00:00"]


def has_workloads() -> bool:
    from airflow_ecs_executor import airflow_versions

    return airflow_versions.HAS_WORKLOADS


def own_line(text: str) -> str:
    return f"[2026-01-01T00:00:01.000+0000] {{module.py:1}} INFO - {text}"


def index_of(texts: list[str], part: str) -> int:
    (found,) = [number for number, text in enumerate(texts) if part in text]
    return found


def test_an_older_try_is_shown_with_its_own_container(database: None, running: str, logs: FakeLogs) -> None:
    """Airflow 2 asks for it with the record of the newest try, Airflow 3 not at all."""
    logs.put(GROUP, stream_of(running), "of the newest try")
    logs.put(GROUP, stream_of(NO_TASK), "of the first try")
    texts = "\n".join(text for _, text in airflow_shows([NO_TASK, running], try_number=1))
    assert "of the newest try" not in texts
    assert ("of the first try" in texts) is not has_workloads()


def test_nothing_is_asked_for_when_the_task_has_ended(database: None, running: str, logs: FakeLogs) -> None:
    logs.put(GROUP, stream_of(running), "unseen")
    assert "unseen" not in str(airflow_shows([running], state="failed"))
    assert logs.requests == []


# What is shown when something is missing


def test_the_executor_need_not_be_started(running: str, logs: FakeLogs, webserver: AwsEcsExecutor) -> None:
    logs.put(GROUP, stream_of(running), "hello")
    messages, text = webserver.get_task_log(instance(running), 1)
    assert messages == [f"Container log: CloudWatch log group {GROUP}, stream {stream_of(running)}, us-east-1"]
    assert len(text) == 1 and "hello" in text[0]


def test_what_never_changes_is_asked_for_once(
    ecs: EcsApi, running: str, logs: FakeLogs, webserver: AwsEcsExecutor
) -> None:
    logs.put(GROUP, stream_of(running), "hello")
    webserver.get_task_log(instance(running), 1)
    before = ecs.calls()
    webserver.get_task_log(instance(running), 1)
    assert ecs.calls() == before
    assert {request["logStreamName"] for request in logs.requests} == {stream_of(running)}


def test_a_log_of_several_pages_is_read_to_its_end(running: str, logs: FakeLogs, webserver: AwsEcsExecutor) -> None:
    logs.page = 10
    logs.put(GROUP, stream_of(running), *(f"line {number}." for number in range(35)))
    _, (text,) = webserver.get_task_log(instance(running), 1)
    assert [f"line {number}." in text for number in range(35)] == [True] * 35


def test_a_long_log_is_cut_and_says_so(running: str, logs: FakeLogs, webserver: AwsEcsExecutor) -> None:
    logs.put(GROUP, stream_of(running), *(f"line {number}." for number in range(10_500)))
    messages, (text,) = webserver.get_task_log(instance(running), 1)
    assert "line 9999." in text and "line 10000." not in text
    assert "only its first 10000 lines" in messages[-1] and stream_of(running) in messages[-1]


@pytest.mark.parametrize("name", ["gpu", "gpu:matching"])
def test_a_task_that_ecs_has_forgotten_is_shown_by_the_definition_of_its_executor_config(
    name: str, ecs: EcsApi, logs: FakeLogs, webserver: AwsEcsExecutor
) -> None:
    define(ecs, "gpu", {**LOGS, "awslogs-group": "/gpu"})
    logs.put("/gpu", stream_of(NO_TASK), "hello")
    messages, (text,) = webserver.get_task_log(instance(NO_TASK, {"task_definition": name}), 1)
    assert "/gpu" in messages[0] and "hello" in text


@pytest.mark.parametrize("arn", [None, "", "celery-4711"])
def test_without_a_container_the_reason_is_said(webserver: AwsEcsExecutor, arn: str | None) -> None:
    found = message(webserver, instance(arn))
    assert ("another executor" if arn else "event log") in found


def test_a_configuration_that_cannot_be_used_is_a_message(
    webserver: AwsEcsExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER")
    assert "AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER" in message(webserver, instance(NO_TASK))


def test_a_container_that_logs_elsewhere(ecs: EcsApi, webserver: AwsEcsExecutor) -> None:
    define(ecs, "worker", {"splunk-url": "x"}, driver="splunk")
    found = message(webserver, instance(NO_TASK))
    assert "log driver splunk" in found and "awslogs" in found


def test_a_stream_that_does_not_exist_yet(running: str, logs: FakeLogs, webserver: AwsEcsExecutor) -> None:
    logs.put(GROUP, "another", "x")
    assert "has printed nothing yet" in message(webserver, instance(running))


def test_a_log_group_that_does_not_exist(running: str, logs: FakeLogs, webserver: AwsEcsExecutor) -> None:
    found = message(webserver, instance(running))
    assert f"no log group {GROUP}" in found and "awslogs-create-group" in found


def test_a_missing_permission_is_named(running: str, logs: FakeLogs, webserver: AwsEcsExecutor) -> None:
    logs.fault = ("AccessDeniedException", DENIED.format("logs:GetLogEvents"))
    assert "logs:GetLogEvents is not permitted: allow it" in message(webserver, instance(running))


def test_without_the_right_to_describe_tasks_the_configured_definition_is_taken(
    ecs: EcsApi, running: str, logs: FakeLogs, webserver: AwsEcsExecutor
) -> None:
    logs.put(GROUP, stream_of(running), "hello")
    ecs.fault("DescribeTasks", "denied", action="ecs:DescribeTasks")
    messages, (text,) = webserver.get_task_log(instance(running), 1)
    assert "ecs:DescribeTasks is not permitted" in messages[0] and "hello" in text


def test_without_the_right_to_describe_definitions_nothing_is_known(
    ecs: EcsApi, running: str, logs: FakeLogs, webserver: AwsEcsExecutor
) -> None:
    ecs.fault("DescribeTaskDefinition", "denied", action="ecs:DescribeTaskDefinition")
    assert "ecs:DescribeTaskDefinition is not permitted" in message(webserver, instance(running))


def test_an_aws_that_does_not_answer_is_not_waited_for(
    running: str, webserver: AwsEcsExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "http://127.0.0.1:9")
    started = time.monotonic()
    assert "logs:GetLogEvents was not answered in time" in message(webserver, instance(running))
    assert time.monotonic() - started < 10


# In the task's event log


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudWatch is not waited for."""
    monkeypatch.setattr(log_tails, "DELAYS", (0.1, 0.2, 0.4))


def end_of_log(scheduler: Scheduler) -> list[str]:
    return [text for _, text in scheduler.notes if text.startswith("ecs container log: ")]


def run_one(ecs: EcsApi, logs: FakeLogs, *lines: str, **options: str) -> Scheduler:
    """Run a task whose container has printed these lines when it ends."""
    scheduler = Scheduler(**options)
    scheduler.queue(key())
    scheduler.run(lambda: bool(ecs.tasks(["arn"])))
    if lines:
        logs.put(GROUP, stream_of(ecs.tasks(["arn"])[0]["arn"]), *lines)
    scheduler.run_to_the_end()
    return scheduler


def test_the_last_lines_of_a_container_that_failed_are_in_the_event_log(
    ecs: EcsApi, logs: FakeLogs, soon: None
) -> None:
    define(ecs)
    ecs.configure(run_seconds=0.2, exit_code=1)
    lines = [f"line {number}." for number in range(50)]
    scheduler = run_one(ecs, logs, *lines, container_log_lines="3")
    assert scheduler.ends() == {key(): ["failed"]}, "the failure is not kept back"
    scheduler.run(lambda: bool(end_of_log(scheduler)))
    (text,) = end_of_log(scheduler)
    assert [line.split()[-1] for line in text.splitlines()[1:]] == ["47.", "48.", "49."]
    assert GROUP in text.splitlines()[0]


def test_an_attempt_that_ended_before_its_command_has_its_log_told_too(ecs: EcsApi, logs: FakeLogs, soon: None) -> None:
    define(ecs)
    ecs.behave("task-0", times=1, run_seconds=0.2, exit_code=84)
    scheduler = run_one(ecs, logs, "S3 did not answer")
    scheduler.run(lambda: bool(end_of_log(scheduler)))
    assert scheduler.ends() == {key(): ["success"]}
    assert "S3 did not answer" in end_of_log(scheduler)[0]


def test_nothing_is_read_of_a_container_that_succeeded(ecs: EcsApi, logs: FakeLogs, soon: None) -> None:
    define(ecs)
    ecs.configure(run_seconds=0.2)
    scheduler = run_one(ecs, logs, "fine")
    scheduler.for_a_while(0.5)
    assert logs.requests == [] and end_of_log(scheduler) == []


def test_zero_lines_switch_it_off(ecs: EcsApi, logs: FakeLogs, soon: None) -> None:
    define(ecs)
    ecs.configure(run_seconds=0.2, exit_code=1)
    scheduler = run_one(ecs, logs, "bad", container_log_lines="0")
    scheduler.for_a_while(0.5)
    assert logs.requests == []


def test_a_container_without_awslogs_is_passed_over(
    ecs: EcsApi, logs: FakeLogs, soon: None, warned: Callable[[], str]
) -> None:
    ecs.configure(run_seconds=0.2, exit_code=1)
    scheduler = run_one(ecs, logs)
    scheduler.for_a_while(0.5)
    assert logs.requests == [] and "log" not in warned().replace("log says why", "")


def test_a_stream_that_comes_late_is_waited_for(ecs: EcsApi, logs: FakeLogs, soon: None) -> None:
    define(ecs)
    logs.put(GROUP, "another", "x")
    ecs.configure(run_seconds=0.2, exit_code=1)
    scheduler = run_one(ecs, logs)
    scheduler.run(lambda: bool(logs.requests))
    logs.put(GROUP, stream_of(ecs.tasks(["arn"])[0]["arn"]), "at last")
    scheduler.run(lambda: bool(end_of_log(scheduler)))
    assert "at last" in end_of_log(scheduler)[0]


def test_without_the_permission_there_is_one_warning_and_no_further_call(
    ecs: EcsApi, logs: FakeLogs, soon: None, warned: Callable[[], str]
) -> None:
    define(ecs)
    logs.fault = ("AccessDeniedException", DENIED.format("logs:GetLogEvents"))
    ecs.configure(run_seconds=0.1, exit_code=1)
    scheduler = run_one(ecs, logs)
    scheduler.run(lambda: "logs:GetLogEvents is not permitted" in warned())
    calls = len(logs.requests)
    scheduler.queue(key(1))
    scheduler.run_to_the_end()
    scheduler.for_a_while(0.5)
    assert len(logs.requests) == calls == 1
    assert warned().count("GetLogEvents is not permitted") == 1


def test_the_heartbeat_never_waits_for_cloudwatch(ecs: EcsApi, logs: FakeLogs, soon: None) -> None:
    define(ecs)
    logs.latency = 1.0
    ecs.configure(run_seconds=0.1, exit_code=1)
    scheduler = run_one(ecs, logs, "slow")
    scheduler.run(lambda: bool(end_of_log(scheduler)))
    assert max(scheduler.beats) < 0.5


def test_secrets_that_airflow_knows_are_masked(ecs: EcsApi, logs: FakeLogs, soon: None) -> None:
    mask_secret("correct-horse-battery")
    define(ecs)
    ecs.configure(run_seconds=0.2, exit_code=1)
    scheduler = run_one(ecs, logs, "password=correct-horse-battery")
    scheduler.run(lambda: bool(end_of_log(scheduler)))
    assert "***" in end_of_log(scheduler)[0] and "correct-horse" not in end_of_log(scheduler)[0]


def mask_secret(secret: str) -> None:
    """Make it known to Airflow's secrets masker."""
    import importlib

    from airflow_ecs_executor import airflow_versions

    for name in airflow_versions._SECRETS_MASKERS:
        try:
            importlib.import_module(name).mask_secret(secret)
            return
        except ImportError:
            pass
    pytest.fail("no secrets masker")
