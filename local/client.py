"""The Docker engine, as the docker command line itself would reach it."""

from __future__ import annotations

import os
import subprocess
from functools import lru_cache

import docker
from docker.errors import DockerException

from local.errors import EngineError

_TIMEOUT = 120


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
            f"No Docker engine answers ({reason}). Start Docker, or run: local/engine.sh ensure"
        ) from error
    return client
