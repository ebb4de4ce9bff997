"""The engine's request for each container of a task, computed from the task definition and its overrides.

Docker's members are those of "Create a container" in the Engine API; ECS's those of "Task definition parameters" in the
ECS Developer Guide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.ecs.notation import CPU_UNITS, path_in_ecr, units
from local.ecs.state import Document, as_mapping

TASK_ADDRESS = "169.254.170.2"
"""Where every container finds the metadata and the credentials of its task, on EC2 and on Fargate."""
LOG_CONFIG = {"Type": "json-file", "Config": {}}
"""The runner reads what containers write: not every driver that an engine may have as its default can give it."""
DEFAULT_STOP_SECONDS = 30
MAX_STOP_SECONDS = 120
"""On Fargate: "Container timeouts" in the ECS Developer Guide."""
_NANO = 1_000_000_000
_MIB = 1024 * 1024
# Where a started container counts as what others wait for.
_STARTED = "START"


@dataclass(frozen=True)
class Surroundings:
    """Settings of a task's containers that are not in the task definition."""

    network_container: str
    """The container whose network all containers of the task share."""
    environment: Mapping[str, str]
    """What ECS itself sets, whatever the task definition says."""
    defaults: Mapping[str, str]
    """What it sets unless the task definition or the overrides do."""
    labels: Mapping[str, str]
    prefix: str
    """Of the engine's names of the task's containers and volumes."""
    processors: int
    """Of the engine: no container can be given more."""


def image_for_engine(image: str, registry: str) -> str:
    """Return the name that the engine pulls an image by; images of any Amazon ECR are in the local registry."""
    path = path_in_ecr(image)
    return image if path is None else f"{registry}/{path}"


def override_of(overrides: Document, name: str) -> Document:
    """Return the container override for a container; empty if there is none."""
    found: Iterable[Document] = overrides.get("containerOverrides", ())
    return next((item for item in found if item.get("name") == name), {})


def task_size(definition: Document, overrides: Document) -> tuple[int | None, int | None]:
    """Return the CPU units and MiB of a task; overrides take precedence."""
    values = (overrides.get(name) or definition.get(name) for name in ("cpu", "memory"))
    cpu, memory = (units(str(value)) if value else None for value in values)
    return cpu, memory


def environment_of(container: Document, override: Document, injected: Mapping[str, str]) -> dict[str, str]:
    """Return a container's own variables: ``injected`` (files, secrets), then the definition's, then the override's."""
    return {
        **injected,
        **as_mapping(container.get("environment", ())),
        **as_mapping(override.get("environment", ())),
    }


def stop_seconds(container: Document) -> int:
    """Return how long a container has between SIGTERM and SIGKILL."""
    wanted: int = container.get("stopTimeout", DEFAULT_STOP_SECONDS)
    return min(wanted, MAX_STOP_SECONDS)


def container_spec(
    definition: Document,
    overrides: Document,
    container: Document,
    image: str,
    injected: Mapping[str, str],
    around: Surroundings,
) -> Document:
    """Return the engine's request for one container. ``image``: as the engine knows it."""
    override = override_of(overrides, container["name"])
    variables = {**around.defaults, **environment_of(container, override, injected), **around.environment}
    spec: Document = {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": {**container.get("dockerLabels", {}), **around.labels},
        "HostConfig": _host_config(definition, overrides, container, override, around),
    }
    command = override.get("command") or container.get("command")
    for name, value in (
        ("Cmd", command),
        ("Entrypoint", container.get("entryPoint")),
        ("WorkingDir", container.get("workingDirectory")),
        ("User", container.get("user")),
        ("Healthcheck", _health_check(container)),
    ):
        if value:
            spec[name] = value
    return spec


def _host_config(
    definition: Document, overrides: Document, container: Document, override: Document, around: Surroundings
) -> Document:
    """Limits, network and volumes."""
    task_cpu, task_memory = task_size(definition, overrides)
    shares = override.get("cpu") or container.get("cpu") or 0
    memory = override.get("memory") or container.get("memory") or task_memory
    reservation = override.get("memoryReservation") or container.get("memoryReservation")
    linux: Document = container.get("linuxParameters", {})
    config: Document = {
        "NetworkMode": f"container:{around.network_container}",
        "LogConfig": LOG_CONFIG,
        "ReadonlyRootfs": container.get("readonlyRootFilesystem", False),
        "Init": linux.get("initProcessEnabled", False),
        "Mounts": [_mount(item, around) for item in container.get("mountPoints", ())],
        "VolumesFrom": [
            f"{around.prefix}{item['sourceContainer']}:{'ro' if item.get('readOnly') else 'rw'}"
            for item in container.get("volumesFrom", ())
        ],
        "Ulimits": [
            {"Name": item["name"], "Soft": item["softLimit"], "Hard": item["hardLimit"]}
            for item in container.get("ulimits", ())
        ],
    }
    if shares:
        config["CpuShares"] = max(2, shares)  # the least that Linux takes
    if task_cpu:
        config["NanoCpus"] = min(task_cpu * _NANO // CPU_UNITS, around.processors * _NANO)
    if memory:
        # The same with swap: a container that needs more is killed, as on Fargate, which has none.
        config["Memory"] = config["MemorySwap"] = memory * _MIB
    if reservation and (not memory or reservation <= memory):
        config["MemoryReservation"] = reservation * _MIB
    return config


def _mount(point: Document, around: Surroundings) -> Document:
    """Return a volume of the task, which lives as long as the task."""
    return {
        "Type": "volume",
        "Source": f"{around.prefix}{point['sourceVolume']}",
        "Target": point["containerPath"],
        "ReadOnly": point.get("readOnly", False),
        "VolumeOptions": {"Labels": dict(around.labels)},
    }


def _health_check(container: Document) -> Document | None:
    check: Document | None = container.get("healthCheck")
    if not check:
        return None
    return {
        "Test": check["command"],
        "Interval": check.get("interval", 30) * _NANO,
        "Timeout": check.get("timeout", 5) * _NANO,
        "Retries": check.get("retries", 3),
        "StartPeriod": check.get("startPeriod", 0) * _NANO,
    }


# The order in which containers start and stop


def dependencies(container: Document) -> dict[str, str]:
    """Return the containers that this one waits for, with the condition (START, COMPLETE, SUCCESS, HEALTHY)."""
    found = {item["containerName"]: item["condition"] for item in container.get("dependsOn", ())}
    sources = [item["sourceContainer"] for item in container.get("volumesFrom", ())]
    return {**dict.fromkeys(sources, _STARTED), **found}


def start_levels(containers: Sequence[Document]) -> list[list[Document]]:
    """Return the containers in steps: each waits for some of the steps before alone. They stop the other way round.

    A circle, which ECS refuses when the task definition is registered, is one step.
    """
    levels: list[list[Document]] = []
    waiting = list(containers)
    while waiting:
        names = {item["name"] for item in waiting}
        free = [item for item in waiting if not names.intersection(dependencies(item))] or waiting
        levels.append(free)
        waiting = [item for item in waiting if item not in free]
    return levels


# Ends


def exit_reason(state: Mapping[str, Any]) -> str | None:
    """Return what ECS gives as a container's reason, by the engine's state of it."""
    if state.get("OOMKilled"):
        return "OutOfMemoryError: Container killed due to memory usage"
    error = state.get("Error")
    return f"CannotStartContainerError: {error}" if error else None
