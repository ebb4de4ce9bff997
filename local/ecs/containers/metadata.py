"""The endpoints at 169.254.170.2: task metadata version 4, and the credentials of the task role.

The forms are those of "Amazon ECS task metadata endpoint version 4 for tasks on Fargate" in the ECS Developer Guide.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from aiodocker.exceptions import DockerError
from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from local.ecs.containers.aws import Aws, in_words
from local.ecs.containers.engine import Engine, Interface
from local.ecs.containers.spec import TASK_ADDRESS, override_of, task_size
from local.ecs.state import Container, Document, Task, new_uuid, private_dns_name

_PORT = 80
_RENEW_BEFORE = timedelta(minutes=5)
_HEALTH = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}


@dataclass
class TaskOnEngine:
    """A task with its containers on the engine."""

    task: Task
    interface: Interface
    ids: dict[str, str] = field(default_factory=dict)
    """The engine's ids of its containers by name, as far as they exist."""
    credentials_id: str = field(default_factory=new_uuid)

    @property
    def role(self) -> str | None:
        """The task role's ARN."""
        found: str | None = self.task.overrides.get("taskRoleArn") or self.task.definition.document.get("taskRoleArn")
        return found


class TaskEndpoints:
    """Serves the metadata and credentials endpoints of all tasks."""

    def __init__(self, engine: Engine, aws: Aws) -> None:
        """Nothing listens yet."""
        self._engine = engine
        self._aws = aws
        self._containers: dict[str, tuple[TaskOnEngine, Container]] = {}
        self._roles: dict[str, str] = {}
        self._credentials: dict[str, tuple[datetime, Document]] = {}
        """By role: tasks that start at the same time must not wait for each other's."""
        self._assuming = asyncio.Lock()
        application = web.Application()
        application.add_routes(
            [
                web.get("/v4/{key}", self._container),
                web.get("/v4/{key}/stats", self._container_stats),
                web.get("/v4/{key}/task", self._task),
                web.get("/v4/{key}/taskWithTags", self._task_with_tags),
                web.get("/v4/{key}/task/stats", self._task_stats),
                web.get("/v2/credentials/{key}", self._role_credentials),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self, host: str = TASK_ADDRESS, port: int = _PORT) -> None:
        """Listen."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, backlog=1024).start()

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    def add(self, found: TaskOnEngine) -> None:
        """Start to serve the endpoints of a task."""
        for container in found.task.containers:
            self._containers[_key(found.task, container)] = (found, container)
        if found.role:
            self._roles[found.credentials_id] = found.role

    def drop(self, found: TaskOnEngine) -> None:
        """Stop serving the endpoints of a task."""
        for container in found.task.containers:
            self._containers.pop(_key(found.task, container), None)
        self._roles.pop(found.credentials_id, None)

    @staticmethod
    def environment(found: TaskOnEngine, container: Container) -> dict[str, str]:
        """Return what ECS sets in a container's environment."""
        variables = {
            "AWS_EXECUTION_ENV": f"AWS_ECS_{found.task.launch_type}",
            "ECS_CONTAINER_METADATA_URI_V4": f"http://{TASK_ADDRESS}/v4/{_key(found.task, container)}",
        }
        if found.role:
            variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = f"/v2/credentials/{found.credentials_id}"
        return variables

    # Answers

    async def _container(self, request: web.Request) -> web.Response:
        found, container = self._find(request)
        return web.json_response(await self._described(found, container))

    async def _task(self, request: web.Request) -> web.Response:
        return web.json_response(await self._described_task(self._find(request)[0]))

    async def _task_with_tags(self, request: web.Request) -> web.Response:
        found = self._find(request)[0]
        tags = {"TaskTags": {tag["key"]: tag.get("value", "") for tag in found.task.tags}}
        return web.json_response({**await self._described_task(found), **tags})

    async def _container_stats(self, request: web.Request) -> web.Response:
        found, container = self._find(request)
        return web.json_response(await self._stats(found, container))

    async def _task_stats(self, request: web.Request) -> web.Response:
        found = self._find(request)[0]
        parts = [await self._stats(found, container) for container in found.task.containers]
        names = [_key(found.task, container) for container in found.task.containers]
        return web.json_response(dict(zip(names, parts, strict=True)))

    async def _role_credentials(self, request: web.Request) -> web.Response:
        role = self._roles.get(request.match_info["key"])
        if role is None:
            text = {"code": "InvalidIdInRequest", "message": "CredentialsV2Request: ID not found", "HTTPErrorCode": 400}
            return web.json_response(text, status=400)
        async with self._assuming:
            kept = self._credentials.get(role)
            if kept is None or kept[0] - _RENEW_BEFORE < datetime.now(timezone.utc):
                try:
                    kept = self._credentials[role] = await asyncio.to_thread(self._assume, role)
                except (BotoCoreError, ClientError) as error:
                    return web.json_response({"code": "NoCredentialsAvailable", "message": in_words(error)}, status=500)
        return web.json_response(kept[1])

    def _assume(self, role: str) -> tuple[datetime, Document]:
        answer = self._aws.client("sts").assume_role(RoleArn=role, RoleSessionName="ecs-task")["Credentials"]
        end: datetime = answer["Expiration"]
        return end, {
            "RoleArn": role,
            "AccessKeyId": answer["AccessKeyId"],
            "SecretAccessKey": answer["SecretAccessKey"],
            "Token": answer["SessionToken"],
            "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _find(self, request: web.Request) -> tuple[TaskOnEngine, Container]:
        found = self._containers.get(request.match_info["key"])
        if found is None:
            raise web.HTTPNotFound(text="V4 container metadata handler: unable to find the container")
        return found

    async def _described_task(self, found: TaskOnEngine) -> Document:
        containers = [await self._described(found, container) for container in found.task.containers]
        return task_document(found.task, containers)

    async def _described(self, found: TaskOnEngine, container: Container) -> Document:
        inspected = await self._from_engine(found, container, self._engine.inspect) or {}
        return container_document(found, container, inspected)

    async def _stats(self, found: TaskOnEngine, container: Container) -> Any:
        return await self._from_engine(found, container, self._engine.stats)

    @staticmethod
    async def _from_engine(found: TaskOnEngine, container: Container, ask: Callable[[str], Any]) -> Any:
        identifier = found.ids.get(container.name)
        try:
            return await ask(identifier) if identifier is not None else None
        except DockerError:
            return None


def _key(task: Task, container: Container) -> str:
    """Return a container's name in the endpoint's addresses: as Fargate's, the task's id and a number."""
    number = int(container.fixed["containerArn"].rpartition("/")[2][:8], 16)
    return f"{task.id}-{number:010d}"


def container_document(found: TaskOnEngine, container: Container, inspected: Mapping[str, Any]) -> Document:
    """Return a container, as the endpoint describes it; ``inspected`` is empty before the engine has it."""
    task = found.task
    definition = next(item for item in task.definition.containers if item["name"] == container.name)
    override = override_of(task.overrides, container.name)
    limits = {
        "CPU": override.get("cpu") or definition.get("cpu", 0),
        "Memory": override.get("memory") or definition.get("memory"),
    }
    document: Document = {
        "DockerId": inspected.get("Id", ""),
        "Name": container.name,
        "DockerName": container.name,
        "Image": definition["image"],
        "ImageID": inspected.get("Image", ""),
        "Labels": {
            **definition.get("dockerLabels", {}),
            "com.amazonaws.ecs.cluster": task.cluster.arn,
            "com.amazonaws.ecs.container-name": container.name,
            "com.amazonaws.ecs.task-arn": task.arn,
            "com.amazonaws.ecs.task-definition-family": task.definition.family,
            "com.amazonaws.ecs.task-definition-version": str(task.definition.revision),
        },
        "DesiredStatus": task.desired_status,
        "KnownStatus": container.last_status,
        "Limits": {name: value for name, value in limits.items() if value is not None},
        "Type": "NORMAL",
        "ContainerARN": container.fixed["containerArn"],
        "Networks": [_network(found.interface)],
        "Snapshotter": "overlayfs",
    }
    state = inspected.get("State") or {}
    for name, value in (
        ("CreatedAt", inspected.get("Created")),
        ("StartedAt", state.get("StartedAt")),
        ("FinishedAt", state.get("FinishedAt")),
    ):
        if value and not value.startswith("0001-"):  # Go's zero time
            document[name] = value
    if "FinishedAt" in document:
        document["ExitCode"] = state["ExitCode"]
    health = state.get("Health")
    if health:
        document["Health"] = {"status": _HEALTH.get(health["Status"], "UNKNOWN")}
    configuration = definition.get("logConfiguration")
    if configuration:
        document["LogDriver"] = configuration["logDriver"]
        document["LogOptions"] = configuration.get("options", {})
    return document


def _network(interface: Interface) -> Document:
    subnet = ipaddress.ip_interface(f"{interface.address}/{interface.prefix_length}").network
    return {
        "NetworkMode": "awsvpc",
        "IPv4Addresses": [interface.address],
        "AttachmentIndex": 0,
        "MACAddress": interface.mac_address,
        "IPv4SubnetCIDRBlock": str(subnet),
        "PrivateDNSName": private_dns_name(interface.address),
        "SubnetGatewayIpv4Address": f"{interface.gateway}/{interface.prefix_length}",
    }


def task_document(task: Task, containers: list[Document]) -> Document:
    """Return a task, as the endpoint describes it."""
    cpu, memory = task_size(task.definition.document, task.overrides)
    limits = {"CPU": cpu / 1024 if cpu else None, "Memory": memory}
    document: Document = {
        "Cluster": task.cluster.arn,
        "TaskARN": task.arn,
        "Family": task.definition.family,
        "Revision": str(task.definition.revision),
        "DesiredStatus": task.desired_status,
        "KnownStatus": task.last_status,
        "Limits": {name: value for name, value in limits.items() if value is not None},
        "AvailabilityZone": task.arn.split(":")[3] + "a",
        "LaunchType": task.launch_type,
        "Containers": containers,
    }
    for name, moment in (("PullStartedAt", task.pull_started_at), ("PullStoppedAt", task.pull_stopped_at)):
        if moment is not None:
            document[name] = datetime.fromtimestamp(moment, timezone.utc).isoformat().replace("+00:00", "Z")
    return document
