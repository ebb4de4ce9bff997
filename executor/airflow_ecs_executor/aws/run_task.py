"""The shape of a RunTask request: spelling of parameters, tags, capacity providers, what only Fargate accepts. Pure.

Both ``run_task_kwargs`` and a task's ``executor_config`` are read with it. The names are constants rather than
botocore's service model, since reading the configuration must not import botocore.
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
"""The parameters of RunTask (Amazon ECS API Reference, RunTask)."""

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
    """Copy plain data, with the keys of RunTask in RunTask's spelling at any depth.

    ``launch_type``, ``launchType`` and ``LaunchType`` are one key. Keys that RunTask does not have are kept, or become
    camelCase. The keys of tags are never changed; tags are returned as a list. Entries that are null are removed.
    Raises ValueError if the value is not plain data, or if a key is given twice.
    """
    return _canonical(value, camelize, "", 0)


def _canonical(value: Any, camelize: bool, path: str, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ValueError(f"{path[:60]} … is nested too deeply")
    if isinstance(value, Mapping):
        return _canonical_object(value, camelize, path, depth)
    if isinstance(value, (list, tuple)):
        return [_canonical(item, camelize, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    return _plain_scalar(value, path)


def _canonical_object(value: Mapping[Any, Any], camelize: bool, path: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise ValueError(f"{path or 'the top level'} has the key {key!r:.40}; keys must be strings")
        if item is None:
            continue
        name = _SPELLING.get(_folded(key)) or (_camel(key) if camelize else str.__str__(key))
        place = f"{path}.{name}" if path else name
        if name in found:
            raise ValueError(f"{place} is given twice, in two spellings; keep one")
        found[name] = parse_tags(item, place) if name == "tags" else _canonical(item, camelize, place, depth + 1)
    return found


def _plain_scalar(value: Any, path: str) -> Any:
    """Return a scalar as a value of JSON's own types, whatever subclass of them it is."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if not isinstance(value, float):
        raise ValueError(f"{path or 'the value'} is of the type {type(value).__name__}, which JSON does not have")
    if not math.isfinite(value):
        raise ValueError(f"{path or 'the value'} is {value}, which is not a JSON number")
    return float(value)


def _camel(key: str) -> str:
    head, *rest = key.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest) if head and rest else key


def copied(value: Any) -> Any:
    """Copy plain data, about ten times as fast as copy.deepcopy."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


def parse_json(text: str) -> Any:
    """Read JSON, or the same in Python's notation, which the examples of the Amazon provider use.

    The ValueError of any other text has the position of the error in the JSON.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # all that literal_eval raises
            pass
        raise ValueError(f"is not JSON: {error}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def parse_tags(value: Any, name: str = "tags") -> list[dict[str, str]]:
    """Return tags as RunTask takes them, from a list of ``{key, value}``, one such object, or ``{name: value}``.

    Raises ValueError if AWS would refuse them (docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Tag.html).
    """
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
    if isinstance(value, Mapping):
        is_tag = len(value) == 2 and {_folded(key) for key in value if isinstance(key, str)} == {"key", "value"}
        value = [value] if is_tag else [{"key": key, "value": item} for key, item in value.items()]
    if not isinstance(value, (list, tuple)):
        raise ValueError(f'{name} must be a list of {{"key": …, "value": …}}, or an object {{name: value}}')
    found: dict[str, str] = {}
    for tag in value:
        try:
            key, item = _tag(tag)
        except ValueError as error:
            raise ValueError(f"{name} has {shown(tag)}{error}") from None
        if key in found:
            raise ValueError(f"{name} has the key {shown(key)} twice")
        found[key] = item
    if len(found) > MAX_TAGS:
        raise ValueError(f"{name} has {len(found)} tags; AWS accepts at most {MAX_TAGS}")
    return [{"key": key, "value": item} for key, item in found.items()]


def _tag(tag: Any) -> tuple[str, str]:
    """Return the key and the value of one tag. The ValueError of one that AWS would refuse says why."""
    parts = {_folded(key): item for key, item in tag.items()} if isinstance(tag, Mapping) else {}
    if "key" not in parts or not set(parts) <= {"key", "value"}:
        raise ValueError(", which is not {key, value}")
    key, item = _tag_text(parts["key"]), _tag_text(parts.get("value", ""))
    if key is None or item is None:
        raise ValueError("; keys and values must be strings")
    if not 1 <= len(key) <= 128 or len(item) > 256:
        raise ValueError("; keys have 1 to 128 characters, values at most 256")
    if key.lower().startswith("aws:") or item.lower().startswith("aws:"):
        raise ValueError("; AWS reserves tags that begin with aws:")
    if not _TAG.fullmatch(key) or not _TAG.fullmatch(item):
        raise ValueError("; letters, digits, spaces and _ . : / = + - @ are allowed")
    return key, item


def _tag_text(value: Any) -> str | None:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else None


def parse_strategy(value: Any) -> list[dict[str, Any]]:
    """Return a capacity provider strategy as RunTask takes it, from a JSON text, a list, or a single provider.

    Raises ValueError if AWS would refuse it (Amazon ECS API Reference, CapacityProviderStrategyItem).
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
        raise ValueError(f"has {len(value)} providers; AWS accepts at most {_MAX_PROVIDERS}")
    for item in value:
        _check_provider(item, example)
    if len(value) > 1 and not any(item.get("weight") for item in value):
        raise ValueError("has no provider with a weight above 0, so none of them could be used")
    if sum(1 for item in value if item.get("base")) > 1:
        raise ValueError("has more than one provider with a base")
    return value


def _check_provider(item: Any, example: str) -> None:
    provider = item.get("capacityProvider") if isinstance(item, dict) else None
    if not isinstance(provider, str) or not provider.strip() or set(item) - {"capacityProvider", "weight", "base"}:
        raise ValueError(f"has {shown(item)}; give capacityProvider, weight and base, as in {example}")
    item["capacityProvider"] = provider.strip()
    for name, most in (("weight", _MAX_WEIGHT), ("base", _MAX_BASE)):
        if name in item:
            item[name] = _whole(item[name])
            if item[name] is None or not 0 <= item[name] <= most:
                raise ValueError(f"has {shown(item)}; {name} must be a whole number from 0 to {most}")


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
    """Return whether a request runs on Fargate; ``default`` is what the cluster's default strategy says."""
    if request.get("launchType"):
        return bool(request["launchType"] == "FARGATE")
    strategy = request.get("capacityProviderStrategy")
    return all_fargate(strategy) if strategy else default


def all_fargate(strategy: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether all capacity providers of a strategy are Fargate's, rather than EC2 or managed instances."""
    return all(item.get("capacityProvider") in _FARGATE_PROVIDERS for item in strategy)


def drop_fargate_only(request: dict[str, Any]) -> dict[str, str]:
    """Remove from a request what only Fargate accepts, and return it."""
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
    return text if len(text) <= 120 else text[:119] + "…"


def is_list_of_strings(value: Any) -> bool:
    """Return whether a value is a list of strings."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def check_environment(container: Mapping[str, Any]) -> None:
    """Raise ValueError unless a container's environment, if any, is a list of names and values."""
    environment = container.get("environment", [])
    if not isinstance(environment, list) or not all(map(_is_variable, environment)):
        raise ValueError(
            f"the environment of the container {container['name']!r} must be a list of "
            '{"name": …, "value": …}, both of them strings'
        )


def _is_variable(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("value", ""), str)
