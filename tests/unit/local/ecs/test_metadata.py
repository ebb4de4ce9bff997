"""The task metadata endpoint version 4 and the credentials endpoint, over HTTP, of a task without containers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from typing import Any, cast

import aiohttp
import pytest
from aiodocker.exceptions import DockerError
from botocore.exceptions import ClientError

from local.ecs.containers.aws import Aws
from local.ecs.containers.engine import Engine, Interface
from local.ecs.containers.metadata import TaskEndpoints, TaskOnEngine
from local.ecs.runner import Runner
from local.ecs.state import Document, Task
from local.ecs.world import World

ROLE = "arn:aws:iam::123456789012:role/worker"
INTERFACE = Interface("n3t", "172.20.0.7", 16, "172.20.0.1", "02:42:ac:14:00:07")
CONTAINERS = [
    {"name": "main", "image": "worker:1", "cpu": 128, "memory": 256, "dockerLabels": {"team": "data"},
     "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/g", "awslogs-region": "us-east-1"}}},
    {"name": "sidecar", "image": "sidecar:1", "essential": False},
]  # fmt: skip


class Holder(Runner):
    """Does nothing with the tasks that it is given."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    async def start(self, task: Task) -> None:
        self.tasks.append(task)


class FakeEngine:
    """An engine that knows of containers what a test says; others are gone."""

    def __init__(self) -> None:
        self.known: dict[str, Document] = {}

    async def inspect(self, identifier: str) -> Document:
        if identifier not in self.known:
            raise DockerError(404, "No such container")
        return self.known[identifier]

    async def stats(self, identifier: str) -> Document:
        return {"of": (await self.inspect(identifier))["Id"]}


class Sts:
    """Gives out numbered credentials that last for a time."""

    def __init__(self) -> None:
        self.lasting = timedelta(hours=1)
        self.given = 0
        self.refuses = False

    def client(self, service: str) -> Sts:
        return self

    def assume_role(self, RoleArn: str, RoleSessionName: str) -> Document:
        if self.refuses:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "No."}}, "AssumeRole")
        self.given += 1
        end = datetime.now(timezone.utc) + self.lasting
        key = f"key-{self.given}"
        return {"Credentials": {"AccessKeyId": key, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": end}}


class Asked:
    """The endpoints of one task, and what asks them."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.sts = Sts()
        self.found: TaskOnEngine
        self.endpoints: TaskEndpoints
        self._address = ""
        self._session: aiohttp.ClientSession

    def run(self, test: Callable[[Asked], Awaitable[None]], **definition: Any) -> None:
        """Launch a task of this definition, serve its endpoints, and run a test on them."""
        asyncio.run(self._run(test, definition))

    async def _run(self, test: Callable[[Asked], Awaitable[None]], definition: Document) -> None:
        runner = Holder()
        operations = World(runner, "us-east-1", "123456789012").operations
        operations.register_task_definition(
            {"family": "f", "networkMode": "awsvpc", "cpu": "512", "memory": "1 GB",
             "containerDefinitions": CONTAINERS, **definition}
        )  # fmt: skip
        operations.run_task(
            {
                "cluster": "airflow",
                "taskDefinition": "f",
                "launchType": "FARGATE",
                "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
                "tags": [{"key": "team", "value": "data"}],
            }
        )
        await asyncio.sleep(0)
        self.found = TaskOnEngine(runner.tasks[0], INTERFACE, {"main": "abc"})
        self.endpoints = TaskEndpoints(cast(Engine, self.engine), cast(Aws, self.sts))
        self.endpoints.add(self.found)
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        await self.endpoints.start("127.0.0.1", port)
        self._address = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as self._session:
            try:
                await test(self)
            finally:
                await self.endpoints.close()

    def environment(self, container: int = 0) -> dict[str, str]:
        return self.endpoints.environment(self.found, self.found.task.containers[container])

    async def get(self, path: str, container: int = 0) -> Any:
        """What a container is answered at a path below its own address."""
        base = self.environment(container)["ECS_CONTAINER_METADATA_URI_V4"]
        return (await self.ask(base.removeprefix("http://169.254.170.2") + path))[1]

    async def ask(self, path: str) -> tuple[int, Any]:
        async with self._session.get(self._address + path) as answer:
            return answer.status, await answer.json(content_type=None) if answer.status != 404 else await answer.text()


@pytest.fixture
def asked() -> Asked:
    return Asked()


class TestMetadata:
    def test_statistics_are_the_engine_s_and_null_for_what_does_not_run(self, asked: Asked) -> None:
        asked.engine.known["abc"] = {"Id": "abc"}

        async def test(asked: Asked) -> None:
            assert await asked.get("/stats") == {"of": "abc"}
            assert await asked.get("/stats", container=1) is None
            assert [*(await asked.get("/task/stats")).values()] == [{"of": "abc"}, None]
            del asked.engine.known["abc"]
            assert await asked.get("/stats") is None

        asked.run(test)

    def test_a_task_that_is_over_is_not_found(self, asked: Asked) -> None:
        async def test(asked: Asked) -> None:
            path = asked.environment()["ECS_CONTAINER_METADATA_URI_V4"].removeprefix("http://169.254.170.2")
            asked.endpoints.drop(asked.found)
            status, text = await asked.ask(path)
            assert status == 404 and "unable to find the container" in text

        asked.run(test)


class TestCredentials:
    def test_are_those_of_the_task_role_and_kept_while_they_last(self, asked: Asked) -> None:
        async def test(asked: Asked) -> None:
            path = asked.environment()["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
            (status, first), second = await asked.ask(path), await asked.ask(path)
            assert status == 200 and second == (200, first)
            assert first.keys() == {"RoleArn", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
            assert (first["RoleArn"], first["AccessKeyId"]) == (ROLE, "key-1")

        asked.run(test, taskRoleArn=ROLE)

    def test_are_renewed_before_they_end(self, asked: Asked) -> None:
        asked.sts.lasting = timedelta(minutes=4)

        async def test(asked: Asked) -> None:
            path = asked.environment()["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
            keys = [(await asked.ask(path))[1]["AccessKeyId"] for _ in range(2)]
            assert keys == ["key-1", "key-2"]

        asked.run(test, taskRoleArn=ROLE)

    def test_that_are_refused_are_an_error_with_aws_s_words(self, asked: Asked) -> None:
        asked.sts.refuses = True

        async def test(asked: Asked) -> None:
            status, found = await asked.ask(asked.environment()["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"])
            assert (status, found["message"]) == (500, "AccessDenied: No.")

        asked.run(test, taskRoleArn=ROLE)

    def test_without_a_role_or_after_the_task_there_are_none(self, asked: Asked) -> None:
        async def test(asked: Asked) -> None:
            assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in asked.environment()
            status, found = await asked.ask(f"/v2/credentials/{asked.found.credentials_id}")
            assert (status, found["code"]) == (400, "InvalidIdInRequest")

        asked.run(test)
