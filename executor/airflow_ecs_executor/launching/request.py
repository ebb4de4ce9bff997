"""From the settings, a command and a task's ``executor_config`` to one RunTask request. Pure."""

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


class ExecutorConfigError(Exception):
    """A task's ``executor_config``, or what it makes of the request, cannot be launched.

    The text is for the author of the DAG: what is wrong, and what to do.
    """


def build_run_task(
    settings: Settings,
    command: Sequence[str],
    executor_config: Any,
    *,
    environment: Mapping[str, str],
    started_by: str,
    tags: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """Make a new RunTask request, complete but for its client token; nothing that was given is changed.

    ``executor_config`` (a dict or nothing) is merged into the request of the settings: dicts recursively, anything
    else replaces. Our container then gets ``command`` and, besides the user's own variables, ``environment``.
    ``started_by`` and ``tags`` are added where the user has given nothing of that name, as far as AWS's 50 tags reach.

    The length of its overrides is `check_length`'s business.

    Raises `ExecutorConfigError`, and nothing else, if that is impossible.
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
    """Give our container a command, in place of the one that it has."""
    _our_container(our_name, request)["command"] = list(command)


def is_too_long(request: Mapping[str, Any]) -> bool:
    """Whether ECS would refuse the overrides of a request for their length.

    AWS takes 8,192 characters of overrides, "including the JSON formatting characters of the override structure"
    (Amazon ECS API Reference, RunTask). Its own serialisation is not published, so they are counted in the shortest
    JSON there is, without spaces and without \\u escapes: what is refused here, AWS would have refused.
    """
    return _length(request["overrides"]) > MAX_OVERRIDES


def task_definition_of(executor_config: Any) -> str | None:
    """Return the task definition that an ``executor_config`` asks for, if it does; None, too, if it is not in order."""
    try:
        config = canonical(executor_config)
    except Exception:  # objects of any class may be in it, and do anything
        return None
    name = config.get("taskDefinition") if isinstance(config, dict) else None
    return name if isinstance(name, str) else None


def _merge_task(settings: Settings, request: dict[str, Any], executor_config: Any) -> None:
    if not isinstance(executor_config, Mapping):
        raise ExecutorConfigError(
            f"executor_config must be a dict of RunTask parameters, not a {type(executor_config).__name__}, for "
            'instance {"overrides": {"cpu": "1024", "memory": "2048"}}'
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
    except Exception as error:
        # Objects of any class may be in it, and do anything.
        raise ExecutorConfigError(
            f"executor_config cannot be read ({type(error).__name__}); give plain dicts, lists, texts and numbers"
        ) from None


def _refuse_reserved(settings: Settings, config: Mapping[str, Any]) -> None:
    name = settings.container_name
    if "command" in config or "name" in config:
        raise ValueError(
            "the command and the name of the container are the executor's own; leave out 'command' and 'name', and put "
            f"other settings of the container into overrides.containerOverrides, in an entry named {name!r}"
        )
    if "clientToken" in config:
        raise ValueError("clientToken is the executor's own; leave it out")
    if config.get("count", 1) != 1:
        raise ValueError("count must be 1: a task instance runs in one container; use dynamic task mapping for more")
    if config.get("cluster", settings.cluster) != settings.cluster:
        raise ValueError(
            f"cluster must be {settings.cluster!r}, where the executor follows its tasks; for another cluster, "
            "configure another executor"
        )


def _settle_capacity(request: dict[str, Any], config: dict[str, Any]) -> None:
    if "launchType" in config and "capacityProviderStrategy" in config:
        raise ValueError("launchType and capacityProviderStrategy exclude each other; keep one of them")
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
        # This task runs on Fargate, the others do not: it gets what they were spared.
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
    """Hold what the steps after this one rely on: the types on the way to our container's environment."""
    for name in ("networkConfiguration", "overrides"):
        if not isinstance(request.get(name, {}), dict):
            raise ValueError(f"{name} must be a dict, not {shown(request[name])}")
    containers = request["overrides"].get("containerOverrides", [])
    if not isinstance(containers, list) or not all(isinstance(container, dict) for container in containers):
        raise ValueError("overrides.containerOverrides must be a list of dicts, each with the 'name' of a container")
    for container in containers:
        if not isinstance(container.get("name"), str) or not container["name"]:
            raise ValueError(
                "an entry of overrides.containerOverrides has no 'name'; give the name of the container that it is "
                f"for: {our_name!r} is the one that runs the task"
            )
        if container["name"] == our_name and "command" in container:
            raise ValueError(
                f"the command of the container {our_name!r} is the executor's own; leave 'command' out of its "
                "entry in overrides.containerOverrides"
            )
        check_environment(container)
    if sum(1 for container in containers if container["name"] == our_name) > 1:
        raise ValueError(f"overrides.containerOverrides has two entries for the container {our_name!r}; make them one")


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
    """Raise ExecutorConfigError, which says what is long, if the overrides of a request are `is_too_long`."""
    if not is_too_long(request):
        return
    overrides = request["overrides"]
    mine = next(container for container in overrides["containerOverrides"] if container["name"] == our_name)
    parts: list[tuple[int, str]] = sorted(
        ((_length(mine[part]), part) for part in ("command", "environment")), reverse=True
    )
    remedy = {
        "command": "the command carries the task's identity and, on Airflow 3, its whole workload: set "
        "[airflow_ecs_executor] workload_s3_uri, or shorten executor_config, the file's path, and the names of DAG, "
        "task and run",
        "environment": "move long values of the environment to the task definition, to secrets, or to environmentFiles",
    }
    raise ExecutorConfigError(
        f"the overrides of this launch are {_length(overrides):,} characters long as JSON, and ECS takes at most "
        f"{MAX_OVERRIDES:,}: {parts[0][0]:,} are the {parts[0][1]}, {parts[1][0]:,} the {parts[1][1]}; "
        f"{remedy[parts[0][1]]}"
    )


def _length(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
