"""What keeps a scheduler from starting, and how it is told apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from airflow.exceptions import AirflowException

from local.ecs.control import EcsApi
from tests.executor.harness import Scheduler


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that are made again are made again soon."""
    monkeypatch.setattr("airflow_ecs_executor.health.PAUSE", 0.05)


def test_a_healthy_setup_starts(ecs: EcsApi) -> None:
    Scheduler()
    assert set(ecs.calls()) == {"DescribeTasks", "StopTask", "DescribeClusters", "DescribeTaskDefinition"}


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
    with pytest.raises(AirflowException) as caught:
        Scheduler(**options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("action", ["DescribeTasks", "StopTask"])
def test_a_permission_that_tasks_need_is_named(ecs: EcsApi, action: str) -> None:
    ecs.fault(action, "denied")
    with pytest.raises(AirflowException, match=f"may not ecs:{action}"):
        Scheduler()


@pytest.mark.parametrize("action", ["DescribeClusters", "DescribeTaskDefinition"])
def test_a_permission_that_the_reference_does_not_need_is_a_warning(
    ecs: EcsApi, action: str, warned: Callable[[], str]
) -> None:
    ecs.fault(action, "denied")
    Scheduler()
    assert f"Allow ecs:{action}" in warned()


def test_an_inactive_cluster_is_not_an_unknown_one(ecs: EcsApi) -> None:
    import boto3

    client = boto3.client("ecs", endpoint_url=ecs.url)
    client.create_cluster(clusterName="old")
    client.delete_cluster(cluster="old")
    client.close()
    with pytest.raises(AirflowException, match="'old' is INACTIVE"):
        Scheduler(cluster="old")


def test_an_inactive_task_definition_is_named(ecs: EcsApi) -> None:
    import boto3

    client = boto3.client("ecs", endpoint_url=ecs.url)
    client.deregister_task_definition(taskDefinition="worker:1")
    client.close()
    with pytest.raises(AirflowException, match="INACTIVE"):
        Scheduler(task_definition="worker:1")


def test_no_credentials(ecs: EcsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AirflowException, match="no valid AWS credentials"):
        Scheduler()


def test_expired_credentials(ecs: EcsApi) -> None:
    ecs.fault("*", "expired_credentials")
    with pytest.raises(AirflowException, match=r"no valid AWS credentials.*ExpiredToken"):
        Scheduler()


def test_no_region(ecs: EcsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(AirflowException, match=r"No AWS region.*REGION_NAME"):
        Scheduler(region_name="")


def test_an_endpoint_that_does_not_answer(ecs: EcsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", "http://127.0.0.1:9")
    with pytest.raises(AirflowException, match="ECS does not answer"):
        Scheduler()


def test_throttling_at_start_is_waited_out(ecs: EcsApi) -> None:
    ecs.fault("DescribeTasks", "throttle", times=2)
    Scheduler()


def test_all_problems_are_said_at_once(ecs: EcsApi) -> None:
    ecs.fault("StopTask", "denied")
    with pytest.raises(AirflowException) as caught:
        Scheduler(container_name="worker")
    assert "ecs:StopTask" in str(caught.value) and "has no container" in str(caught.value)


def test_row_21_all_problems_of_the_configuration_are_said_at_once_before_aws_is_asked(ecs: EcsApi) -> None:
    with pytest.raises(AirflowException) as caught:
        Scheduler(
            assign_public_ip="perhaps", max_run_task_attempts="many", run_task_kwargs="{bad", run_task_rate="fast"
        )
    for variable in (
        "AIRFLOW__AWS_ECS_EXECUTOR__ASSIGN_PUBLIC_IP",
        "AIRFLOW__AWS_ECS_EXECUTOR__MAX_RUN_TASK_ATTEMPTS",
        "AIRFLOW__AWS_ECS_EXECUTOR__RUN_TASK_KWARGS",
        "AIRFLOW__AIRFLOW_ECS_EXECUTOR__RUN_TASK_RATE",
    ):
        assert variable in str(caught.value)
    assert ecs.calls() == {}


def test_variables_of_the_wrong_section_are_warned_about(
    ecs: EcsApi, warned: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__ECS_EXECUTOR__CLUSTER", "mine")
    Scheduler()
    assert "AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER" in warned()
