"""A task definition for Airflow tasks on Fargate, rendered, and compared with a registered one. Pure.

Amazon ECS API Reference: RegisterTaskDefinition, TaskDefinition.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from images.secrets import sensitive_setting

STREAM_PREFIX = "task"
"""The prefix of the log streams, without which the executor could not find them (docs/logging.md)."""
TAGS: Mapping[str, str] = {"managed-by": "airflow-ecs"}

Document = dict[str, Any]


@dataclass(frozen=True)
class Logs:
    """The CloudWatch log group of the containers' output; ``create`` lets ECS create it."""

    group: str
    region: str
    create: bool = False


@dataclass(frozen=True)
class Definition:
    """What a task definition says about the Airflow container, and about the ECS task around it.

    ``cpu``: units, 1024 per vCPU. ``memory``: MiB. ``ephemeral_storage``: GiB, None for Fargate's 20. ``architecture``:
    ``X86_64`` or ``ARM64``. ``secrets``: ARNs by the names of variables. ``stop_timeout``: seconds from SIGTERM to
    SIGKILL. ``sidecars``: container definitions. ``depends_on``: conditions by the names of sidecars.
    """

    family: str
    container: str
    image: str
    execution_role: str
    logs: Logs
    task_role: str = ""
    cpu: int = 512
    memory: int = 1024
    ephemeral_storage: int | None = None
    architecture: str = "X86_64"
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    stop_timeout: int = 120
    sidecars: tuple[Mapping[str, Any], ...] = ()
    depends_on: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def render(definition: Definition) -> Document:
    """Return the request for RegisterTaskDefinition."""
    ours: Document = {
        "name": definition.container,
        "image": definition.image,
        "essential": True,
        "stopTimeout": definition.stop_timeout,
        "environment": _named(definition.environment, "value"),
        "logConfiguration": _log_configuration(definition.logs),
    }
    if definition.secrets:
        ours["secrets"] = _named(definition.secrets, "valueFrom")
    if definition.depends_on:
        ours["dependsOn"] = [
            {"containerName": name, "condition": condition} for name, condition in sorted(definition.depends_on.items())
        ]
    document: Document = {
        "family": definition.family,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": str(definition.cpu),
        "memory": str(definition.memory),
        "runtimePlatform": {"cpuArchitecture": definition.architecture, "operatingSystemFamily": "LINUX"},
        "executionRoleArn": definition.execution_role,
        "containerDefinitions": [ours, *(_sidecar(sidecar, definition.logs) for sidecar in definition.sidecars)],
        "tags": [{"key": key, "value": value} for key, value in sorted({**TAGS, **definition.tags}.items())],
    }
    if definition.task_role:
        document["taskRoleArn"] = definition.task_role
    if definition.ephemeral_storage is not None:
        document["ephemeralStorage"] = {"sizeInGiB": definition.ephemeral_storage}
    return document


def _sidecar(sidecar: Mapping[str, Any], logs: Logs) -> Document:
    """Return a sidecar that, by default, does not end the task and logs where the Airflow container does."""
    return {"essential": False, "logConfiguration": _log_configuration(logs), **sidecar}


def _log_configuration(logs: Logs) -> Document:
    options = {
        "awslogs-group": logs.group,
        "awslogs-region": logs.region,
        "awslogs-stream-prefix": STREAM_PREFIX,
    }
    if logs.create:
        options["awslogs-create-group"] = "true"
    return {"logDriver": "awslogs", "options": options}


def _named(values: Mapping[str, str], key: str) -> list[Document]:
    return [{"name": name, key: value} for name, value in sorted(values.items())]


# Comparing with a registered revision

_OF_A_REVISION = (
    *("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities"),
    *("registeredAt", "registeredBy", "deregisteredAt"),
)
# Defaults that ECS fills in, as DescribeTaskDefinition shows them.
_CONTAINER_DEFAULTS: Mapping[str, Any] = {"cpu": 0, "essential": True}
_HEALTH_CHECK_DEFAULTS: Mapping[str, Any] = {"interval": 30, "timeout": 5, "retries": 3}
_IN_NO_ORDER: Mapping[str, str] = {"environment": "name", "secrets": "name", "dependsOn": "containerName"}


def normalised(document: Mapping[str, Any], tags: Iterable[Mapping[str, str]] | None = None) -> Document:
    """Return a rendered or described task definition in a form in which it can be compared.

    ``tags`` are those of a described one, which its answer has beside it.
    """
    found = {name: value for name, value in document.items() if name not in _OF_A_REVISION}
    found["tags"] = [
        {"key": str(tag["key"]), "value": str(tag.get("value", ""))}
        for tag in (found.get("tags", ()) if tags is None else tags)
        if not str(tag["key"]).startswith("aws:")  # AWS's own, which nobody else can set
    ]
    found["tags"].sort(key=lambda tag: tag["key"])
    if found.get("enableFaultInjection") is False:
        del found["enableFaultInjection"]
    found["containerDefinitions"] = [_container(item) for item in found.get("containerDefinitions", ())]
    cleaned: Document = _without_nothing(found)
    return cleaned


def _container(container: Mapping[str, Any]) -> Document:
    found = {**_CONTAINER_DEFAULTS, **container}
    for name, key in _IN_NO_ORDER.items():
        if found.get(name):
            found[name] = sorted(found[name], key=lambda item: str(item.get(key)))
    if found.get("firelensConfiguration"):
        found.setdefault("user", "0")
    if found.get("healthCheck"):
        found["healthCheck"] = {**_HEALTH_CHECK_DEFAULTS, **found["healthCheck"]}
    found["portMappings"] = [
        {"protocol": "tcp", **mapping, "hostPort": mapping.get("hostPort", mapping.get("containerPort"))}
        for mapping in found.get("portMappings") or ()
    ]
    return found


def _without_nothing(value: Any) -> Any:
    """Drop members that are empty or null, which ECS adds and drops at will. Empty strings are values."""
    if isinstance(value, Mapping):
        cleaned = {key: _without_nothing(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item is not None and item != [] and item != {}}
    if isinstance(value, list):
        return [_without_nothing(item) for item in value]
    return value


def difference(registered: Document | None, rendered: Document, name: str) -> list[str]:
    """Return the lines of a unified diff of normalised definitions; values that look like secrets are masked.

    ``name`` is that of the registered definition, which is None if there is none.
    """
    before = _lines(registered) if registered is not None else []
    return list(difflib.unified_diff(before, _lines(rendered), name, "new", n=2, lineterm=""))


def _lines(document: Document) -> list[str]:
    return json.dumps(_masked(document), indent=2, sort_keys=True).splitlines()


def _masked(value: Any) -> Any:
    """Mask values that look like secrets: what others have registered may contain anything."""
    if isinstance(value, Mapping):
        hidden = "value" in value and sensitive_setting(str(value.get("name", "")), str(value["value"]))
        return {key: "***" if hidden and key == "value" else _masked(item) for key, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list) else value
