"""The Docker engine, as the runner needs it: pulls, containers with a network of their own, and their removal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from local.ecs.containers.spec import TASK_ADDRESS
from local.ecs.errors import CannotStartError
from local.ecs.state import Document

SOCKET = "/var/run/docker.sock"
_GONE = (404, 409)
_READY = "ready"
# Root with the one capability it takes to add a route, for the moment it takes.
_NETWORK_SCRIPT = f'ip route replace {TASK_ADDRESS} via "$1" && echo {_READY} && exec sleep infinity'
# A machine of two processors is slower with more of them at once.
_CHANGES = 4


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
        self._pulls: dict[str, asyncio.Task[str]] = {}
        self._changes = asyncio.Semaphore(_CHANGES)
        self.processors = 1

    async def connect(self) -> None:
        """Ask the engine how large its machine is. Raises DockerError or OSError when it does not answer."""
        self.processors = (await self._docker.system.info())["NCPU"]

    async def close(self) -> None:
        """Close the connections."""
        await self._docker.close()
        await self._connector.close()

    # Images

    async def pull(self, image: str) -> str:
        """Pull an image and return its digest. Pulls of the same image at the same time are one.

        Raises CannotStartError with the words of ECS.
        """
        pull = self._pulls.get(image)
        if pull is None:
            pull = self._pulls[image] = asyncio.create_task(self._pull(image))
            pull.add_done_callback(lambda _: self._pulls.pop(image, None))
        return await asyncio.shield(pull)

    async def _pull(self, image: str) -> str:
        try:
            await self._docker.images.pull(image)
            found = await self._docker.images.inspect(image)
        except DockerError as error:
            raise CannotStartError(
                f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
                f"{image}: {error.message}"
            ) from error
        repository = image.partition("@")[0].rpartition(":")[0] if ":" in image.rpartition("/")[2] else image
        names: list[str] = found.get("RepoDigests") or []
        return next((name.partition("@")[2] for name in names if name.partition("@")[0] == repository), found["Id"])

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
            "HostConfig": {"NetworkMode": network, "CapDrop": ["ALL"], "CapAdd": ["NET_ADMIN"], "Init": False},
        }
        try:
            identifier = await self.create(name, spec)
            await self.start(identifier)
            output = "".join([text async for text in self._first_line(identifier)])
            if not output.startswith(_READY):
                raise CannotStartError(f"ResourceInitializationError: failed to configure the network: {output}")
            found = await self._docker.containers.container(identifier).show()
        except DockerError as error:
            raise CannotStartError(f"ResourceInitializationError: {error.message}") from error
        attached = found["NetworkSettings"]["Networks"][network]
        return Interface(
            identifier, attached["IPAddress"], attached["IPPrefixLen"], attached["Gateway"], attached["MacAddress"]
        )

    async def _first_line(self, identifier: str) -> AsyncIterator[str]:
        async for text in self.follow(identifier):
            yield text
            if "\n" in text:
                return

    async def create(self, name: str, spec: Document) -> str:
        """Create a container and return its id. Raises DockerError."""
        async with self._changes:
            return (await self._docker.containers.create(spec, name=name)).id

    async def start(self, identifier: str) -> None:
        """Start a container. Raises DockerError."""
        async with self._changes:
            await self._docker.containers.container(identifier).start()

    async def stop(self, identifier: str, seconds: int) -> None:
        """SIGTERM (or what the image has instead), and SIGKILL after so many seconds; one that is gone is no error."""
        with suppress(DockerError):
            await self._docker.containers.container(identifier).stop(t=seconds)

    async def wait(self, identifier: str) -> Document:
        """Wait for a container's end and return its state."""
        container = self._docker.containers.container(identifier)
        await container.wait()
        state: Document = (await container.show())["State"]
        return state

    async def inspect(self, identifier: str) -> Document:
        """All that the engine knows of a container. Raises DockerError."""
        return await self._docker.containers.container(identifier).show()

    async def stats(self, identifier: str) -> Any:
        """What a container uses now, as the engine gives it."""
        found = await self._docker.containers.container(identifier).stats(stream=False)
        return found[0] if found else None

    def follow(self, identifier: str) -> AsyncIterator[str]:
        """A container's output in pieces, until it ends."""
        return self._docker.containers.container(identifier).log(stdout=True, stderr=True, follow=True)

    # The end

    async def remove(self, labels: Mapping[str, str | None]) -> None:
        """Remove every container and volume with these labels (None: of any value), running or not.

        What is going already is no error.
        """
        chosen = [name if value is None else f"{name}={value}" for name, value in labels.items()]
        found = await self._docker.containers.list(all=True, filters=json.dumps({"label": chosen}))
        await asyncio.gather(*[self._remove(container.id) for container in found])
        volumes = self._docker.volumes
        for volume in (await volumes.list(filters={"label": chosen}))["Volumes"] or []:  # type: ignore[no-untyped-call]
            with suppress(DockerError):
                await (await volumes.get(volume["Name"])).delete()  # type: ignore[no-untyped-call]

    async def _remove(self, identifier: str) -> None:
        async with self._changes:
            try:
                await self._docker.containers.container(identifier).delete(force=True, v=True)
            except DockerError as error:
                if error.status not in _GONE:
                    raise
