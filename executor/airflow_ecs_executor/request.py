"""From the settings, a command and a task's ``executor_config`` to one RunTask request. Pure.

The first half knows the shape of RunTask: its parameters by any spelling, tags and capacity providers in each form
that is documented. `airflow_ecs_executor.config` reads ``run_task_kwargs`` with it, too.
"""

from __future__ import annotations

import ast
import json
import math
import re
from typing import TYPE_CHECKING, Any, Mapping, Sequence

if TYPE_CHECKING:
    from airflow_ecs_executor.config import Settings

MAX_OVERRIDES = 8192
MAX_TAGS = 50
MAX_SUBNETS = 16
MAX_SECURITY_GROUPS = 5
CONTAINER_VARIABLE = "AIRFLOW_IS_EXECUTOR_CONTAINER"

_MAX_PROVIDERS = 20
_MAX_WEIGHT = 1_000
_MAX_BASE = 100_000
_MAX_DEPTH = 32
_FARGATE_PROVIDERS = frozenset(("FARGATE", "FARGATE_SPOT"))
_STARTED_BY = re.compile(r"[A-Za-z0-9/_-]{1,128}")
# [^\W_] is a letter or a digit of any script.
_TAG = re.compile(r"(?:[^\W_]|[\s_.:/=+\-@])*")

# fmt: off
PARAMETERS = frozenset((
    "capacityProviderStrategy", "clientToken", "cluster", "count", "enableECSManagedTags", "enableExecuteCommand",
    "group", "launchType", "networkConfiguration", "overrides", "placementConstraints", "placementStrategy",
    "platformVersion", "propagateTags", "referenceId", "startedBy", "tags", "taskDefinition", "volumeConfigurations",
))
"""What RunTask takes (Amazon ECS API Reference, RunTask)."""

_NESTED = (
    "assignPublicIp", "awsvpcConfiguration", "base", "capacityProvider", "command", "containerOverrides", "cpu",
    "deleteOnTermination", "deviceName", "deviceType", "encrypted", "environment", "environmentFiles",
    "ephemeralStorage", "executionRoleArn", "expression", "field", "filesystemType", "inferenceAcceleratorOverrides",
    "iops", "key", "kmsKeyId", "managedEBSVolume", "memory", "memoryReservation", "name", "resourceRequirements",
    "resourceType", "roleArn", "securityGroups", "sizeInGiB", "snapshotId", "subnets", "tagSpecifications",
    "taskRoleArn", "terminationPolicy", "throughput", "type", "value", "volumeInitializationRate", "volumeType",
    "weight",
)
# fmt: on
_OF_OPTIONS = ("containerName",)


def _folded(key: str) -> str:
    return key.replace("_", "").lower()


_SPELLING = {_folded(name): name for name in (*PARAMETERS, *_NESTED, *_OF_OPTIONS)}


class ExecutorConfigError(Exception):
    """A task's ``executor_config``, or what it makes of the request, cannot be launched.

    The text is for the author of the DAG: what is wrong, and what to do.
    """


def canonical(value: Any, camelize: bool = False) -> Any:
    """Copy ``value``, plain data, with the keys of RunTask in RunTask's spelling, at any depth.

    ``launch_type``, ``launchType`` and ``LaunchType`` are one key. Keys that RunTask does not have stay as they are,
    or become camelCase. The keys of tags are never touched; tags come out as a list. Without entries: null.

    Raises ValueError for what is no plain data, and for a key that is given twice.
    """
    return _canonical(value, camelize, "", 0)


