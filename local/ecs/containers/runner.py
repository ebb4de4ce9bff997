"""The runner that runs tasks as containers of the Docker engine."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from aiodocker.exceptions import DockerError

from local.ecs.containers import awslogs
from local.ecs.containers.aws import Aws
from local.ecs.containers.engine import Engine, Image
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
from local.ecs.errors import CannotStartError, EmulatorError, UnavailableError
from local.ecs.runner import Runner
from local.ecs.state import STOPPED, Container, Document, Task

SETTINGS_VARIABLE = "LOCAL_ECS_CONTAINERS"
TASK_LABEL = "io.airflow-ecs.local.task"
_LOOK_SECONDS = 0.2
_NOT_STARTED = "Task failed to start"
T = TypeVar("T")


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
    """Minimum durations of steps that take time on AWS, in seconds."""

    placement_seconds: float = 0.0
    """From the launch until the task has a place and a network interface."""
    pull_seconds: float = 0.0
    """From then on until its images are there."""
    deprovision_seconds: float = 0.0
    """From the containers' end until the task is STOPPED."""

    def changed(self, values: Mapping[str, Any]) -> Latency:
        """Return a copy with other values. Raises EmulatorError for an invalid value."""
        known = {item.name for item in fields(Latency)}
        unknown = sorted(values.keys() - known)
        if unknown:
            raise EmulatorError(f"There is no latency {unknown[0]!r}. There are: {', '.join(sorted(known))}")
        return replace(self, **values)


