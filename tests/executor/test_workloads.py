"""Commands that are too long for ECS, or not for everybody's eyes, go through S3; their containers remove them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.exceptions import AirflowException
from airflow_ecs_executor import airflow_versions
from airflow_ecs_executor.connection import Connection

from local.ecs.control import EcsApi
from local.fake_s3 import WRITING, FakeS3, Fault
from tests.executor.harness import Scheduler, key

PLACE = "s3://bucket/workloads"
PREFIX = "workloads/tests/"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    """An S3, which boto3 finds by the environment."""
    fake = FakeS3()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", fake.url)
    yield fake
    fake.close()


@pytest.fixture
def long_command(monkeypatch: pytest.MonkeyPatch) -> str:
    """Makes the command of every task too long, on each Airflow."""
    long = "n" * 9000
    real = airflow_versions.command_of
    monkeypatch.setattr(airflow_versions, "command_of", lambda *args, **kwargs: [*real(*args, **kwargs), long])
    return long


def stored(s3: FakeS3) -> dict[str, list[str]]:
    """The arguments that are in S3 now, by key."""
    return {name: json.loads(body)["arguments"] for name, body in s3.buckets["bucket"].items()}


def command_of(task: dict[str, Any]) -> list[str]:
    (container,) = task["request"]["overrides"]["containerOverrides"]
    command: list[str] = container["command"]
    return command


def launched(ecs: EcsApi) -> list[str]:
    (task,) = ecs.tasks()
    return command_of(task)


def test_a_long_command_goes_through_s3(ecs: EcsApi, s3: FakeS3, long_command: str) -> None:
    scheduler = Scheduler(workload_s3_uri=PLACE)
    scheduler.queue(key())
    scheduler.run_to_the_end()
    assert scheduler.states()[-1] == "success"
    command = launched(ecs)
    assert len(command) == 5 and command[3] == "--arguments-from"
    ((name, arguments),) = stored(s3).items()
    assert command[4] == f"s3://bucket/{name}" and name.startswith(PREFIX)
    assert arguments[-1] == long_command


def test_a_command_that_fits_stays_in_the_overrides(ecs: EcsApi, s3: FakeS3) -> None:
    scheduler = Scheduler(workload_s3_uri=PLACE)
    scheduler.queue(key())
    scheduler.run_to_the_end()
    assert "--arguments-from" not in launched(ecs) and not stored(s3)


def test_by_option_every_command_goes_there_and_no_token_is_in_the_overrides(ecs: EcsApi, s3: FakeS3) -> None:
    scheduler = Scheduler(workload_s3_uri=PLACE, workload_s3_use="always")
    scheduler.queue(key())
    scheduler.run_to_the_end()
    (arguments,) = stored(s3).values()
    (task,) = ecs.tasks()
    if airflow_versions.HAS_WORKLOADS:
        assert "a-token" in " ".join(arguments)
        assert "a-token" not in json.dumps(task["request"])
    else:
        assert arguments[:2] == [key().dag_id, key().task_id]
    assert command_of(task)[3:4] == ["--arguments-from"]


def test_without_a_place_the_task_fails_before_aws_is_called(ecs: EcsApi, long_command: str) -> None:
    scheduler = Scheduler()
    scheduler.queue(key())
    scheduler.run_to_the_end()
    assert scheduler.ends() == {key(): ["failed"]}
    assert "RunTask" not in ecs.calls()
    assert "workload_s3_uri" in scheduler.notes[-1][1] and "8,192" in scheduler.notes[-1][1]


def test_an_environment_that_is_too_long_is_not_helped_by_it(ecs: EcsApi, s3: FakeS3) -> None:
    config = {
        "overrides": {"containerOverrides": [{"name": "airflow", "environment": [{"name": "A", "value": "a" * 9000}]}]}
    }
    scheduler = Scheduler(workload_s3_uri=PLACE)
    scheduler.queue(key(), executor_config=config)
    scheduler.run_to_the_end()
    assert scheduler.ends() == {key(): ["failed"]}
    assert "environment" in scheduler.notes[-1][1] and not stored(s3)


def test_what_no_container_has_read_is_removed(ecs: EcsApi, s3: FakeS3) -> None:
    ecs.behave(times=1, never_starts="CannotPullContainerError: timeout")
    scheduler = Scheduler(workload_s3_uri=PLACE, workload_s3_use="always")
    scheduler.queue(key())
    scheduler.run_to_the_end()
    assert scheduler.states()[-1] == "success"
    first, second = (command_of(task)[4] for task in ecs.tasks())
    assert first != second, "a new attempt has a new token, and a place of its own"
    scheduler.run(lambda: len(stored(s3)) == 1)
    assert second == f"s3://bucket/{next(iter(stored(s3)))}"


def test_what_cannot_be_removed_now_is_removed_later(ecs: EcsApi, s3: FakeS3) -> None:
    ecs.behave(times=1, never_starts="CannotPullContainerError: timeout")
    scheduler = Scheduler(workload_s3_uri=PLACE, workload_s3_use="always")
    s3.faults = [Fault(None, "error", times=4, status=503, code="SlowDown")]
    scheduler.queue(key())
    scheduler.run(lambda: len(ecs.tasks()) == 2 and len(stored(s3)) == 1)


def test_who_ends_removes_first_what_nobody_will_read(ecs: EcsApi, s3: FakeS3) -> None:
    ecs.behave(never_starts="CannotPullContainerError: timeout")
    scheduler = Scheduler(workload_s3_uri=PLACE, workload_s3_use="always", max_run_task_attempts="1")
    s3.faults = [Fault(None, "error", times=4, status=503, code="SlowDown")]
    scheduler.queue(key())
    scheduler.run(lambda: scheduler.states()[-1:] == ["failed"])
    assert len(stored(s3)) == 1
    scheduler.executor.end(heartbeat_interval=0.01)
    assert stored(s3) == {}


def test_an_answer_that_was_lost_finds_the_same_arguments(ecs: EcsApi, s3: FakeS3) -> None:
    ecs.fault("RunTask", "lost_answer", times=1)
    scheduler = Scheduler(workload_s3_uri=PLACE, workload_s3_use="always")
    scheduler.queue(key())
    scheduler.run_to_the_end()
    assert len(ecs.tasks()) == 1 and scheduler.states()[-1] == "success"
    assert launched(ecs)[4] == f"s3://bucket/{next(iter(stored(s3)))}"


def test_s3_that_is_away_for_a_moment_fails_no_task(ecs: EcsApi, s3: FakeS3, long_command: str) -> None:
    scheduler = Scheduler(workload_s3_uri=PLACE)
    s3.faults = [Fault(WRITING, "error", times=4, status=503, code="SlowDown")]
    scheduler.queue(key())
    scheduler.run_to_the_end()
    assert scheduler.states()[-1] == "success"


def test_s3_that_throttles_does_not_slow_launches_down(
    ecs: EcsApi, s3: FakeS3, long_command: str, warned: Callable[[], str]
) -> None:
    scheduler = Scheduler(workload_s3_uri=PLACE)
    s3.faults = [Fault(WRITING, "error", times=4, status=503, code="SlowDown")]
    scheduler.queue(key())
    scheduler.run_to_the_end()
    assert "A task cannot be launched yet (PutObject): SlowDown" in warned()
    assert "RunTask" not in warned() and scheduler.executor._ledger.counters.throttled == 0


def test_credentials_that_have_expired_for_s3_are_renewed(
    ecs: EcsApi, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    make = Connection.client

    def client(self: Connection, service: str, **more: Any) -> Any:
        made.append(service)
        return make(self, service, **more)

    monkeypatch.setattr(Connection, "client", client)
    scheduler = Scheduler(workload_s3_uri=PLACE, workload_s3_use="always")
    s3.faults = [Fault(WRITING, "error", times=1, status=400, code="ExpiredToken")]
    scheduler.queue(key())
    scheduler.run_to_the_end()
    assert scheduler.states()[-1] == "success" and made.count("s3") == 2


def test_a_denied_place_fails_the_task_and_names_the_action(ecs: EcsApi, s3: FakeS3, long_command: str) -> None:
    scheduler = Scheduler(workload_s3_uri=PLACE)
    s3.faults = [Fault(WRITING, "error", status=403, code="AccessDenied")]
    scheduler.queue(key())
    scheduler.run_to_the_end()
    assert scheduler.ends() == {key(): ["failed"]}
    assert "s3:PutObject" in scheduler.notes[-1][1] and PLACE in scheduler.notes[-1][1]
    assert "RunTask" not in ecs.calls()


def test_a_place_that_cannot_be_written_keeps_the_scheduler_from_starting(ecs: EcsApi, s3: FakeS3) -> None:
    with pytest.raises(AirflowException, match=r"Workloads cannot be stored in s3://nowhere/.*NoSuchBucket"):
        Scheduler(workload_s3_uri="s3://nowhere/workloads")


def test_the_option_for_all_commands_needs_a_place(ecs: EcsApi) -> None:
    with pytest.raises(AirflowException, match="WORKLOAD_S3_URI"):
        Scheduler(workload_s3_use="always")


def test_objects_are_encrypted_by_the_key_that_was_named(ecs: EcsApi, s3: FakeS3, warned: Callable[[], str]) -> None:
    scheduler = Scheduler(workload_s3_uri=PLACE, workload_s3_use="always", workload_s3_kms_key="alias/airflow")
    scheduler.queue(key())
    scheduler.run_to_the_end()
    assert s3.encryption[next(iter(stored(s3)))] == ("aws:kms", "alias/airflow")
    assert "encrypt" not in warned()


def test_a_bucket_that_encrypts_nothing_is_warned_about(ecs: EcsApi, s3: FakeS3, warned: Callable[[], str]) -> None:
    s3.default_encryption = ""
    scheduler = Scheduler(workload_s3_uri=PLACE, workload_s3_use="always")
    scheduler.queue(key())
    scheduler.run_to_the_end()
    assert "does not encrypt" in warned()
