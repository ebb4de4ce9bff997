"""The Docker engine, as the runner needs it: pulls, containers with a network of their own, and their removal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from local.ecs.containers import SOCKET
from local.ecs.containers.spec import LOG_CONFIG, TASK_ADDRESS
from local.ecs.errors import CannotStartError
from local.ecs.state import Document

_GONE, _GOING = 404, 409
_READY = "ready"
# Root with the one capability it takes to add a route, for the moment it takes.
_NETWORK_SCRIPT = f'ip route replace {TASK_ADDRESS} via "$1" && echo {_READY} && exec sleep infinity'
# A machine of two processors is slower with more of them at once.
_CHANGES = 4
# Of these for networks: otherwise no container of hundreds of tasks starts before all of them have a network.
_PLACEMENTS = 2
T = TypeVar("T")


@dataclass(frozen=True)
class Image:
    """A pulled image: its id on the engine, and the digest of its manifest in the registry."""

    id: str
    digest: str


@dataclass(frozen=True)
class Interface:
    """The network that the containers of a task share: its container on the engine, and how it is attached."""

    container_id: str
    address: str
    prefix_length: int
    gateway: str
    mac_address: str


class Engine:
    """The engine behind a socket of this machine. Made inside of an event loop."""

    def __init__(self, socket: str = SOCKET) -> None:
        """Nothing is asked yet."""
        # Each container takes two connections for as long as it lives: for its output, and for its end.
        self._connector = aiohttp.UnixConnector(path=socket, limit=0)
        self._docker = Docker("unix://localhost", connector=self._connector)
        self._pulls: dict[str, asyncio.Task[Image]] = {}
        self._changes = asyncio.Semaphore(_CHANGES)
        self._placements = asyncio.Semaphore(_PLACEMENTS)
        self.processors = 1

    async def connect(self) -> None:
        """Ask the engine how large its machine is. Raises DockerError or OSError when it does not answer."""
        self.processors = (await self._docker.system.info())["NCPU"]

    async def close(self) -> None:
        """Cancel pulls and close the connections."""
        for pull in [*self._pulls.values()]:
            pull.cancel()
        await self._docker.close()
        await self._connector.close()

    # Images

    async def pull(self, image: str) -> Image:
        """Pull an image; concurrent pulls of the same image share one. Raises DockerError."""
        pull = self._pulls.get(image)
        if pull is None:
            pull = self._pulls[image] = asyncio.create_task(self._pull(image))
            pull.add_done_callback(lambda done: self._pulled(image, done))
        return await asyncio.shield(pull)

    def _pulled(self, image: str, pull: asyncio.Task[Image]) -> None:
        del self._pulls[image]
        if not pull.cancelled():
            pull.exception()  # nobody may be left to hear of it

    async def _pull(self, image: str) -> Image:
        await self._docker.images.pull(image)
        found = await self._docker.images.inspect(image)
        names: list[str] = found.get("RepoDigests") or []
        repository = repository_of(image)
        digests = (name.partition("@")[2] for name in names if name.partition("@")[0] == repository)
        return Image(found["Id"], next(digests, found["Id"]))

    # Containers

    async def start_network(self, name: str, image: str, network: str, hostname: str, gateway: str,
                            labels: Mapping[str, str]) -> Interface:  # fmt: skip
        """Start the container that holds a task's network.

        ``gateway``: the address at which the task's metadata is served, as ``TASK_ADDRESS``.
        """
        spec = {
            "Image": image,
            "User": "0",
            "Entrypoint": ["sh", "-c", _NETWORK_SCRIPT, "network"],
            "Cmd": [gateway],
            "Hostname": hostname,
            "Labels": dict(labels),
            "StopSignal": "SIGKILL",
            "HostConfig": {
                "NetworkMode": network,
                "LogConfig": LOG_CONFIG,
                "CapDrop": ["ALL"],
                "CapAdd": ["NET_ADMIN"],
                "Init": False,
            },
        }
        try:
            async with self._placements:
                identifier = await self.create(name, spec)
                await self.start(identifier)
                output = await self._first_line(identifier)
            if not output.startswith(_READY):
                raise CannotStartError(f"ResourceInitializationError: failed to configure the network: {output}")
            found = await self._docker.containers.container(identifier).show()
        except DockerError as error:
            raise CannotStartError(f"ResourceInitializationError: {error.message}") from error
        attached = found["NetworkSettings"]["Networks"][network]
        return Interface(
            identifier, attached["IPAddress"], attached["IPPrefixLen"], attached["Gateway"], attached["MacAddress"]
        )

    async def _first_line(self, identifier: str) -> str:
        output = ""
        async with aclosing(self.follow(identifier)) as pieces:
            async for text in pieces:
                output += text
                if "\n" in output:
                    break
        return output

    async def create(self, name: str, spec: Document) -> str:
        """Create a container and return its id. Raises DockerError."""
        async with self._changes:
            return (await uninterrupted(self._docker.containers.create(spec, name=name))).id

    async def start(self, identifier: str) -> None:
        """Start a container. Raises DockerError."""
        async with self._changes:
            await uninterrupted(self._docker.containers.container(identifier).start())

    async def stop(self, identifier: str, seconds: int) -> None:
        """Send SIGTERM (or the image's stop signal), and SIGKILL after ``seconds``.

        One that has stopped or is gone is no error. Raises DockerError.
        """
        with _no_error(_GONE):  # of one that has stopped, aiodocker makes none
            await self._docker.containers.container(identifier).stop(t=seconds)

    async def wait(self, identifier: str) -> Document:
        """Wait for a container's end and return its state."""
        container = self._docker.containers.container(identifier)
        await container.wait()
        state: Document = (await container.show())["State"]
        return state

    async def inspect(self, identifier: str) -> Document:
        """Return all that the engine knows of a container. Raises DockerError."""
        return await self._docker.containers.container(identifier).show()

    async def stats(self, identifier: str) -> Any:
        """Return what a container uses now, as the engine gives it."""
        found = await self._docker.containers.container(identifier).stats(stream=False)
        return found[0] if found else None

    def follow(self, identifier: str) -> AsyncGenerator[str, None]:
        """Yield a container's output in pieces until it ends. Bytes that are not UTF-8 are dropped or replaced."""
        log = self._docker.containers.container(identifier).log(stdout=True, stderr=True, follow=True)
        return cast("AsyncGenerator[str, None]", log)

    # The end

    async def remove(self, labels: Mapping[str, str | None]) -> None:
        """Remove every container and volume with these labels (None: of any value), running or not.

        What is going already is no error.
        """
        chosen = [name if value is None else f"{name}={value}" for name, value in labels.items()]
        found = await self._docker.containers.list(all=True, filters=json.dumps({"label": chosen}))
        results = await asyncio.gather(*[self._remove(container.id) for container in found], return_exceptions=True)
        volumes = self._docker.volumes
        for volume in (await volumes.list(filters={"label": chosen}))["Volumes"] or []:  # type: ignore[no-untyped-call]
            with suppress(DockerError):
                await (await volumes.get(volume["Name"])).delete()  # type: ignore[no-untyped-call]
        for result in results:  # one that cannot go keeps no other
            if isinstance(result, BaseException):
                raise result

    async def _remove(self, identifier: str) -> None:
        async with self._changes:
            with _no_error(_GONE, _GOING):
                await self._docker.containers.container(identifier).delete(force=True, v=True)


@contextmanager
def _no_error(*statuses: int) -> Iterator[None]:
    """Ignore these HTTP statuses of the engine."""
    try:
        yield
    except DockerError as error:
        if error.status not in statuses:
            raise


def repository_of(image: str) -> str:
    """Return the name of an image without its tag and digest."""
    name = image.partition("@")[0]
    return name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name


async def uninterrupted(change: Coroutine[Any, Any, T]) -> T:
    """Complete a change even if the caller is cancelled meanwhile.

    Given up half-way, the engine may carry it out all the same: after the task's containers have been removed.
    """
    doing = asyncio.ensure_future(change)
    cancellation: asyncio.CancelledError | None = None
    while not doing.done():
        try:
            await asyncio.wait([doing])
        except asyncio.CancelledError as error:  # may come more than once
            cancellation = error
    if cancellation is None:
        return doing.result()
    if not doing.cancelled():
        doing.exception()  # nobody is left to hear of it
    raise cancellation