def from_environment() -> ContainerRunner:
    """Return the runner that ``LOCAL_ECS_CONTAINERS`` describes: a JSON object with the members of ``Settings``."""
    text = os.environ.get(SETTINGS_VARIABLE)
    if not text:
        raise EmulatorError(f"{SETTINGS_VARIABLE} is not set: it says where tasks run, see local.ecs.containers.runner")
    try:
        settings = Settings(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise EmulatorError(
            f"{SETTINGS_VARIABLE} is not a JSON object with the members of Settings: {error}"
        ) from error
    return ContainerRunner(settings)


class _Life:
    """State shared by the coroutines of a task and its containers."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        """It is to be stopped."""
        self.started: dict[str, float] = {}
        """When containers started, by ``time.monotonic``."""
        self.ended: dict[str, int | None] = {}
        """Exit codes of the containers that have ended; None of those that could not start."""

    async def unless_stopped(self, seconds: float) -> None:
        """Wait for ``seconds``, or until the task has to stop."""
        if seconds > 0:
            try:
                await asyncio.wait_for(self.stopping.wait(), seconds)
            except asyncio.TimeoutError:
                pass

    async def or_stopped(self, work: Awaitable[T]) -> T | None:
        """Return the result of some work, which is given up (None) when the task is to be stopped."""
        doing = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait([doing, stopping], return_when=asyncio.FIRST_COMPLETED)
            return doing.result() if doing.done() else None
        finally:
            stopping.cancel()
            doing.cancel()
            await asyncio.wait([doing, stopping])


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
        """Connect to the engine, remove containers of a killed server, and serve the tasks' endpoints."""
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
            raise UnavailableError(f"Tasks cannot run here: {error}") from error

    async def close(self) -> None:
        """Remove what is left of the tasks."""
        await self._engine.remove({**self._settings.labels, TASK_LABEL: None})
        await self._endpoints.close()
        await self._engine.close()

    def behave(self, match: str | None, times: int | None, behaviour: Mapping[str, Any]) -> None:
        """Change latencies, of all tasks from now on."""
        if match is not None or times is not None:
            raise EmulatorError("Latencies are those of all tasks: without match and times")
        self._latency = self._latency.changed(behaviour)

    def reset(self) -> None:
        """Forget latencies and tasks."""
        self._latency = Latency()
        self._lives = {}

    async def stop(self, task: Task, exit_code: int | None = None) -> None:
        """Ask the task's coroutine to stop the containers."""
        life = self._lives.get(task.id)
        if life is not None:
            life.stopping.set()

    async def start(self, task: Task) -> None:
        """Run a task from its launch to its end."""
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
        network = self._engine.start_network(
            self._prefix(task) + "network",
            self._settings.network_image,
            self._settings.network,
            f"ecs-{task.id[:12]}",
            self._address,
            self._labels(task),
        )
        placed = await life.or_stopped(_together(network, asyncio.sleep(latency.placement_seconds)))
        if placed is None or life.stopping.is_set():
            return
        interface = placed[0]
        found = TaskOnEngine(task, interface)
        self.reports.provisioned(task, interface.address, interface.mac_address)
        self._endpoints.add(found)
        try:
            prepared = await life.or_stopped(self._prepare(task, latency))
            if prepared is not None and not life.stopping.is_set():
                self.reports.pulled(task, {name: item.image.digest for name, item in prepared.items()})
                await self._run(found, life, prepared)
        finally:
            self._endpoints.drop(found)

    async def _prepare(self, task: Task, latency: Latency) -> dict[str, _Prepared]:
        """Prepare images, variables and log streams of the containers. Raises CannotStartError."""
        containers = task.definition.containers
        found = await _together(
            asyncio.sleep(latency.pull_seconds), *[self._prepare_container(task, item) for item in containers]
        )
        return {item.definition["name"]: item for item in found[1:]}

    async def _prepare_container(self, task: Task, definition: Document) -> _Prepared:
        override = override_of(task.overrides, definition["name"])
        image, values = await _together(self._pull(definition["image"]), injected(self._aws, definition, override))
        options = awslogs.options_of(definition)
        stream = None
        if options is not None:
            container = _container(task, definition["name"])
            number = container.fixed["containerArn"].rpartition("/")[2]
            name = awslogs.stream_name(options, container.name, task.id, number)
            stream = awslogs.LogStream(self._aws, options["awslogs-group"], name)
            await stream.create(group_too=options.get("awslogs-create-group") == "true")
        return _Prepared(definition, image, values, stream)

    async def _pull(self, name: str) -> Image:
        """Pull an image of a task definition. Raises CannotStartError."""
        here = image_for_engine(name, self._settings.registry)
        try:
            return await self._engine.pull(here)
        except DockerError as error:
            raise CannotStartError(pull_failure(name, error.message.replace(here, name))) from error

    # Containers

    async def _run(self, found: TaskOnEngine, life: _Life, prepared: Mapping[str, _Prepared]) -> None:
        """Start the containers in their order and follow them to the last one's end."""
        items = [*prepared.values()]
        starts = [asyncio.create_task(self._start_in_turn(found, life, item)) for item in items]
        ends = [self._follow(found, life, item, start) for item, start in zip(items, starts, strict=True)]

        async def follow_all() -> None:
            await _together(*ends)
            life.stopping.set()

        try:
            await _together(follow_all(), self._stop_when_told(found, life, starts))
        finally:
            for start in starts:
                start.cancel()
            await asyncio.wait(starts)

    async def _start_in_turn(self, found: TaskOnEngine, life: _Life, item: _Prepared) -> bool:
        """Start a container when its dependencies are met; return whether it started."""
        name = item.definition["name"]
        try:
            if not await self._may_start(found, life, item.definition):
                return False
            await self._start_container(found, item)
            life.started[name] = time.monotonic()
            self.reports.container_started(found.task, name, found.ids[name])
        except CannotStartError as error:
            life.ended[name] = None
            if item.definition["essential"]:
                self.reports.end(found.task, "TaskFailedToStart", error.reason)
                life.stopping.set()
            self.reports.container_exited(found.task, name, None, error.container_reason)
        if all(container.name in life.started or container.name in life.ended for container in found.task.containers):
            self.reports.running(found.task)
        return name in life.started

    async def _start_container(self, found: TaskOnEngine, item: _Prepared) -> None:
        """Create and start a container. Raises CannotStartError."""
        task, name = found.task, item.definition["name"]
        region = self._settings.region
        around = Surroundings(
            network_container=found.interface.container_id,
            environment=self._endpoints.environment(found, _container(task, name)),
            # On AWS, programs find its services by their names.
            defaults={
                "AWS_REGION": region,
                "AWS_DEFAULT_REGION": region,
                **({"AWS_ENDPOINT_URL": self._settings.aws_endpoint} if self._settings.aws_endpoint else {}),
            },
            labels=self._labels(task),
            prefix=self._prefix(task),
            processors=self._engine.processors,
        )
        spec = container_spec(
            task.definition.document, task.overrides, item.definition, item.image.id, item.values, around
        )
        try:
            found.ids[name] = await self._engine.create(around.prefix + name, spec)
        except DockerError as error:
            raise _failed("CannotCreateContainerError", error) from error
        try:
            await self._engine.start(found.ids[name])
        except DockerError as error:
            raise _failed("CannotStartContainerError", error) from error

    async def _follow(self, found: TaskOnEngine, life: _Life, item: _Prepared, start: asyncio.Task[bool]) -> None:
        """Follow a container to its end, and report the end when all output is sent."""
        name = item.definition["name"]
        if not await start:
            return
        identifier = found.ids[name]
        if item.stream is not None:
            async with aclosing(self._engine.follow(identifier)) as output:
                await item.stream.carry(output)
        state = await self._engine.wait(identifier)
        life.ended[name] = state["ExitCode"]
        self.reports.container_exited(found.task, name, state["ExitCode"], exit_reason(state))

    async def _stop_when_told(self, found: TaskOnEngine, life: _Life, starts: Sequence[asyncio.Task[bool]]) -> None:
        """Stop the containers that still run, each after those that depend on it."""
        await life.stopping.wait()
        await asyncio.wait(starts)  # one that is just being started is to be stopped, too
        for level in reversed(start_levels(found.task.definition.containers)):
            running = [item for item in level if item["name"] in life.started and item["name"] not in life.ended]
            if running:
                self.reports.stopping(found.task)
            await asyncio.gather(*[self._engine.stop(found.ids[item["name"]], stop_seconds(item)) for item in running])

    async def _may_start(self, found: TaskOnEngine, life: _Life, definition: Document) -> bool:
        """Wait until a container's dependencies are met; return False if its task has to stop.

        Raises CannotStartError when they will never be there.
        """
        for name, condition in dependencies(definition).items():
            while not await self._has_come(definition["name"], name, condition, found, life):
                if life.stopping.is_set():
                    return False
                await life.unless_stopped(_LOOK_SECONDS)
        return not life.stopping.is_set()

    async def _has_come(self, target: str, name: str, condition: str, found: TaskOnEngine, life: _Life) -> bool:
        """Return whether a dependency is met. Raises CannotStartError if it can never be met."""
        if name in life.ended:
            code = life.ended[name]
            if code is None:
                raise _never(target, name, "because dependency will never start")
            if condition == "HEALTHY":
                raise _never(target, name, "as dependency has stopped")
            if condition == "SUCCESS" and code != 0:
                raise _never(target, name, "as dependency did not exit successfully")
            return True
        if name not in life.started:
            return False
        if condition == "START":
            return True
        if condition == "HEALTHY":
            state = (await self._engine.inspect(found.ids[name]))["State"]
            if (state.get("Health") or {}).get("Status") == "healthy":
                return True
        patience = next(item.get("startTimeout") for item in found.task.definition.containers if item["name"] == name)
        if patience and time.monotonic() > life.started[name] + patience:
            raise _never(target, name, "as dependency has timed out")
        return False

    # Names

    def _prefix(self, task: Task) -> str:
        return f"{self._settings.network}-{task.definition.family}-{task.id[:8]}-"

    def _labels(self, task: Task) -> dict[str, str]:
        return {**self._settings.labels, TASK_LABEL: task.id}

    async def _remove(self, task: Task) -> None:
        await self._engine.remove(self._labels(task))


@dataclass(frozen=True)
class _Prepared:
    """A container that can be created."""

    definition: Document
    image: Image
    values: Mapping[str, str]
    stream: awslogs.LogStream | None


async def _together(*work: Awaitable[Any]) -> list[Any]:
    """Return the results of all; the first failure cancels the others, and is raised when they have ended."""
    items: list[asyncio.Future[Any]] = [asyncio.ensure_future(item) for item in work]
    try:
        return await asyncio.gather(*items)
    except BaseException:
        for item in items:
            item.cancel()
        await asyncio.wait(items)
        raise


def _container(task: Task, name: str) -> Container:
    return next(container for container in task.containers if container.name == name)


def pull_failure(image: str, message: str) -> str:
    """Return the reason that ECS gives when the engine could not pull an image, for these words of the engine."""
    if "manifest unknown" in message or "name unknown" in message or "not found" in message:
        message = f"{image}: not found"
    return (
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
        f"{image}: {message}"
    )


def _failed(what: str, error: DockerError) -> CannotStartError:
    return CannotStartError(_NOT_STARTED, f"{what}: Error response from daemon: {error.message}")


def _never(container: str, dependency: str, why: str) -> CannotStartError:
    return CannotStartError(
        _NOT_STARTED,
        f"dependency graph: failed to resolve container ordering dependency [{dependency}] for target [{container}] "
        f"{why}",
    )
