"""A task's life on this machine's Docker engine."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import Any

from aiodocker.exceptions import DockerError

from local.ecs.containers import awslogs
from local.ecs.containers.aws import Aws
from local.ecs.containers.engine import Engine
from local.ecs.containers.injected import injected
from local.ecs.containers.metadata import TaskEndpoints, TaskOnEngine
from local.ecs.containers.spec import (
    Surroundings,
    container_spec,
    dependencies,
    exit_reason,
    image_for_engine,
    override_of,
    start_levels,
    stop_seconds,
)
from local.ecs.errors import CannotStartError
from local.ecs.quotas import number
from local.ecs.runner import Runner
from local.ecs.state import STOPPED, Document, Task
from local.errors import LocalError, ServiceError

SETTINGS_VARIABLE = "LOCAL_ECS_CONTAINERS"
TASK_LABEL = "io.airflow-ecs.local.task"
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Settings:
    """Where tasks run."""

    network: str
    """The Docker network that tasks are attached to."""
    registry: str
    """``host:port`` of the registry that stands for Amazon ECR, as the engine reaches it."""
    network_image: str
    """Of the container that holds a task's network: it needs ``sh`` and ``ip``."""
    labels: Mapping[str, str]
    """Of every container and volume, besides ``TASK_LABEL``."""
    region: str
    aws_endpoint: str | None = None
    """Of the other services of AWS; None: by AWS's own settings."""


@dataclass(frozen=True)
class Latency:
    """What AWS takes its time for; what this machine takes is part of it. All times are seconds."""

    placement_seconds: float = 0.0
    """From the launch until the task has a place and a network interface."""
    pull_seconds: float = 0.0
    """From then on until its images are there."""
    deprovision_seconds: float = 0.0
    """From the containers' end until the task is STOPPED."""

    def changed(self, values: Mapping[str, Any]) -> Latency:
        """These latencies with other values. Raises LocalError for a value that makes no sense."""
        known = {item.name for item in fields(Latency)}
        for name, value in values.items():
            if name not in known:
                raise LocalError(f"There is no latency {name!r}. There are: {', '.join(sorted(known))}")
            number(name, value)
        return replace(self, **values)


def from_environment() -> ContainerRunner:
    """The runner that ``LOCAL_ECS_CONTAINERS`` describes: a JSON object with the members of ``Settings``."""
    text = os.environ.get(SETTINGS_VARIABLE)
    if not text:
        raise LocalError(f"{SETTINGS_VARIABLE} is not set: it says where tasks run, see local.ecs.containers.runner")
    return ContainerRunner(Settings(**json.loads(text)))


