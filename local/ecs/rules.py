"""Checks of requests beyond their types: limits, and members that contradict each other.

From the ECS API Reference (RunTask, ListTasks, Tag) and from messages seen in public bug reports.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from local.ecs.answers import refusal
from local.ecs.errors import ApiError, client_error, invalid_parameter
from local.ecs.notation import path_in_ecr, units
from local.ecs.state import Cluster, TaskDefinition

MAX_DESCRIBED = 100
MAX_OVERRIDES = 8192
_MAX_COUNT = 10
_MAX_SUBNETS, _MAX_SECURITY_GROUPS = 16, 5
_MAX_TAGS, _MAX_TAG_KEY, _MAX_TAG_VALUE = 50, 128, 256
_MAX_REASON = 255
_TOKEN = re.compile(r"[!-~]{1,64}")  # ASCII 33 to 126
_STARTED_BY = re.compile(r"[A-Za-z0-9\-/_]{1,128}")
_TAG_TEXT = re.compile(r"[\w\s.:/=+\-@]*")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_AWSLOGS_OPTIONS = ("awslogs-region", "awslogs-group")
_FARGATE_PROVIDERS = frozenset({"FARGATE", "FARGATE_SPOT"})


def check_run_task(request: Mapping[str, Any], size: int) -> None:
    """Check a RunTask request by itself. ``size`` is that of its body in bytes."""
    if not request["taskDefinition"]:
        raise client_error("TaskDefinition can not be blank.")
    if not 1 <= request.get("count", 1) <= _MAX_COUNT:
        raise invalid_parameter(f"Count must be from 1 to {_MAX_COUNT}.")
    token = request.get("clientToken")
    if token is not None and not _TOKEN.fullmatch(token):
        raise invalid_parameter("Client token must be 1 to 64 characters of ASCII 33 to 126.")
    check_started_by(request.get("startedBy"))
    if request.get("launchType") and request.get("capacityProviderStrategy"):
        raise invalid_parameter("Specifying both a launch type and capacity provider strategy is not supported. "
                                "Remove one and try again.")  # fmt: skip
    check_tags(request.get("tags", ()))
    if size > MAX_OVERRIDES and len(compact(request.get("overrides", {}))) > MAX_OVERRIDES:
        raise invalid_parameter(f"Container Overrides length must be at most {MAX_OVERRIDES}")
    network = request.get("networkConfiguration", {}).get("awsvpcConfiguration")
    if network is not None:
        if not network["subnets"]:
            raise invalid_parameter("subnets can not be empty.")
        if len(network["subnets"]) > _MAX_SUBNETS:
            raise invalid_parameter(f"subnets can have at most {_MAX_SUBNETS} items.")
        if len(network.get("securityGroups", ())) > _MAX_SECURITY_GROUPS:
            raise invalid_parameter(f"securityGroups can have at most {_MAX_SECURITY_GROUPS} items.")


def check_launch(request: Mapping[str, Any], cluster: Cluster, definition: TaskDefinition) -> tuple[str, str | None]:
    """Check a request against cluster and task definition; return the launch type and the capacity provider."""
    document = definition.document
    launch_type, provider = _placement(request, cluster)
    awsvpc = document.get("networkMode") == "awsvpc"
    network = request.get("networkConfiguration", {}).get("awsvpcConfiguration")
    if awsvpc and network is None:
        raise invalid_parameter("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    if network is not None and not awsvpc:
        raise invalid_parameter("Network Configuration is not valid for the given networkMode of this task definition.")
    if launch_type == "EC2":
        if request.get("platformVersion"):
            raise invalid_parameter("The platform version must be null when specifying an EC2 launch type.")
        if network is not None and network.get("assignPublicIp") == "ENABLED":
            raise invalid_parameter("Assign public IP is not supported for this launch type.")
    role = request.get("overrides", {}).get("taskRoleArn") or document.get("taskRoleArn")
    if request.get("enableExecuteCommand") and not role:  # https://github.com/boto/boto3/issues/3173
        raise invalid_parameter(
            "The execute command failed because a valid task role is not being used. Specify a valid task role in your "
            "task definition or as a task override and try again."
        )
    if launch_type not in document["compatibilities"]:
        raise invalid_parameter(f"Task definition does not support launch_type {launch_type}.")
    containers = {container["name"]: container for container in definition.containers}
    for override in request.get("overrides", {}).get("containerOverrides", ()):
        container = containers.get(override.get("name"))
        if container is None:
            raise invalid_parameter(f"Override for container named {override.get('name')} is not a container in the "
                                    "TaskDefinition.")  # fmt: skip
        shared = _secret_and_variable(container, override)
        if shared is not None:
            raise invalid_parameter(shared)
    return launch_type, provider


def _placement(request: Mapping[str, Any], cluster: Cluster) -> tuple[str, str | None]:
    """Return launch type and capacity provider: the request's, else the cluster's default strategy, else EC2."""
    if request.get("launchType"):
        return request["launchType"], None
    strategy = request.get("capacityProviderStrategy") or cluster.settings.get("defaultCapacityProviderStrategy")
    if not strategy:
        return "EC2", None
    if all(item.get("weight", 0) == 0 and item.get("base", 0) == 0 for item in strategy) and len(strategy) > 1:
        raise invalid_parameter("The specified capacity provider strategy must have a provider with a weight.")
    names = [item["capacityProvider"] for item in strategy]
    unknown = [name for name in names if name not in cluster.settings.get("capacityProviders", [])]
    if unknown:
        raise invalid_parameter(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with "
            "the cluster. Associate the capacity provider with the cluster and try again."
        )
    if len({name in _FARGATE_PROVIDERS for name in names}) > 1:
        raise invalid_parameter("The specified capacity provider strategy cannot mix Fargate and Auto Scaling groups.")
    chosen = max(strategy, key=lambda item: (item.get("base", 0), item.get("weight", 0)))["capacityProvider"]
    return ("FARGATE" if chosen in _FARGATE_PROVIDERS else "EC2"), chosen


def compact(document: Mapping[str, Any]) -> str:
    """Return JSON without spaces. AWS counts the characters of the overrides, including JSON formatting."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def check_started_by(text: str | None) -> None:
    """Check ``startedBy``: up to 128 letters, digits, and ``-/_``."""
    if text is not None and not _STARTED_BY.fullmatch(text):
        raise invalid_parameter(
            "startedBy must be 1 to 128 letters, numbers, hyphens, forward slashes and underscores."
        )


