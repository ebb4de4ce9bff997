"""Containers, images, networks and volumes of local runs: who owns them, and their removal."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import docker
from docker.errors import APIError, NotFound

from local.errors import TerminatedError

RUN_LABEL = "io.airflow-ecs.local"
OWNER_LABEL = "io.airflow-ecs.local.owner"
_REMOVALS = 4  # a machine of two processors is slower with more of them at once
_PASSES = 5
REGISTRY_LABEL = "io.airflow-ecs.local.registry"
"""Of an image registry: its port. Images that were pulled from it have no other use."""


def _started_at(pid: int) -> str:
    """Return the kernel's start time of a process, or an empty text where it cannot be known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return fields[19]


def owner() -> str:
    """Return an identifier of this process that a later process with the same pid does not have."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started_at(os.getpid())}"


def is_abandoned(label: str) -> bool:
    """Return whether an owner label names a process of this host that no longer runs."""
    host, _, process = label.partition(":")
    pid, _, started = process.partition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _started_at(int(pid)) != started


def labels(run_id: str, *, kept: bool = False) -> dict[str, str]:
    """Return the labels of everything that a run creates. If ``kept``, it has no owner and outlives the process."""
    return {RUN_LABEL: run_id, OWNER_LABEL: "" if kept else owner()}


def remove(client: docker.DockerClient, chosen: Callable[[dict[str, str]], bool]) -> int:
    """Remove the containers, images, networks and volumes whose labels are chosen; return how many there were.

    The images that came from a registry among the containers go with it.
    """
    count = 0
    registries: set[str] = set()
    for _ in range(_PASSES):  # one of them, the local ECS, may start others until it is gone
        found = client.containers.list(all=True, filters={"label": RUN_LABEL}, ignore_removed=True)
        going = [container for container in found if chosen(container.labels)]
        if not going:
            break
        for container in going:
            port = container.labels.get(REGISTRY_LABEL)
            registries |= {f"127.0.0.1:{place['HostPort']}/" for place in container.ports.get(f"{port}/tcp") or ()}
        with ThreadPoolExecutor(_REMOVALS) as pool:
            count += sum(pool.map(_gone, [partial(container.remove, force=True, v=True) for container in going]))
    for registry in registries:
        for name in images_from(registry, client.api.images()):
            _gone(partial(client.images.remove, name))
    # By the API: docker-py asks for each image of a list again, and another process may have removed it by then.
    for image in client.api.images(filters={"label": RUN_LABEL}):
        if chosen(image["Labels"]):
            count += _gone(partial(client.images.remove, image["Id"], force=True))
    for network in client.networks.list(filters={"label": RUN_LABEL}):
        if chosen(network.attrs.get("Labels") or {}):
            count += _gone(network.remove)
    for volume in client.volumes.list(filters={"label": RUN_LABEL}):
        if chosen(volume.attrs.get("Labels") or {}):
            count += _gone(partial(volume.remove, force=True))
    return count


def images_from(registry: str, images: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of images from a registry (``host:port/``): their tags, or the digest of untagged ones."""
    found: list[str] = []
    for image in images:
        for names in (image.get("RepoTags"), image.get("RepoDigests")):
            own = [name for name in names or () if name.startswith(registry)]
            found += own
            if own:  # the digest of a repository goes with its last tag
                break
    return found


def _gone(removal: Callable[[], Any]) -> int:
    """Run a removal and return 1, or 0 if another process was faster."""
    try:
        removal()
    except NotFound:
        return 0
    except APIError as error:
        if error.status_code == 409:  # already being removed, or (a network) still in use by a foreign container
            return 0
        raise
    return 1


def remove_run(client: docker.DockerClient, run_id: str) -> int:
    """Remove everything of one run."""
    return remove(client, lambda found: found.get(RUN_LABEL) == run_id)


def remove_abandoned(client: docker.DockerClient) -> int:
    """Remove what killed runs of this host left behind."""
    return remove(client, lambda found: is_abandoned(found.get(OWNER_LABEL, "")))


def remove_all(client: docker.DockerClient) -> int:
    """Remove everything of every run, living ones too."""
    return remove(client, lambda found: True)


@contextmanager
def terminating_like_an_exception() -> Iterator[None]:
    """Turn the first SIGTERM or SIGHUP into an exception inside the block, so that clean-up code runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    numbers = (signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, _frame: FrameType | None) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise TerminatedError(number)

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
