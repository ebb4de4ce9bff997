"""Checks of ``strict``: requests that AWS's documentation refuses, but AWS accepts or is believed to accept.

The sentences are those of botocore's ECS service model and of "Task definition parameters" in the ECS Developer Guide.
Where no message of AWS is public, the refusal has the words of its sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from local.ecs.answers import refusal
from local.ecs.errors import client_error, invalid_parameter
from local.ecs.notation import units
from local.ecs.state import TaskDefinition

_MAX_PROVIDERS, _MAX_CONSTRAINTS, _MAX_STRATEGIES = 20, 10, 5
_MAX_STOP_TIMEOUT = 120
_STORAGE = range(21, 201)
_FARGATE_MEMORY: Mapping[int, tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
}
"""MiB by CPU units: RegisterTaskDefinition, ``memory``."""


def check(operation: str, request: Mapping[str, Any]) -> None:
    """Check a request by itself."""
    handler = _CHECKS.get(operation)
    if handler is not None:
        handler(request)


def check_launch(request: Mapping[str, Any], definition: TaskDefinition, launch_type: str) -> None:
    """Check a RunTask request against its task definition."""
    document = definition.document
    overrides = request.get("overrides", {})
    constraints = [*document["placementConstraints"], *request.get("placementConstraints", ())]
    if len(constraints) > _MAX_CONSTRAINTS:
        raise invalid_parameter(f"You can specify up to {_MAX_CONSTRAINTS} constraints for each task.")
    if launch_type != "FARGATE":
        if request.get("platformVersion"):
            raise invalid_parameter("The platform version must be null when specifying an EC2 launch type.")
        return
    if constraints:  # https://github.com/GetSimpl/cloudlift/pull/138
        raise invalid_parameter("Placement constraints are not supported with FARGATE launch type.")
    if request.get("placementStrategy"):  # public code has this message of CreateService
        raise invalid_parameter("Placement strategies are not supported with FARGATE launch type.")
    _check_fargate_size({**document, **overrides})


def _check_run_task(request: Mapping[str, Any]) -> None:
    if len(request.get("capacityProviderStrategy", ())) > _MAX_PROVIDERS:
        raise invalid_parameter(f"A capacity provider strategy can contain a maximum of {_MAX_PROVIDERS} capacity "
                                "providers.")  # fmt: skip
    if len(request.get("placementStrategy", ())) > _MAX_STRATEGIES:
        raise invalid_parameter(f"You can specify a maximum of {_MAX_STRATEGIES} strategy rules for each task.")
    if request.get("propagateTags") == "SERVICE":
        raise invalid_parameter("The SERVICE option of propagateTags cannot be specified when running a task.")


def _check_list_tasks(request: Mapping[str, Any]) -> None:
    """Refuse other filters beside startedBy: "it must be the only filter that you use"."""
    if request.get("startedBy") and request.get("desiredStatus"):
        raise refusal("started_by_alone")


def _check_stop_task(request: Mapping[str, Any]) -> None:
    """Refuse a task id: the parameter is "the full Amazon Resource Name (ARN) of the task"."""
    if not str(request.get("task")).startswith("arn:"):
        raise invalid_parameter("The task must be the full Amazon Resource Name (ARN) of the task.")


def _check_definition(request: Mapping[str, Any]) -> None:
    if len(request.get("placementConstraints", ())) > _MAX_CONSTRAINTS:
        raise client_error(f"You can specify a maximum of {_MAX_CONSTRAINTS} constraints for each task.")
    containers = request.get("containerDefinitions") or ()
    if request.get("networkMode") == "none" and any(container.get("portMappings") for container in containers):
        raise client_error("You cannot specify port mappings when the network mode is none.")
    if "FARGATE" not in request.get("requiresCompatibilities", ()):
        return
    _check_fargate_size(request)
    if request.get("placementConstraints"):
        raise client_error("Placement constraints are not supported with FARGATE launch type.")
    if request.get("ipcMode"):
        raise client_error("The ipcMode parameter is not supported for tasks run on Fargate.")
    if request.get("pidMode", "task") != "task":
        raise client_error("On Fargate for Linux containers, the only valid value of pidMode is task.")
    storage = request.get("ephemeralStorage", {}).get("sizeInGiB", _STORAGE[0])
    if storage not in _STORAGE:
        raise client_error(f"The ephemeral storage must be from {_STORAGE[0]} to {_STORAGE[-1]} GiB.")
    for container in containers:
        if container.get("stopTimeout", 0) > _MAX_STOP_TIMEOUT:
            raise client_error(f"On Fargate the maximum stopTimeout is {_MAX_STOP_TIMEOUT} seconds.")
        if container.get("privileged"):
            raise client_error("The privileged parameter is not supported for tasks run on Fargate.")


def _check_fargate_size(task: Mapping[str, Any]) -> None:
    memory = units(task.get("memory") or "")
    if memory not in _FARGATE_MEMORY.get(units(task.get("cpu") or "") or 0, ()):
        raise client_error("No Fargate configuration exists for given values.")


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "RunTask": _check_run_task,
    "ListTasks": _check_list_tasks,
    "StopTask": _check_stop_task,
    "RegisterTaskDefinition": _check_definition,
}
