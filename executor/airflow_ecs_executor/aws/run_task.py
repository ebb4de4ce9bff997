"""The shape of a RunTask request: parameters in any spelling, tags, capacity providers, what only Fargate takes. Pure.

``run_task_kwargs`` and a task's ``executor_config`` are both read with it.
"""

from __future__ import annotations

import ast
import json
import math
import re
from typing import Any, Mapping, Sequence

MAX_TAGS = 50
MAX_SUBNETS = 16
MAX_SECURITY_GROUPS = 5

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
            raise ValueError(f"{name} has {shown(tag)}, which is not {{key, value}}")
        key, item = _tag_text(parts["key"]), _tag_text(parts.get("value", ""))
        if key is None or item is None:
            raise ValueError(f"{name} has {shown(tag)}; keys and values must be text")
        if not 1 <= len(key) <= 128 or len(item) > 256:
            raise ValueError(f"{name} has {shown(tag)}; keys have 1 to 128 characters, values at most 256")
        if key.lower().startswith("aws:") or item.lower().startswith("aws:"):
            raise ValueError(f"{name} has {shown(tag)}; tags beginning with aws: are AWS's own")
        if not _TAG.fullmatch(key) or not _TAG.fullmatch(item):
            raise ValueError(f"{name} has {shown(tag)}; letters, digits, spaces and _ . : / = + - @ are allowed")
        if key in found:
            raise ValueError(f"{name} has the key {shown(key)} twice")
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
            raise ValueError(f"has {shown(item)}; give capacityProvider, weight and base, as in {example}")
        item["capacityProvider"] = provider.strip()
        for name, most in (("weight", _MAX_WEIGHT), ("base", _MAX_BASE)):
            if name in item:
                item[name] = _whole(item[name])
                if item[name] is None or not 0 <= item[name] <= most:
                    raise ValueError(f"has {shown(item)}; {name} must be a whole number from 0 to {most}")
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
            f"startedBy is {shown(value)}; give at most 128 letters, digits, hyphens, slashes and underscores"
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
    network = network_of(request)
    if network is not None and "assignPublicIp" in network:
        dropped["assignPublicIp"] = network.pop("assignPublicIp")
    return dropped


def network_of(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the ``awsvpcConfiguration`` of a request, if it has one."""
    configuration = request.get("networkConfiguration")
    network = configuration.get("awsvpcConfiguration") if isinstance(configuration, dict) else None
    return network if isinstance(network, dict) else None


def shown(value: Any) -> str:
    """Return a value for a message, shortened."""
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


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
