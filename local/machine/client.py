"""The Docker engine, as the docker command line itself would reach it."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache

import docker
from docker.errors import DockerException

from local.ecs.containers import SOCKET
from local.errors import EngineError

_TIMEOUT = 120
_MACHINES = ("/.docker/desktop/", "/.colima/", "/.lima/")  # where their sockets are on Linux


def _context_host() -> str | None:
    """The address of the command line's current context: Docker Desktop and colima are found this way."""
    command = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


@lru_cache(maxsize=1)
def engine() -> docker.DockerClient:
    """A connected client. Raises EngineError when no engine answers."""
    host = None if os.environ.get("DOCKER_HOST") else _context_host()
    try:
        if host:
            client = docker.DockerClient(base_url=host, version="auto", timeout=_TIMEOUT)
        else:
            client = docker.from_env(version="auto", timeout=_TIMEOUT)
        client.ping()
    except DockerException as error:
        reason = str(error).splitlines()[0]
        raise EngineError(
            f"No Docker engine answers ({reason}). Start Docker, or run: local/machine/engine.sh ensure"
        ) from error
    return client


def engine_socket() -> str:
    """The engine's socket as the engine itself sees it, to give to a container.

    An engine in a virtual machine (Docker Desktop, colima) has its own at the usual place. Raises EngineError for an
    engine that is reached otherwise than by a socket of this machine.
    """
    host = os.environ.get("DOCKER_HOST") or _context_host() or f"unix://{SOCKET}"
    if not host.startswith("unix://"):
        raise EngineError(
            f"The local ECS needs a Docker engine of this machine, with a socket: {host} is none. Unset DOCKER_HOST, or"
            " choose another context (docker context ls)"
        )
    path = host.removeprefix("unix://")
    in_a_machine = sys.platform != "linux" or any(folder in path for folder in _MACHINES)
    return SOCKET if in_a_machine else path