def check_reason(text: str | None) -> None:
    """Check the reason of StopTask: up to 255 characters."""
    if text is not None and len(text) > _MAX_REASON:
        raise invalid_parameter(f"Reason must be at most {_MAX_REASON} characters.")


def check_tags(tags: Sequence[Mapping[str, str]]) -> None:
    """Check tags: at most 50, with different keys, none reserved by AWS, of the allowed characters and lengths."""
    if len(tags) > _MAX_TAGS:
        raise invalid_parameter(f"The number of tags exceeds {_MAX_TAGS}.")
    keys = set()
    for tag in tags:
        key, value = tag.get("key", ""), tag.get("value", "")
        if not 1 <= len(key) <= _MAX_TAG_KEY:
            raise invalid_parameter(f"Tag key must be 1 to {_MAX_TAG_KEY} characters.")
        if len(value) > _MAX_TAG_VALUE:
            raise invalid_parameter(f"Tag value must be at most {_MAX_TAG_VALUE} characters.")
        if not _TAG_TEXT.fullmatch(key) or not _TAG_TEXT.fullmatch(value):
            raise invalid_parameter("Some tags contain invalid characters. Valid characters: "
                                    "UTF-8 letters, spaces, numbers and _ . / = + - : @.")  # fmt: skip
        if key.lower().startswith("aws:"):
            raise invalid_parameter("Tag keys starting with aws: are reserved.")
        keys.add(key)
    if len(keys) != len(tags):
        raise invalid_parameter("Duplicate tag keys found.")


def check_list_tasks(request: Mapping[str, Any]) -> None:
    """Check a ListTasks request: with ``startedBy``, the desired status is the only other filter.

    AWS is believed to take that, as Airflow's EcsRunTaskOperator sends both; ``strictness`` holds to the documentation.
    """
    check_started_by(request.get("startedBy"))
    others = ("containerInstance", "family", "serviceName", "launchType", "daemonName")
    if request.get("startedBy") is not None and any(request.get(name) for name in others):
        raise refusal("started_by_alone")
    if request.get("serviceName"):
        raise ApiError("ServiceNotFoundException", "Service not found.")
    if request.get("containerInstance"):
        raise invalid_parameter("Container instance not found.")


def check_name(kind: str, name: str) -> None:
    """Check the name of a cluster or family: up to 255 letters, digits, ``_`` and ``-``."""
    if not _NAME.fullmatch(name):
        raise invalid_parameter(f"{kind} must be 1 to 255 letters, numbers, hyphens, and underscores.")


