"""The Docker engine that the Docker client uses."""

from __future__ import annotations

import os
import sys
from functools import lru_cache

import docker
from docker.errors import DockerException

import images.errors
from images.docker_address import docker_address
from local.ecs.containers import SOCKET
from local.errors import EngineError

_TIMEOUT = 120
_MACHINES = ("/.docker/desktop/", "/.colima/", "/.lima/")  # where their sockets are on Linux


def _address() -> str | None:
    """Return the engine's address. Raises EngineError if the Docker client's context cannot be used."""
    try:
        return docker_address()
    except images.errors.EngineError as error:
        raise EngineError(str(error)) from None


@lru_cache(maxsize=1)
def engine() -> docker.DockerClient:
    """Return a connected client. Raises EngineError if no engine answers."""
    address = _address()
    try:
        if os.environ.get("DOCKER_HOST"):
            client = docker.from_env(version="auto", timeout=_TIMEOUT)  # with DOCKER_TLS_VERIFY and so on
        else:
            client = docker.DockerClient(base_url=address, version="auto", timeout=_TIMEOUT)
        client.ping()
    except DockerException as error:
        reason = str(error).splitlines()[0]
        raise EngineError(f"No Docker engine answers ({reason}). Start Docker, or run: make engine") from error
    return client


def engine_socket() -> str:
    """Return the engine's socket as the engine itself sees it, for a container that is to use the engine.

    An engine in a virtual machine (Docker Desktop, colima) has its socket at the usual place. Raises EngineError for
    an engine without a socket on this machine.
    """
    host = _address() or f"unix://{SOCKET}"
    if not host.startswith("unix://"):
        raise EngineError(
            f"The local ECS requires a Docker engine with a socket on this machine, but the engine is at {host}. Unset"
            " DOCKER_HOST, or choose another context (docker context ls)"
        )
    path = host.removeprefix("unix://")
    in_a_machine = sys.platform != "linux" or any(folder in path for folder in _MACHINES)
    return SOCKET if in_a_machine else path
