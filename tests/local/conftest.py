"""A local AWS for the session, a small image in its registry, and a short way to define, run and watch tasks."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from local.aws_services import service_image
from local.aws_services.aws import LocalAws
from local.aws_services.stack import Stack
from local.ecs.containers.runner import TASK_LABEL
from local.errors import ServiceError
from local.machine.client import engine
from local.machine.image_build import docker_build
from local.machine.waiting import until

GROUP = "/tests"
EXECUTION_ROLE = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"
Document = dict[str, Any]


def shell(script: str) -> list[str]:
    """A command that runs a script."""
    return ["sh", "-c", script]


def python(script: str) -> list[str]:
    """A command that runs Python, boto3 included."""
    return ["python3.11", "-c", script]


class Tasks:
    """Tasks of a local AWS."""

    def __init__(self, aws: LocalAws, image: str) -> None:
        self.aws = aws
        self.image = image
        self.docker = aws.stack.client
        self.ecs = aws.client("ecs")
        self.logs = aws.client("logs")
        self._families = (f"family-{number}" for number in itertools.count(1))

    def restart(self) -> None:
        """Kill the ECS API and start another."""
        self.aws.restart_ecs()
        self.ecs = self.aws.client("ecs")

    def container(self, command: list[str] | None = None, name: str = "main", **members: Any) -> Document:
        """A container definition of the small image that logs to CloudWatch."""
        options = {"awslogs-group": GROUP, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "task"}
        options["awslogs-create-group"] = "true"
        return {
            "name": name,
            "image": self.image,
            "essential": True,
            "command": command or shell("true"),
            "logConfiguration": {"logDriver": "awslogs", "options": options},
            **members,
        }

    def define(self, *containers: Document, **members: Any) -> str:
        """Register a task definition for Fargate and return its family."""
        family = next(self._families)
        definition = {
            "family": family,
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
            "executionRoleArn": EXECUTION_ROLE,
            "containerDefinitions": [*containers],
            **members,
        }
        self.ecs.register_task_definition(**definition)
        return family

    def run(self, family: str, count: int = 1, **overrides: Any) -> list[str]:
        """Launch tasks with overrides of the container ``main`` and return their ARNs."""
        answer = self.ecs.run_task(
            cluster="airflow",
            taskDefinition=family,
            launchType="FARGATE",
            count=count,
            networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            overrides={"containerOverrides": [{"name": "main", **overrides}]} if overrides else {},
        )
        return [task["taskArn"] for task in answer["tasks"]]

    def start(self, *containers: Document, until: str = "RUNNING", **members: Any) -> str:
        """Launch a task with these containers, wait for a state, and return its ARN."""
        (arn,) = self.run(self.define(*containers, **members))
        self.wait(arn, until)
        return arn

    def finish(self, *containers: Document, **members: Any) -> Document:
        """Run a task with these containers to its end and return its description."""
        (arn,) = self.run(self.define(*containers, **members))
        return self.wait(arn)

    def describe(self, arn: str) -> Document:
        """A task, as DescribeTasks has it."""
        task: Document = self.ecs.describe_tasks(cluster="airflow", tasks=[arn])["tasks"][0]
        return task

    def wait(self, arn: str, status: str = "STOPPED") -> Document:
        """Wait for a state, and return the task's description. One that stops before has failed the test."""

        def reached() -> Document | None:
            task = self.describe(arn)
            if task["lastStatus"] == status:
                return task
            assert task["lastStatus"] != "STOPPED", task
            return None

        return until(reached, 40, f"the task is {status}", pause=0.03, explain=lambda: str(self.describe(arn)))

    def stop(self, arn: str) -> Document:
        """Stop a task and return its description at its end."""
        self.ecs.stop_task(cluster="airflow", task=arn, reason="enough")
        return self.wait(arn)

    def lines(self, task: Document | str, container: str = "main") -> list[str]:
        """What a container has written to CloudWatch so far."""
        arn = task if isinstance(task, str) else task["taskArn"]
        stream = f"task/{container}/{arn.rpartition('/')[2]}"
        answer = self.logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True)
        return [event["message"] for event in answer["events"]]

    def json_of(self, task: Document) -> Any:
        """What a container has written, as JSON."""
        return json.loads("".join(self.lines(task)))

    def left(self, arn: str) -> list[str | None]:
        """The names of the containers and volumes of a task that are on the engine."""
        return [item.name for item in labelled(self.docker, f"{TASK_LABEL}={arn.rpartition('/')[2]}")]


def labelled(client: docker.DockerClient, label: str) -> list[Any]:
    """The containers, images, networks and volumes with a label."""
    filters: Document = {"label": label}
    return [
        *client.containers.list(all=True, filters=filters, ignore_removed=True),
        *client.images.list(filters=filters),
        *client.networks.list(filters=filters),
        *client.volumes.list(filters=filters),
    ]


def ends(task: Document) -> dict[str, tuple[int | None, str | None]]:
    """Exit code and reason of each container."""
    return {item["name"]: (item.get("exitCode"), item.get("reason")) for item in task["containers"]}


@pytest.fixture(scope="session")
def small_image() -> Iterator[str]:
    """The small image, on the engine."""
    flags = ["--build-arg", f"SERVICES={service_image.ensure_image()}"]
    name = f"airflow-ecs-local-tests/small:{secrets.token_hex(4)}"
    failure = "The small image could not be built"
    docker_build(Path(__file__).parent, name, *flags, secret="ca", error=ServiceError, failure=failure)
    yield name
    engine().images.remove(name, force=True)


@pytest.fixture(scope="session")
def session(small_image: str) -> Iterator[Tasks]:
    """A local AWS. Tests take `tasks`."""
    with Stack() as stack:
        aws = LocalAws(stack)
        yield Tasks(aws, aws.push(small_image))


@pytest.fixture
def tasks(session: Tasks) -> Iterator[Tasks]:
    """A local AWS without latencies, whose tasks end with the test."""
    yield session
    session.aws.ecs.reset()  # returns when nothing is left of them