def check_definition(request: Mapping[str, Any]) -> None:
    """Check a RegisterTaskDefinition request."""
    if not request["family"]:
        raise client_error("Family can not be blank.")
    check_name("Family", request["family"])
    check_tags(request.get("tags", ()))
    containers = request["containerDefinitions"]
    if not containers:
        raise client_error("Container list cannot be empty.")
    names = [container.get("name") for container in containers]
    if not all(names):
        raise client_error("Container.name should not be null or empty.")
    if len(set(names)) != len(names):
        raise client_error("Container names must be unique.")
    for container in containers:
        if not container.get("image"):
            raise client_error("Container.image should not be null or empty.")
        if not request.get("memory") and not container.get("memory") and not container.get("memoryReservation"):
            raise client_error(f"Invalid setting for container '{container['name']}'. "
                               "At least one of 'memory' or 'memoryReservation' must be specified.")  # fmt: skip
    if not any(container.get("essential", True) for container in containers):
        raise client_error("At least one container must be essential.")
    if "FARGATE" in request.get("requiresCompatibilities", ()):
        if request.get("networkMode") != "awsvpc":
            raise client_error("Fargate only supports network mode 'awsvpc'.")
        if not request.get("cpu"):
            raise client_error("Fargate requires that 'cpu' be defined at the task level.")
        if not request.get("memory"):
            raise client_error("Fargate requires that 'memory' be defined at the task level.")
    for name in ("cpu", "memory"):
        if request.get(name) and units(request[name]) is None:
            raise client_error(f"Invalid '{name}' setting for task.")
    whole = units(request.get("cpu") or "")
    if whole is not None and sum(container.get("cpu", 0) for container in containers) > whole:
        raise client_error("The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.")
    volumes = {volume.get("name") for volume in request.get("volumes", ())}
    for container in containers:
        _check_container(container, volumes)
    _check_dependencies({container["name"]: container for container in containers})
    if not request.get("executionRoleArn"):
        _check_without_execution_role(request)


def _check_container(container: Mapping[str, Any], volumes: set[str | None]) -> None:
    """Check a container definition by itself and against the task's volumes."""
    for point in container.get("mountPoints", ()):
        if point.get("sourceVolume") not in volumes:
            raise client_error(f"Unknown volume '{point.get('sourceVolume')}'.")
    logs = container.get("logConfiguration", {})
    missing = [name for name in _AWSLOGS_OPTIONS if name not in logs.get("options", {})]
    if logs.get("logDriver") == "awslogs" and missing:
        raise client_error(f"Log driver awslogs requires options: {', '.join(missing)}")
    shared = _secret_and_variable(container, container)
    if shared is not None:
        raise client_error(shared)


def _secret_and_variable(container: Mapping[str, Any], variables: Mapping[str, Any]) -> str | None:
    """Return what AWS says of a container's secret that has the name of a variable in an ``environment``."""
    secrets = {item["name"] for item in container.get("secrets", ())}
    for item in variables.get("environment", ()) if secrets else ():
        if item.get("name") in secrets:
            return (
                "The secret name must be unique and not shared with any new or existing environment variables set on "
                f"the container, such as '{item['name']}'."
            )
    return None


def _check_dependencies(containers: Mapping[str, Mapping[str, Any]]) -> None:
    """Check ``dependsOn`` and ``volumesFrom``: the containers exist, and their order has no cycle."""
    graph: dict[str, set[str]] = {}
    for name, container in containers.items():
        others = {item["sourceContainer"] for item in container.get("volumesFrom", ()) if "sourceContainer" in item}
        for item in container.get("dependsOn", ()):
            other = containers.get(item["containerName"])
            if other is not None and item["condition"] in ("COMPLETE", "SUCCESS") and other.get("essential", True):
                raise client_error("A dependency container with SUCCESS or COMPLETE condition cannot be an essential "
                                   "container")  # fmt: skip
            others.add(item["containerName"])
        unknown = sorted(others - containers.keys())
        if unknown:
            raise client_error(f"Cannot depend on container + '{unknown[0]}' because it does not exist")
        graph[name] = others
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise client_error(f"Container dependencies have a cycle: {' -> '.join(error.args[1])}") from None


def _check_without_execution_role(request: Mapping[str, Any]) -> None:
    """Refuse what ECS can only do with the permissions of an execution role."""
    for container in request["containerDefinitions"]:
        if container.get("secrets"):
            raise client_error("When you are specifying container secrets, you must also specify a value for "
                               "'executionRoleArn'.")  # fmt: skip
        if "FARGATE" in request.get("requiresCompatibilities", ()):
            what = "Fargate requires task definition to have execution role ARN to support"
            if path_in_ecr(container["image"]) is not None:
                raise client_error(f"{what} ECR images.")
            if container.get("logConfiguration", {}).get("logDriver") == "awslogs":
                raise client_error(f"{what} log driver awslogs.")
