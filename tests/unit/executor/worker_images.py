"""Workers' images in a registry, and task definitions that name them."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Sequence

import boto3
from airflow_ecs_executor.image_check.comparison import Versions

from local.ecs.control import EcsApi
from local.fakes.registry import FakeRegistry, put_image
from tests.unit.executor.harness import VERSIONS

REPOSITORY = "airflow-worker"
RIGHT = VERSIONS
"""What the scheduler of the tests without Airflow needs."""
WRONG = Versions("1.10.15", "3.6")
"""What no Airflow here needs."""
_OWN_LABELS = ("io.airflow-ecs.airflow", "io.airflow-ecs.python")
_OFFICIAL_LABELS = ("org.apache.airflow.version", "org.apache.airflow.python.version")
SECRETS = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__EXECUTION_API_SERVER_URL")
"""Without them in the container, the executor warns: of the first on Airflow 2, of the second on Airflow 3."""
_PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/it"


def put_worker(registry: FakeRegistry, tag: str, versions: Versions | None = RIGHT, *, ours: bool = True) -> str:
    """Put an image in under a tag, labelled as ours or as the official ones are, or not at all; returns its name."""
    labels = {}
    if versions is not None:
        labels = dict(zip(_OWN_LABELS if ours else _OFFICIAL_LABELS, (versions.airflow, versions.python)))
    if ours and labels:
        labels.update({"io.airflow-ecs.contract": "1", "io.airflow-ecs.dags": "s3"})
    put_image(registry, REPOSITORY, tag, {"architecture": "amd64", "config": {"Labels": labels}})
    return f"{registry.host}/{REPOSITORY}:{tag}"


def register(ecs: EcsApi, family: str, image: str, secrets: Sequence[str] = SECRETS, **container: Any) -> None:
    """Register a revision of a family, with all that a container needs unless ``secrets`` says less.

    ``container``: what else is in its definition.
    """
    with client_of(ecs) as client:
        client.register_task_definition(
            family=family,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="512",
            memory="1024",
            executionRoleArn="arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
            containerDefinitions=[
                {
                    "name": "airflow",
                    "image": image,
                    "essential": True,
                    "secrets": [{"name": name, "valueFrom": _PARAMETER} for name in secrets],
                    **container,
                }
            ],
        )


def deregister(ecs: EcsApi, name: str) -> None:
    """Make ``family:revision`` INACTIVE."""
    with client_of(ecs) as client:
        client.deregister_task_definition(taskDefinition=name)


@contextlib.contextmanager
def client_of(ecs: EcsApi) -> Iterator[Any]:
    """Create a client as the executor does, by a session: boto3's default session warns on Python 3.9."""
    with contextlib.closing(boto3.session.Session().client("ecs", endpoint_url=ecs.url)) as client:
        yield client
