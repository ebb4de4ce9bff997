"""What keeps a scheduler from starting, and how it is told apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from airflow_ecs_executor.checks.health import HealthCheckError, check
from airflow_ecs_executor.config.reader import read_settings
from airflow_ecs_executor.services import deployment_of, services_of

from local.ecs.control import EcsApi
from local.fakes.s3 import WRITING, FakeS3, Fault
from tests.unit.executor.harness import OPTIONS, VERSIONS, Configuration, Scheduler
from tests.unit.executor.worker_images import client_of, deregister

DENIED = "User: arn:aws:iam::1:user/me is not authorized to perform: s3:DeleteObject on resource: x"


def test_a_healthy_setup_starts(ecs: EcsApi, said: Callable[[], str]) -> None:
    Scheduler()
    assert set(ecs.calls()) == {"DescribeTasks", "StopTask", "DescribeClusters", "DescribeTaskDefinition"}
    assert "is ready: cluster airflow, task definition worker" in said()


def test_the_check_can_be_switched_off(ecs: EcsApi) -> None:
    Scheduler(check_health_on_startup="False", cluster="nothing")
    assert ecs.calls() == {}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cluster": "nothing"}, ["There is no cluster 'nothing'", "aws ecs create-cluster --cluster-name nothing"]),
        ({"task_definition": "nothing"}, ["'nothing' cannot be described", "aws ecs register-task-definition"]),
        ({"container_name": "worker"}, ["has no container 'worker'", "it has airflow", "CONTAINER_NAME"]),
    ],
)
def test_what_is_not_there_is_named(ecs: EcsApi, options: dict[str, str], words: list[str]) -> None:
    with pytest.raises(HealthCheckError) as caught:
        Scheduler(**options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("action", ["DescribeTasks", "StopTask"])
def test_a_permission_that_tasks_need_is_named(ecs: EcsApi, action: str) -> None:
    ecs.fault(action, "denied")
    with pytest.raises(HealthCheckError, match=f"may not ecs:{action}"):
        Scheduler()


@pytest.mark.parametrize("action", ["DescribeClusters", "DescribeTaskDefinition"])
def test_a_permission_that_the_reference_does_not_need_is_a_warning(
    ecs: EcsApi, action: str, warned: Callable[[], str]
) -> None:
    ecs.fault(action, "denied")
    Scheduler()
    assert f"Allow ecs:{action}" in warned()


def test_an_inactive_cluster_is_not_an_unknown_one(ecs: EcsApi) -> None:
    with client_of(ecs) as client:
        client.create_cluster(clusterName="old")
        client.delete_cluster(cluster="old")
    with pytest.raises(HealthCheckError, match="'old' is INACTIVE"):
        Scheduler(cluster="old")


def test_an_inactive_task_definition_is_named(ecs: EcsApi) -> None:
    deregister(ecs, "worker:1")
    with pytest.raises(HealthCheckError, match="INACTIVE"):
        Scheduler(task_definition="worker:1")


@pytest.mark.parametrize(
    ("environment", "options", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, {}, "no valid AWS credentials"),
        ({"AWS_DEFAULT_REGION": None}, {"region_name": ""}, "No AWS region.*REGION_NAME"),
        ({"AWS_ENDPOINT_URL_ECS": "nonsense"}, {}, "No ECS client could be created"),
        ({"AWS_ENDPOINT_URL_ECS": "http://127.0.0.1:9"}, {}, "ECS does not answer"),
        (
            {},
            {"conn_id": "my_aws"},
            "'my_aws' requires the Amazon provider.*pip install apache-airflow-providers-amazon",
        ),
    ],
)
def test_what_this_machine_lacks_is_told(
    ecs: EcsApi,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str | None],
    options: dict[str, str],
    words: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    with pytest.raises(HealthCheckError, match=words):
        Scheduler(**options)


def test_expired_credentials(ecs: EcsApi) -> None:
    ecs.fault("*", "expired_credentials")
    with pytest.raises(HealthCheckError, match=r"no valid AWS credentials.*ExpiredToken"):
        Scheduler()


def test_throttling_at_start_is_waited_out(ecs: EcsApi, warned: Callable[[], str]) -> None:
    ecs.fault("DescribeTasks", "throttle", times=2)
    Scheduler()
    assert ecs.calls()["DescribeTasks"]["count"] == 3 and warned() == ""


def test_throttling_without_an_end_is_no_reason_not_to_start(ecs: EcsApi, warned: Callable[[], str]) -> None:
    ecs.fault("DescribeTasks", "throttle")
    Scheduler()
    assert "Part of the ECS executor's health check was not possible: ThrottlingException" in warned()


def test_all_problems_are_said_at_once(ecs: EcsApi) -> None:
    ecs.fault("StopTask", "denied")
    with pytest.raises(HealthCheckError) as caught:
        Scheduler(container_name="worker")
    assert "ecs:StopTask" in str(caught.value) and "has no container" in str(caught.value)


# The place of workloads


def test_a_place_that_cannot_be_written_keeps_the_scheduler_from_starting(ecs: EcsApi, s3: FakeS3) -> None:
    with pytest.raises(HealthCheckError, match=r"Workloads cannot be stored in s3://nowhere/.*NoSuchBucket"):
        Scheduler(workload_s3_uri="s3://nowhere/workloads")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(WRITING, "error", status=503, code="SlowDown"), "Not checked: workloads in s3://bucket/workloads"),
        (Fault(None, "error", status=403, code="AccessDenied", message=DENIED), "allow s3:DeleteObject"),
    ],
)
def test_a_place_that_can_perhaps_be_written_is_a_warning(
    ecs: EcsApi, s3: FakeS3, warned: Callable[[], str], fault: Fault, words: str
) -> None:
    s3.faults = [fault]
    Scheduler(workload_s3_uri="s3://bucket/workloads")
    assert words in warned()


# Teams


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        ({"cluster": "nothing"}, ["CLUSTER", "REGION_NAME"]),
        ({"task_definition": "nothing"}, ["TASK_DEFINITION"]),
        ({"container_name": "worker"}, ["CONTAINER_NAME"]),
    ],
)
def test_a_team_is_told_its_own_variables(ecs: EcsApi, options: dict[str, str], variables: list[str]) -> None:
    configuration = Configuration({**OPTIONS, **options})
    configuration.team_name = "blue"
    settings = read_settings(configuration, {})
    with pytest.raises(HealthCheckError) as caught:
        check(services_of(settings, VERSIONS, deployment_of(settings, "")).ecs, settings, None)
    assert all(f"AIRFLOW__BLUE___AWS_ECS_EXECUTOR__{name}" in str(caught.value) for name in variables)
    assert "AIRFLOW__AWS_ECS_EXECUTOR__" not in str(caught.value)