def _canonical(value: Any, camelize: bool, path: str, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ValueError(f"{path[:60]} … is nested too deeply")
    if isinstance(value, str):
        return value if type(value) is str else str.__str__(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{path or 'the value'} is {value}, which is no JSON number")
        return float(value)
    if isinstance(value, Mapping):
        found: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{path or 'the top level'} has the key {key!r:.40}; keys must be text")
            name = _SPELLING.get(_folded(key))
            if name is None:
                name = _camel(key) if camelize else str.__str__(key)
            if item is None:
                continue
            place = f"{path}.{name}" if path else name
            if name in found:
                raise ValueError(f"{place} is given twice, in two spellings; keep one")
            found[name] = parse_tags(item, place) if name == "tags" else _canonical(item, camelize, place, depth + 1)
        return found
    if isinstance(value, (list, tuple)):
        return [_canonical(item, camelize, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    raise ValueError(f"{path or 'the value'} is of the type {type(value).__name__}, which has no JSON form")


def _camel(key: str) -> str:
    head, *rest = key.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest) if head and rest else key


def copied(value: Any) -> Any:
    """Copy plain data: some ten times as fast as copy.deepcopy."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


def parse_json(text: str) -> Any:
    """Read JSON, or the same in Python's notation, which the Amazon provider's own examples are in.

    Raises ValueError with the place of the fault, of the JSON reading.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        try:
            return ast.literal_eval(text.strip())
        except Exception:
            pass
        raise ValueError(f"is not JSON: {error}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def parse_tags(value: Any, name: str = "tags") -> list[dict[str, str]]:
    """Tags as RunTask takes them, from a list of ``{key, value}``, one such object, or ``{name: value}``.

    Raises ValueError for what AWS would refuse: docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Tag.html
    """
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
    if isinstance(value, Mapping):
        folded = {_folded(key) for key in value if isinstance(key, str)}
        if folded == {"key", "value"} and len(value) == 2:
            value = [value]
        else:
            value = [{"key": key, "value": item} for key, item in value.items()]
    if not isinstance(value, (list, tuple)):
        raise ValueError(f'{name} must be a list of {{"key": …, "value": …}}, or an object {{name: value}}')
    found: dict[str, str] = {}
    for tag in value:
        parts = {_folded(key): item for key, item in tag.items()} if isinstance(tag, Mapping) else {}
        if "key" not in parts or not set(parts) <= {"key", "value"}:
            raise ValueError(f"{name} has {_shown(tag)}, which is not {{key, value}}")
        key, item = _tag_text(parts["key"]), _tag_text(parts.get("value", ""))
        if key is None or item is None:
            raise ValueError(f"{name} has {_shown(tag)}; keys and values must be text")
        if not 1 <= len(key) <= 128 or len(item) > 256:
            raise ValueError(f"{name} has {_shown(tag)}; keys have 1 to 128 characters, values at most 256")
        if key.lower().startswith("aws:") or item.lower().startswith("aws:"):
            raise ValueError(f"{name} has {_shown(tag)}; tags beginning with aws: are AWS's own")
        if not _TAG.fullmatch(key) or not _TAG.fullmatch(item):
            raise ValueError(f"{name} has {_shown(tag)}; letters, digits, spaces and _ . : / = + - @ are allowed")
        if key in found:
            raise ValueError(f"{name} has the key {_shown(key)} twice")
        found[key] = item
    if len(found) > MAX_TAGS:
        raise ValueError(f"{name} has {len(found)} tags; AWS takes at most {MAX_TAGS}")
    return [{"key": key, "value": item} for key, item in found.items()]


def _tag_text(value: Any) -> str | None:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else None


def parse_strategy(value: Any) -> list[dict[str, Any]]:
    """A capacity provider strategy as RunTask takes it, from a JSON text, a list, or a single provider.

    Raises ValueError for what AWS would refuse:
    docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CapacityProviderStrategyItem.html
    """
    if isinstance(value, str):
        value = parse_json(value)
    value = canonical(value)
    if isinstance(value, dict):
        value = [value]
    example = '[{"capacityProvider": "FARGATE_SPOT", "weight": 1}]'
    if not isinstance(value, list) or not value:
        raise ValueError(f"must be a list such as {example}")
    if len(value) > _MAX_PROVIDERS:
        raise ValueError(f"has {len(value)} providers; AWS takes at most {_MAX_PROVIDERS}")
    for item in value:
        provider = item.get("capacityProvider") if isinstance(item, dict) else None
        if not isinstance(provider, str) or not provider.strip() or set(item) - {"capacityProvider", "weight", "base"}:
            raise ValueError(f"has {_shown(item)}; give capacityProvider, weight and base, as in {example}")
        item["capacityProvider"] = provider.strip()
        for name, most in (("weight", _MAX_WEIGHT), ("base", _MAX_BASE)):
            if name in item:
                item[name] = _whole(item[name])
                if item[name] is None or not 0 <= item[name] <= most:
                    raise ValueError(f"has {_shown(item)}; {name} must be a whole number from 0 to {most}")
    if len(value) > 1 and not any(item.get("weight") for item in value):
        raise ValueError("has no provider with a weight above 0: none of them could be used")
    if sum(1 for item in value if item.get("base")) > 1:
        raise ValueError("has more than one provider with a base")
    return value


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value, re.ASCII):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def check_started_by(value: Any) -> None:
    """Raise ValueError unless AWS takes ``value`` as ``startedBy``."""
    if not isinstance(value, str) or not _STARTED_BY.fullmatch(value):
        raise ValueError(
            f"startedBy is {_shown(value)}; give at most 128 letters, digits, hyphens, slashes and underscores"
        )


def is_fargate(request: Mapping[str, Any], default: bool) -> bool:
    """Whether a request runs on Fargate; ``default`` is what the cluster's default strategy says."""
    if request.get("launchType"):
        return bool(request["launchType"] == "FARGATE")
    strategy = request.get("capacityProviderStrategy")
    return all_fargate(strategy) if strategy else default


def all_fargate(strategy: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all providers of a strategy are Fargate's. All others are of EC2 or of managed instances."""
    return all(item.get("capacityProvider") in _FARGATE_PROVIDERS for item in strategy)


def drop_fargate_only(request: dict[str, Any]) -> dict[str, str]:
    """Take out of a request what AWS refuses outside Fargate; return what was taken."""
    dropped = {}
    if "platformVersion" in request:
        dropped["platformVersion"] = request.pop("platformVersion")
    network = _network(request)
    if network is not None and "assignPublicIp" in network:
        dropped["assignPublicIp"] = network.pop("assignPublicIp")
    return dropped


def _network(request: Mapping[str, Any]) -> dict[str, Any] | None:
    configuration = request.get("networkConfiguration")
    network = configuration.get("awsvpcConfiguration") if isinstance(configuration, dict) else None
    return network if isinstance(network, dict) else None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


# From here on: one request.


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
        network = _network(request)
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
            raise ValueError(f"{name} must be a dict, not {_shown(request[name])}")
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


def check_environment(container: Mapping[str, Any]) -> None:
    """Raise ValueError unless a container's environment, if any, is a list of names and values."""
    environment = container.get("environment", [])
    if not isinstance(environment, list) or not all(map(_is_variable, environment)):
        raise ValueError(
            f"the environment of the container {container['name']!r} must be a list of "
            '{"name": …, "value": …}, both of them text'
        )


def _is_variable(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("value", ""), str)


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
