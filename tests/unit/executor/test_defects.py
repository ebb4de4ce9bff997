"""A defect of the executor shows as a defect, with its traceback, and not as an error of AWS."""

from __future__ import annotations

import logging
from typing import Any, Callable

import boto3
import botocore.config
import botocore.exceptions
import pytest
from airflow_ecs_executor.aws.container_logs import ContainerLogs, plain
from airflow_ecs_executor.aws.ecs import Ecs
from airflow_ecs_executor.aws.errors import ErrorKind, classify
from airflow_ecs_executor.aws.stack import read_stack
from airflow_ecs_executor.aws.workload_store import WorkloadStore
from airflow_ecs_executor.checks.health import HealthCheckError
from airflow_ecs_executor.checks.images import ImageChecks, NoMatchingRevisionError
from airflow_ecs_executor.image_check.comparison import Versions
from airflow_ecs_executor.image_check.ecr import EcrRegistry
from airflow_ecs_executor.image_check.http import Http
from airflow_ecs_executor.image_check.reference import parse

from local.ecs.control import EcsApi
from local.fakes.s3 import FakeS3
from tests.unit.executor.harness import Scheduler
from tests.unit.planted import defect_of

ARN = "arn:aws:ecs:eu-west-1:123456789012:task/airflow/0123456789abcdef"


planted = defect_of("airflow_ecs_executor")


class Planted:
    """A client of any service whose calls have a defect."""

    def __getattr__(self, name: str) -> Any:
        return planted


def image_checks(mode: str = "strict") -> ImageChecks:
    ecs = Ecs(Planted, "airflow")
    return ImageChecks(ecs, Planted(), Versions("3.3.2", "3.12"), container_name="airflow", mode=mode)  # type: ignore[arg-type]


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[BaseException]:
    """The exceptions that were logged with their tracebacks."""
    found = [record.exc_info[1] for record in caplog.records if record.exc_info and record.levelno == logging.ERROR]
    assert all(error is not None and error.__traceback__ for error in found)
    return [error for error in found if error is not None]


def test_a_defect_is_classified_as_one_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        with pytest.raises(KeyError) as raised:
            planted()
        first = classify(raised.value)
        assert first.defect and first.kind is ErrorKind.PERMANENT
    assert len(tracebacks(caplog)) == 1
    assert "KeyError: 'planted'. This is a defect of the ECS executor" in first.reason and "traceback" in first.reason


@pytest.mark.parametrize(
    "error",
    [
        OSError("network is down"),
        TimeoutError(),
        ModuleNotFoundError("No module named 'x'"),
        botocore.exceptions.NoRegionError(),
        type("OperationalError", (Exception,), {"__module__": "sqlalchemy.exc"})("the database is away"),
        type("AirflowNotFoundException", (Exception,), {"__module__": "airflow.exceptions"})("no connection"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_aws_the_network_the_database_and_airflow_are_no_defects(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert not classify(error).defect and not caplog.records


@pytest.mark.parametrize(
    "configured",
    [
        lambda _: botocore.config.Config(reed_timeout=3),
        lambda _: boto3.session.Session().client("ecs", "eu-west-1", endpoint_url="http://localhost:45x"),
        lambda _: boto3.session.Session().client("ecs", config={"read_timeout": 3}),
    ],
    ids=["TypeError", "ValueError", "AttributeError"],
)
def test_what_a_library_raises_for_a_user_s_settings_is_no_defect_and_keeps_the_scheduler_from_starting(
    ecs: EcsApi, configured: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Ecs, "client", configured)
    with pytest.raises(HealthCheckError, match=r"(Type|Value|Attribute)Error"):
        Scheduler()
    assert not tracebacks(caplog)


# The check at start


@pytest.mark.parametrize(
    ("place", "defect"), [("client", planted), ("describe_definition", planted), ("client", lambda _: Planted())]
)
def test_a_defect_in_the_health_check_lets_the_scheduler_start(
    ecs: EcsApi, place: str, defect: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Ecs, place, defect)
    Scheduler()
    assert [type(error) for error in tracebacks(caplog)] == [KeyError]
    assert "The rest of the ECS executor's health check was skipped. KeyError" in caplog.text
    assert "is ready" not in caplog.text


def test_a_defect_in_storing_workloads_lets_the_scheduler_start(
    ecs: EcsApi, s3: FakeS3, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(WorkloadStore, "try_out", planted)
    Scheduler(workload_s3_uri="s3://bucket/workloads")
    assert [type(error) for error in tracebacks(caplog)] == [KeyError]


# Images


def test_a_defect_in_describing_leaves_an_image_unchecked(caplog: pytest.LogCaptureFixture) -> None:
    assert image_checks().resolve("worker") == "worker"
    assert [type(error) for error in tracebacks(caplog)] == [KeyError]
    assert "was not checked against this scheduler: KeyError: 'planted'. This is a defect" in caplog.text


def test_a_defect_in_reading_an_image_leaves_it_unchecked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    described = {
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/worker:1",
        "containerDefinitions": [{"name": "airflow", "image": "worker:1"}],
    }
    monkeypatch.setattr(Ecs, "describe_definition", lambda *_: described)
    assert image_checks().resolve("worker") == "worker"
    assert [type(error) for error in tracebacks(caplog)] == [KeyError] and "This is a defect" in caplog.text


def test_a_defect_in_choosing_a_revision_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NoMatchingRevisionError, match=r"KeyError: 'planted'\. This is a defect"):
        image_checks().resolve("worker:matching")
    assert [type(error) for error in tracebacks(caplog)] == [KeyError]


# Where the call alone is guarded, a defect passes with its traceback.


@pytest.mark.parametrize(
    "ask",
    [
        lambda ecs: ecs.describe([ARN]),
        lambda ecs: ecs.list_stopped("deployment"),
    ],
)
def test_a_defect_passes_through_the_ecs_api(ask: Callable[[Ecs], Any]) -> None:
    with pytest.raises(KeyError, match="planted"):
        ask(Ecs(Planted, "airflow"))


def test_a_defect_in_a_call_of_ecr_is_no_error_of_the_registry() -> None:
    registry = EcrRegistry(Http(1), parse("123456789012.dkr.ecr.eu-west-1.amazonaws.com/worker:1"), Planted())
    with pytest.raises(KeyError, match="planted"):
        registry.manifest("1")


def test_a_defect_in_reading_a_stack_is_no_error_of_cloudformation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boto3.session.Session", lambda **_: Planted())
    with pytest.raises(KeyError, match="planted"):
        read_stack("airflow-ecs")


def test_a_defect_in_showing_a_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    logs = ContainerLogs(Ecs(Planted, "airflow"), lambda region: Planted(), "airflow")
    (message,), lines = logs.shown(ARN, "worker", plain)
    assert "This is a defect" in message and lines == []
    assert [type(error) for error in tracebacks(caplog)] == [KeyError]