class _Life:
    """What a task's coroutine and those of its containers share."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        """It is to be stopped."""
        self.ended: dict[str, int | None] = {}
        """Exit codes of the containers that have ended."""

    async def unless_stopped(self, seconds: float) -> None:
        """Wait for so long, or until the task is to be stopped."""
        if seconds > 0:
            try:
                await asyncio.wait_for(self.stopping.wait(), seconds)
            except asyncio.TimeoutError:
                pass


class ContainerRunner(Runner):
    """Runs tasks as containers: one that holds the network, and one for each of the task definition."""

    fields = frozenset(item.name for item in fields(Latency))

    def __init__(self, settings: Settings) -> None:
        """Nothing is asked yet."""
        self._settings = settings
        self._latency = Latency()
        self._lives: dict[str, _Life] = {}
        self._aws = Aws(settings.region, settings.aws_endpoint)
        self._address = ""
        self._engine: Engine
        self._endpoints: TaskEndpoints

    async def open(self) -> None:
        """Connect to the engine, remove what a killed server has left, and serve the tasks' endpoints."""
        self._engine = Engine()
        self._endpoints = TaskEndpoints(self._engine, self._aws)
        try:
            # Its own in the tasks' network: they ask it for their metadata.
            self._address = await asyncio.to_thread(socket.gethostbyname, socket.gethostname())
            await self._engine.connect()
            await self._engine.remove({**self._settings.labels, TASK_LABEL: None})
            await self._endpoints.start()
        except (DockerError, OSError) as error:
            await self._engine.close()
            raise ServiceError(f"Tasks cannot run here: {error}") from error

    async def close(self) -> None:
        """Remove what is left of the tasks."""
        await self._engine.remove({**self._settings.labels, TASK_LABEL: None})
        await self._endpoints.close()
        await self._engine.close()

    def behave(self, match: str | None, times: int | None, behaviour: Mapping[str, Any]) -> None:
        """Change latencies, of all tasks from now on."""
        if match is not None or times is not None:
            raise LocalError("Latencies are those of all tasks: without match and times")
        self._latency = self._latency.changed(behaviour)

    def reset(self) -> None:
        """Forget latencies and tasks."""
        self._latency = Latency()
        self._lives = {}

    async def stop(self, task: Task, exit_code: int | None = None) -> None:
        """Tell the task's coroutine."""
        life = self._lives.get(task.id)
        if life is not None:
            life.stopping.set()

    async def start(self, task: Task) -> None:
        """A task's whole life."""
        life = self._lives[task.id] = _Life()
        latency = self._latency
        if task.desired_status == STOPPED:
            life.stopping.set()
        try:
            try:
                await self._live(task, life, latency)
            except CannotStartError as error:
                self.reports.failed_to_start(task, error.reason, error.container_reason)
            self.reports.deprovisioning(task)
            await asyncio.gather(self._remove(task), asyncio.sleep(latency.deprovision_seconds))
            self.reports.stopped(task)
        except BaseException:  # a cancellation, too, leaves nothing
            await self._remove(task)
            raise
        finally:
            self._lives.pop(task.id, None)

    async def _live(self, task: Task, life: _Life, latency: Latency) -> None:
        """From PROVISIONING to the end of the last container."""
        interface, _ = await _together(
            self._engine.start_network(
                self._prefix(task) + "network",
                self._settings.network_image,
                self._settings.network,
                f"ecs-{task.id[:12]}",
                self._address,
                self._labels(task),
            ),
            life.unless_stopped(latency.placement_seconds),
        )
        if life.stopping.is_set():
            return
        found = TaskOnEngine(task, interface)
        self.reports.provisioned(task, interface.address)
        self._endpoints.add(found)
        try:
            prepared = await self._prepare(task, life, latency)
            if not life.stopping.is_set():
                self.reports.pulled(task, {name: item.digest for name, item in prepared.items()})
                await self._run(found, life, prepared)
        finally:
            self._endpoints.drop(found)

    async def _prepare(self, task: Task, life: _Life, latency: Latency) -> dict[str, _Prepared]:
        """Have everything ready that containers need. Raises CannotStartError."""
        containers = task.definition.containers
        found = await _together(
            life.unless_stopped(latency.pull_seconds), *[self._prepare_container(task, item) for item in containers]
        )
        return {item.definition["name"]: item for item in found[1:]}

    async def _prepare_container(self, task: Task, definition: Document) -> _Prepared:
        image = image_for_engine(definition["image"], self._settings.registry)
        override = override_of(task.overrides, definition["name"])
        digest, values = await _together(self._engine.pull(image), injected(self._aws, definition, override))
        options = awslogs.options_of(definition)
        stream = None
        if options is not None:
            container = next(item for item in task.containers if item.name == definition["name"])
            number = container.fixed["containerArn"].rpartition("/")[2]
            name = awslogs.stream_name(options, container.name, task.id, number)
            stream = awslogs.LogStream(self._aws, options["awslogs-group"], name)
            await stream.create(group_too=options.get("awslogs-create-group") == "true")
        return _Prepared(definition, image, digest, values, stream)

    # Containers

    async def _run(self, found: TaskOnEngine, life: _Life, prepared: Mapping[str, _Prepared]) -> None:
        """Start the containers in their order and follow them to the last one's end."""
        watches: list[asyncio.Task[None]] = []
        stopping: asyncio.Future[Any] = asyncio.create_task(life.stopping.wait())
        levels = start_levels(found.task.definition.containers)
        try:
            for definition in chain.from_iterable(levels):
                await self._wait_for_others(definition, found, life)
                if life.stopping.is_set():
                    break
                item = prepared[definition["name"]]
                await self._start_container(found, item)
                watches.append(asyncio.create_task(self._watch(found, life, item)))
            else:
                self.reports.running(found.task, found.ids)
            everything: asyncio.Future[Any] = asyncio.gather(*watches)
            await asyncio.wait([everything, stopping], return_when=asyncio.FIRST_COMPLETED)
            if life.stopping.is_set() and not everything.done():
                self.reports.stopping(found.task)
                await self._stop_containers(found, life, levels)
            await everything
        finally:
            stopping.cancel()
            for watch in watches:
                watch.cancel()

    async def _start_container(self, found: TaskOnEngine, item: _Prepared) -> None:
        """Make and start one. Raises CannotStartError."""
        task, name = found.task, item.definition["name"]
        container = next(container for container in task.containers if container.name == name)
        around = Surroundings(
            network_container=found.interface.container_id,
            environment=self._endpoints.environment(found, container, self._settings.region),
            labels=self._labels(task),
            prefix=self._prefix(task),
            processors=self._engine.processors,
        )
        spec = container_spec(
            task.definition.document, task.overrides, item.definition, item.image, item.values, around
        )
        try:
            found.ids[name] = await self._engine.create(around.prefix + name, spec)
        except DockerError as error:
            raise _failed("CannotCreateContainerError", error) from error
        try:
            await self._engine.start(found.ids[name])
        except DockerError as error:
            raise _failed("CannotStartContainerError", error) from error

    async def _watch(self, found: TaskOnEngine, life: _Life, item: _Prepared) -> None:
        """Follow a container to its end, and report it when its output is where it belongs."""
        name = item.definition["name"]
        identifier = found.ids[name]
        if item.stream is not None:
            await item.stream.carry(self._engine.follow(identifier))
        state = await self._engine.wait(identifier)
        life.ended[name] = state["ExitCode"]
        self.reports.container_exited(found.task, name, state["ExitCode"], exit_reason(state))

    async def _stop_containers(self, found: TaskOnEngine, life: _Life, levels: Sequence[Sequence[Document]]) -> None:
        """Stop those that still run, each after those that depend on it."""
        for level in reversed(levels):
            running = [item for item in level if item["name"] in found.ids and item["name"] not in life.ended]
            await asyncio.gather(*[self._engine.stop(found.ids[item["name"]], stop_seconds(item)) for item in running])

    async def _wait_for_others(self, definition: Document, found: TaskOnEngine, life: _Life) -> None:
        """Wait until a container's dependencies are where they have to be. Raises CannotStartError."""
        patience = definition.get("startTimeout")
        deadline = time.monotonic() + patience if patience else None
        for name, condition in dependencies(definition).items():
            while not await self._has_come(name, condition, found, life):
                if life.stopping.is_set():
                    return
                if deadline is not None and time.monotonic() > deadline:
                    raise _never(definition["name"], name, "dependency timed out")
                await life.unless_stopped(_LOOK_SECONDS)

    async def _has_come(self, name: str, condition: str, found: TaskOnEngine, life: _Life) -> bool:
        if condition == "HEALTHY":
            state = (await self._engine.inspect(found.ids[name]))["State"]
            return bool((state.get("Health") or {}).get("Status") == "healthy")
        if condition == "SUCCESS" and life.ended.get(name):
            raise _never("the container", name, "dependency did not exit successfully")
        return name in (found.ids if condition == "START" else life.ended)

    # Names

    def _prefix(self, task: Task) -> str:
        return f"{self._settings.network}-{task.definition.family}-{task.id[:8]}-"

    def _labels(self, task: Task) -> dict[str, str]:
        return {**self._settings.labels, TASK_LABEL: task.id}

    async def _remove(self, task: Task) -> None:
        await self._engine.remove(self._labels(task))


@dataclass(frozen=True)
class _Prepared:
    """A container that can be made now."""

    definition: Document
    image: str
    digest: str
    values: Mapping[str, str]
    stream: awslogs.LogStream | None


async def _together(*work: Awaitable[Any]) -> list[Any]:
    """The results of all; the first failure cancels the others, and is raised when they have ended."""
    items: list[asyncio.Future[Any]] = [asyncio.ensure_future(item) for item in work]
    try:
        return await asyncio.gather(*items)
    except BaseException:
        for item in items:
            item.cancel()
        await asyncio.wait(items)
        raise


def _failed(what: str, error: DockerError) -> CannotStartError:
    return CannotStartError("Task failed to start", f"{what}: Error response from daemon: {error.message}")


def _never(container: str, dependency: str, why: str) -> CannotStartError:
    return CannotStartError(
        "Task failed to start",
        f"DependencyError: failed to resolve container dependency [{dependency}] for target [{container}]: {why}",
    )
