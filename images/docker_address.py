"""The address of the Docker engine, as the Docker client finds it."""

from __future__ import annotations

import os
import subprocess

from images.errors import EngineError

_TIMEOUT = 20.0


def docker_address() -> str | None:
    """Return the address in DOCKER_HOST or of the client's current context; None where neither names one.

    Docker Desktop and colima are found by their contexts. Raises EngineError if the context cannot be used.
    """
    named = os.environ.get("DOCKER_HOST")
    if named:
        return named
    command = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if shown.returncode:
        raise EngineError(
            f"The Docker client's context cannot be used: {shown.stderr.strip()}", "`docker context ls` lists them."
        )
    return shown.stdout.strip() or None
