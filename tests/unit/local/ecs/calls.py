"""What the tests of the local ECS call it with, and how they wait for its tasks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.ecs.control import EcsControl

CLUSTER = "airflow"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
USUAL: dict[str, Any] = {
    "cluster": CLUSTER,
    "taskDefinition": "worker",
    "launchType": "FARGATE",
    "networkConfiguration": NETWORK,
}
"""RunTask with what a task of `worker` needs."""
Launch = Callable[..., dict[str, Any]]


def connect(server: EcsControl, **config: Any) -> Any:
    """A boto3 client that calls once."""
    return boto3.client(
        "ecs",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(**{"retries": {"total_max_attempts": 1}, **config}),
    )


def run_task(client: Any, **parameters: Any) -> dict[str, Any]:
    """RunTask as usual, with other parameters; None leaves one out."""
    wanted = {name: value for name, value in {**USUAL, **parameters}.items() if value is not None}
    answer: dict[str, Any] = client.run_task(**wanted)
    return answer


def arns(answer: dict[str, Any]) -> list[str]:
    return [task["taskArn"] for task in answer["tasks"]]


def described(client: Any, arn: str, cluster: str = CLUSTER, **parameters: Any) -> dict[str, Any]:
    answer = client.describe_tasks(cluster=cluster, tasks=[arn], **parameters)
    assert answer["failures"] == []
    return dict(answer["tasks"][0])


def reaches(client: Any, arn: str, status: str = "STOPPED", cluster: str = CLUSTER) -> dict[str, Any]:
    """The task when it has reached a status."""
    end = time.monotonic() + 30
    while (task := described(client, arn, cluster))["lastStatus"] != status:
        assert time.monotonic() < end, f"{task['lastStatus']} instead of {status}"
        time.sleep(0.005)
    return task


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def refused(call: Callable[..., Any], *arguments: Any, **parameters: Any) -> tuple[str, str]:
    """The code and the message of the error that a call gets."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    error = caught.value.response["Error"]
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-errortype"] == error["Code"]
    return error["Code"], error["Message"]
