"""The request of a launch: its command, or arguments that go through S3, where their container removes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow_ecs_executor.aws.connection import Connection
from airflow_ecs_executor.config.source import ConfigurationError
from airflow_ecs_executor.launching.adoption import Orphan

from local.ecs.control import EcsApi
from local.fakes.s3 import WRITING, FakeS3, Fault
from tests.unit.executor.harness import Airflow, Scheduler, command, key
from tests.unit.executor.harness import launched as all_running

PLACE = "s3://bucket/workloads"
PREFIX = "workloads/tests/"
LONG = "n" * 9000


@pytest.fixture
def long() -> Airflow:
    """An Airflow all of whose commands are too long."""
    airflow = Airflow()
    airflow.more_arguments = [LONG]
    return airflow


def stored(s3: FakeS3) -> dict[str, list[str]]:
    """The arguments that are in S3 now, by key."""
    return {name: json.loads(body)["arguments"] for name, body in s3.buckets["bucket"].items()}


def command_in(task: dict[str, Any]) -> list[str]:
    (container,) = task["request"]["overrides"]["containerOverrides"]
    found: list[str] = container["command"]
    return found


def launched(ecs: EcsApi) -> list[str]:
    (task,) = ecs.tasks()
    return command_in(task)


def test_a_LONG_goes_through_s3(ecs: EcsApi, s3: FakeS3, long: Airflow) -> None:
    scheduler = Scheduler(airflow=long, workload_s3_uri=PLACE)
    scheduler.complete()
    assert scheduler.states()[-1] == "success"
    found = launched(ecs)
    assert len(found) == 5 and found[3] == "--arguments-from"
    ((name, arguments),) = stored(s3).items()
    assert found[4] == f"s3://bucket/{name}" and name.startswith(PREFIX)
    assert arguments[-1] == LONG


def test_a_command_that_fits_stays_in_the_overrides(ecs: EcsApi, s3: FakeS3) -> None:
    scheduler = Scheduler(workload_s3_uri=PLACE)
    scheduler.complete()
    assert "--arguments-from" not in launched(ecs) and not stored(s3)


def test_by_option_every_command_goes_there_and_no_token_is_in_the_overrides(ecs: EcsApi, s3: FakeS3) -> None:
    scheduler = Scheduler(workload_s3_uri=PLACE, workload_s3_use="always")
    scheduler.complete()
    (arguments,) = stored(s3).values()
    (task,) = ecs.tasks()
    assert arguments == command(key())[3:]
    assert key().run_id in arguments and "--local" not in json.dumps(task["request"])
    assert command_in(task)[3:4] == ["--arguments-from"]


def test_without_a_place_the_task_fails_before_aws_is_called(ecs: EcsApi, long: Airflow) -> None:
    scheduler = Scheduler(airflow=long)
    scheduler.complete()
    assert scheduler.ends() == {key(): ["failed"]}
    assert "RunTask" not in ecs.calls()
    assert "workload_s3_uri" in scheduler.notes[-1][1] and "8,192" in scheduler.notes[-1][1]


def test_an_environment_that_is_too_long_is_not_helped_by_it(ecs: EcsApi, s3: FakeS3) -> None:
    config = {
        "overrides": {"containerOverrides": [{"name": "airflow", "environment": [{"name": "A", "value": "a" * 9000}]}]}
    }
    scheduler = Scheduler(workload_s3_uri=PLACE)
    scheduler.complete(key(), executor_config=config)
    assert scheduler.ends() == {key(): ["failed"]}
    assert "environment" in scheduler.notes[-1][1] and not stored(s3)


def test_what_no_container_has_read_is_removed(ecs: EcsApi, s3: FakeS3) -> None:
    ecs.behave(times=1, never_starts="CannotPullContainerError: timeout")
    scheduler = Scheduler(workload_s3_uri=PLACE, workload_s3_use="always")
    scheduler.complete()
    assert scheduler.states()[-1] == "success"
    first, second = (command_in(task)[4] for task in ecs.tasks())
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
    scheduler.complete()
    assert len(ecs.tasks()) == 1 and scheduler.states()[-1] == "success"
    assert launched(ecs)[4] == f"s3://bucket/{next(iter(stored(s3)))}"


def test_s3_that_throttles_fails_no_task_and_does_not_slow_launches_down(
    ecs: EcsApi, s3: FakeS3, long: Airflow, warned: Callable[[], str]
) -> None:
    scheduler = Scheduler(airflow=long, workload_s3_uri=PLACE)
    s3.faults = [Fault(WRITING, "error", times=4, status=503, code="SlowDown")]
    scheduler.complete()
    assert scheduler.states()[-1] == "success"
    assert "A task cannot be launched yet (PutObject): SlowDown" in warned()
    assert "RunTask" not in warned() and scheduler.airflow.figures.counters["throttled"] == 0


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
    scheduler.complete()
    assert scheduler.states()[-1] == "success" and made.count("s3") == 2


def test_a_denied_place_fails_the_task_and_names_the_action(ecs: EcsApi, s3: FakeS3, long: Airflow) -> None:
    scheduler = Scheduler(airflow=long, workload_s3_uri=PLACE)
    s3.faults = [Fault(WRITING, "error", status=403, code="AccessDenied")]
    scheduler.complete()
    assert scheduler.ends() == {key(): ["failed"]}
    assert "s3:PutObject" in scheduler.notes[-1][1] and PLACE in scheduler.notes[-1][1]
    assert "RunTask" not in ecs.calls()


def test_the_option_for_all_commands_needs_a_place(ecs: EcsApi) -> None:
    with pytest.raises(ConfigurationError, match="WORKLOAD_S3_URI"):
        Scheduler(workload_s3_use="always")


def test_objects_are_encrypted_by_the_key_that_was_named(ecs: EcsApi, s3: FakeS3, warned: Callable[[], str]) -> None:
    scheduler = Scheduler(workload_s3_uri=PLACE, workload_s3_use="always", workload_s3_kms_key="alias/airflow")
    scheduler.complete()
    assert s3.encryption[next(iter(stored(s3)))] == ("aws:kms", "alias/airflow")
    assert "encrypt" not in warned()


def test_a_bucket_that_encrypts_nothing_is_warned_about(ecs: EcsApi, s3: FakeS3, warned: Callable[[], str]) -> None:
    s3.default_encryption = ""
    scheduler = Scheduler(workload_s3_uri=PLACE, workload_s3_use="always")
    scheduler.complete()
    assert "does not encrypt" in warned()


def test_arguments_that_are_longer_than_the_entrypoint_reads_fail_the_task(ecs: EcsApi, s3: FakeS3) -> None:
    airflow = Airflow()
    airflow.more_arguments = ["n" * 1024 * 1024]
    scheduler = Scheduler(airflow=airflow, workload_s3_uri=PLACE)
    scheduler.complete()
    assert "at most 1,048,576 can be stored" in scheduler.notes[-1][1] and not stored(s3)


# The workload


def test_a_new_attempt_has_a_new_token(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    ecs.behave("task-0", times=1, never_starts="CannotPullContainerError: timeout")
    scheduler.complete()
    assert scheduler.states() == ["running", "running", "success"] and scheduler.airflow.renewed == [command(key())]


@pytest.mark.parametrize("known", [True, False])
def test_an_adopted_task_is_launched_again_from_the_database(ecs: EcsApi, known: bool) -> None:
    first = Scheduler()
    arns = all_running(ecs, first, 1)
    first.die()
    scheduler = Scheduler()
    if not known:
        scheduler.airflow.moved_on.add(key())
    assert scheduler.adopt(Orphan(key(), arns[key()], None, False)) == []
    ecs.configure(run_seconds=0.1)
    ecs.stop_tasks([arns[key()]], stop_code="SpotInterruption", reason="Your Spot Task was interrupted.", exit_code=143)
    scheduler.run_to_the_end()
    assert scheduler.ends() == {key(): ["success" if known else "failed"]}
    assert known or "Airflow has started another try of it" in scheduler.notes[-1][1]


def test_a_database_that_does_not_answer_is_asked_again(ecs: EcsApi, warned: Callable[[], str]) -> None:
    class Away(Airflow):
        answers = iter([ConnectionError("the database is away")])

        def command_of(self, workload: Any, generator: Any, renew_token: bool) -> list[str]:
            for error in self.answers:
                raise error
            return super().command_of(workload, generator, renew_token)

    scheduler = Scheduler(airflow=Away(), max_run_task_attempts="1")
    scheduler.complete()
    assert scheduler.states() == ["running", "success"]
    assert "A task cannot be launched yet" in warned()


def test_a_defect_of_ours_fails_the_task_and_is_logged(ecs: EcsApi, said: Callable[[], str]) -> None:
    class Broken(Airflow):
        def command_of(self, workload: Any, generator: Any, renew_token: bool) -> list[str]:
            raise TypeError("ours")

    scheduler = Scheduler(airflow=Broken())
    scheduler.complete()
    assert scheduler.ends() == {key(): ["failed"]}
    assert "The RunTask request could not be made: TypeError: ours" in scheduler.notes[-1][1]


# The cluster's default


def test_with_no_launch_type_the_cluster_s_default_is_asked_for_once(ecs: EcsApi) -> None:
    scheduler = Scheduler(launch_type="", check_health_on_startup="False")
    scheduler.queue_all(5)
    scheduler.run_to_the_end()
    assert ecs.calls()["DescribeClusters"]["count"] == 1
    assert {task["request"]["launchType"] for task in ecs.tasks()} == {"FARGATE"}


def test_a_default_that_may_not_be_asked_for_is_fargate(ecs: EcsApi, warned: Callable[[], str]) -> None:
    ecs.fault("DescribeClusters", "denied")
    scheduler = Scheduler(launch_type="", check_health_on_startup="False")
    scheduler.complete()
    assert ecs.tasks()[0]["request"]["launchType"] == "FARGATE"
    assert "Tasks are launched with launch type FARGATE" in warned()


def test_a_default_that_cannot_be_asked_for_now_is_waited_for(ecs: EcsApi) -> None:
    ecs.fault("DescribeClusters", "throttle", times=2)
    scheduler = Scheduler(launch_type="", check_health_on_startup="False", max_run_task_attempts="1")
    scheduler.complete()
    assert scheduler.states() == ["running", "success"]
