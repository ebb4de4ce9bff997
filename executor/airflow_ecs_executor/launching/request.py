"""Makes a RunTask request from the settings, a command and a task's ``executor_config``. Pure functions."""

from __future__ import annotations

import json
from typing import Any, Mapping, Sequence

from airflow_ecs_executor.aws.run_task import (
    MAX_TAGS,
    canonical,
    check_environment,
    check_started_by,
    copied,
    drop_fargate_only,
    is_fargate,
    network_of,
    parse_strategy,
    shown,
)
from airflow_ecs_executor.config.settings import Settings

CONTAINER_VARIABLE = "AIRFLOW_IS_EXECUTOR_CONTAINER"
MAX_OVERRIDES = 8192
"""Characters (Amazon ECS API Reference, RunTask)."""


class ExecutorConfigError(Exception):
    """A task cannot be launched with its ``executor_config``. The message is for the author of the DAG."""


def build_run_task(
    settings: Settings,
    command: Sequence[str],
    executor_config: object,
    *,
    environment: Mapping[str, str],
    started_by: str,
    tags: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """Return a new RunTask request without client token; no argument is changed. Raises ExecutorConfigError.

    ``executor_config`` is merged into the request of the settings: dicts recursively, while any other value replaces.
    ``environment`` wins over the user's variables; the user's ``startedBy`` and tags win over ``started_by`` and
    ``tags``, which are added up to AWS's limit of 50. The length of the overrides is checked by `check_length`.
    """
    request: dict[str, Any] = copied(dict(settings.run_task))
    if executor_config is not None:
        _merge_task(settings, request, executor_config)
    request["count"] = 1
    set_command(settings.container_name, request, command)
    container = _our_container(settings.container_name, request)
    ours = dict(environment)
    ours[CONTAINER_VARIABLE] = "true"
    kept = [variable for variable in container.get("environment", ()) if variable["name"] not in ours]
    container["environment"] = kept + [{"name": name, "value": value} for name, value in ours.items()]
    request.setdefault("startedBy", started_by)
    _add_tags(request, tags)
    return request


def set_command(our_name: str, request: dict[str, Any], command: Sequence[str]) -> None:
    """Set the command of our container."""
    _our_container(our_name, request)["command"] = list(command)


def is_too_long(request: Mapping[str, Any]) -> bool:
    """Whether ECS would refuse the overrides of a request because of their length.

    AWS accepts 8,192 characters of overrides, "including the JSON formatting characters of the override structure"
    (Amazon ECS API Reference, RunTask). AWS does not publish its own serialization, so the characters of the shortest
    possible JSON are counted, without spaces and escapes: AWS would have refused whatever is refused here.
    """
    return _length(request["overrides"]) > MAX_OVERRIDES


def task_definition_of(executor_config: object) -> str | None:
    """Return the task definition in an ``executor_config``; None if there is none, or if it cannot be read."""
    try:
        config = canonical(executor_config)
    except Exception:  # noqa: BLE001 - objects of any class may be in it
        return None
    name = config.get("taskDefinition") if isinstance(config, dict) else None
    return name if isinstance(name, str) else None


def _merge_task(settings: Settings, request: dict[str, Any], executor_config: object) -> None:
    if not isinstance(executor_config, Mapping):
        raise ExecutorConfigError(
            f"executor_config must be a dict of RunTask parameters, not a {type(executor_config).__name__}; for "
            'example {"overrides": {"cpu": "1024", "memory": "2048"}}'
        )
    try:
        config = canonical(executor_config)
        if not config:
            return
        _refuse_reserved(settings, config)
        _settle_capacity(request, config)
        if "startedBy" in config:
            check_started_by(config["startedBy"])
        _merge(request, config)
        _check_overrides(settings.container_name, request)
        _settle_fargate(settings, request)
    except ValueError as error:
        raise ExecutorConfigError(str(error)) from None
    except Exception as error:  # noqa: BLE001 - objects of any class may be in it
        raise ExecutorConfigError(
            f"executor_config cannot be read ({type(error).__name__}); use only dicts, lists, strings and numbers"
        ) from None


def _refuse_reserved(settings: Settings, config: Mapping[str, Any]) -> None:
    name = settings.container_name
    if "command" in config or "name" in config:
        raise ValueError(
            "the command and the name of the container are set by the executor; remove 'command' and 'name', and put "
            f"other settings of the container into overrides.containerOverrides, in an entry named {name!r}"
        )
    if "clientToken" in config:
        raise ValueError("clientToken is set by the executor; remove it")
    if config.get("count", 1) != 1:
        raise ValueError("count must be 1: a task instance runs in one container; use dynamic task mapping for more")
    if config.get("cluster", settings.cluster) != settings.cluster:
        raise ValueError(
            f"cluster must be {settings.cluster!r}, the executor's cluster; to use another cluster, configure another "
            "executor"
        )


def _settle_capacity(request: dict[str, Any], config: dict[str, Any]) -> None:
    if "launchType" in config and "capacityProviderStrategy" in config:
        raise ValueError("launchType and capacityProviderStrategy exclude each other; remove one of them")
    if "launchType" in config:
        if not isinstance(config["launchType"], str):
            raise ValueError("launchType must be FARGATE, EC2 or EXTERNAL")
        config["launchType"] = config["launchType"].strip().upper()
        request.pop("capacityProviderStrategy", None)
    if "capacityProviderStrategy" in config:
        try:
            config["capacityProviderStrategy"] = parse_strategy(config["capacityProviderStrategy"])
        except ValueError as error:
            raise ValueError(f"capacityProviderStrategy {error}") from None
        request.pop("launchType", None)


def _settle_fargate(settings: Settings, request: dict[str, Any]) -> None:
    if not is_fargate(request, settings.fargate):
        drop_fargate_only(request)
        return
    if not settings.fargate:
        # This task runs on Fargate although the others do not: it needs the parameters that only Fargate accepts.
        kept = settings.fargate_only
        if "platformVersion" in kept:
            request.setdefault("platformVersion", kept["platformVersion"])
        network = network_of(request)
        if network is not None and "assignPublicIp" in kept:
            network.setdefault("assignPublicIp", kept["assignPublicIp"])


def _merge(base: dict[str, Any], update: Mapping[str, Any]) -> None:
    for key, value in update.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _check_overrides(our_name: str, request: Mapping[str, Any]) -> None:
    """Check the types that the next steps rely on: those on the way to our container's environment."""
    for name in ("networkConfiguration", "overrides"):
        if not isinstance(request.get(name, {}), dict):
            raise ValueError(f"{name} must be a dict, not {shown(request[name])}")
    containers = request["overrides"].get("containerOverrides", [])
    if not isinstance(containers, list) or not all(isinstance(container, dict) for container in containers):
        raise ValueError("overrides.containerOverrides must be a list of dicts, each with the 'name' of a container")
    for container in containers:
        if not isinstance(container.get("name"), str) or not container["name"]:
            raise ValueError(
                "an entry of overrides.containerOverrides has no 'name'; add the name of its container "
                f"({our_name!r} is the container that runs the task)"
            )
        if container["name"] == our_name and "command" in container:
            raise ValueError(
                f"the command of the container {our_name!r} is set by the executor; remove 'command' from its entry in "
                "overrides.containerOverrides"
            )
        check_environment(container)
    if sum(1 for container in containers if container["name"] == our_name) > 1:
        raise ValueError(f"overrides.containerOverrides has two entries for the container {our_name!r}; merge them")


def _our_container(our_name: str, request: dict[str, Any]) -> dict[str, Any]:
    containers: list[dict[str, Any]] = request.setdefault("overrides", {}).setdefault("containerOverrides", [])
    for container in containers:
        if container["name"] == our_name:
            return container
    container = {"name": our_name}
    containers.append(container)
    return container


def _add_tags(request: dict[str, Any], tags: Sequence[Mapping[str, str]]) -> None:
    present: list[dict[str, str]] = request.get("tags", [])
    keys = {tag["key"] for tag in present}
    added = [{"key": tag["key"], "value": tag["value"]} for tag in tags if tag["key"] not in keys]
    if present or added:
        request["tags"] = present + added[: MAX_TAGS - len(present)]


def check_length(our_name: str, request: Mapping[str, Any]) -> None:
    """Raise ExecutorConfigError, which names the longest parts, if ECS would refuse the length of the overrides."""
    if not is_too_long(request):
        return
    overrides = request["overrides"]
    mine = next(container for container in overrides["containerOverrides"] if container["name"] == our_name)
    parts: list[tuple[int, str]] = sorted(
        ((_length(mine[part]), part) for part in ("command", "environment")), reverse=True
    )
    remedy = {
        "command": "the command contains the task's identity and, on Airflow 3, its whole workload: set "
        "[airflow_ecs_executor] workload_s3_uri, or shorten executor_config, the file's path, and the names of DAG, "
        "task and run",
        "environment": "move long values of the environment to the task definition, to secrets, or to environmentFiles",
    }
    raise ExecutorConfigError(
        f"the overrides of this launch are {_length(overrides):,} characters long as JSON, and ECS accepts at most "
        f"{MAX_OVERRIDES:,}: {parts[0][0]:,} are the {parts[0][1]}, {parts[1][0]:,} the {parts[1][1]}; "
        f"{remedy[parts[0][1]]}"
    )


def _length(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
