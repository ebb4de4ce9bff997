"""How a container is told apart: which deployment launched it, for which try of which task instance.

``startedBy`` names the deployment, so that ListTasks finds its containers; a variable in the container's environment
names the try of the task instance, so that DescribeTasks tells them apart, with or without the right to tag. Tags
say the same to people and to cost reports.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Any, Mapping

IDENTITY_VARIABLE = "AIRFLOW_ECS_TASK_INSTANCE"

# AWS: up to 256 characters in a tag's value, of letters, digits, spaces and _ . : / = + - @ (Amazon ECS, "Tagging").
_TAG_VALUE_LENGTH = 256
_NOT_IN_TAGS = re.compile(r"[^\w\s.:/=+\-@]")


def deployment_of(database_place: str) -> str:
    """Name a deployment by the place of its metadata database, which all of its schedulers share."""
    return "airflow-" + hashlib.sha256(database_place.encode()).hexdigest()[:16]


def identity_of(deployment: str, key: Any) -> str:
    """Name a try of a task instance (or a callback) of a deployment: 32 hexadecimal digits."""
    parts = [deployment, *(f"{name}={value}" for name, value in sorted(_names(key).items()))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _names(key: Any) -> dict[str, str]:
    if hasattr(key, "dag_id"):
        names = ("dag_id", "task_id", "run_id", "map_index", "try_number")
        return {name: str(getattr(key, name)) for name in names}
    return {"callback_id": str(getattr(key, "id", key))}


def tags_of(key: Any) -> list[dict[str, str]]:
    """Tags that name the task instance, as RunTask takes them."""
    return [
        {"key": f"airflow:{name}", "value": _tag_value(value)[:_TAG_VALUE_LENGTH]}
        for name, value in _names(key).items()
    ]


def _tag_value(text: str) -> str:
    allowed = _NOT_IN_TAGS.sub("_", text)
    own = allowed.lower().startswith("aws:")  # AWS keeps the prefix to itself
    return ("_" + allowed if own else allowed)[:_TAG_VALUE_LENGTH]


def new_client_token() -> str:
    """A client token of RunTask: at most 64 ASCII characters, never the same twice."""
    return uuid.uuid4().hex


def identity_in(task: Mapping[str, Any]) -> str | None:
    """Find the identity in a described task's overrides."""
    for override in (task.get("overrides") or {}).get("containerOverrides") or ():
        for variable in override.get("environment") or ():
            if variable.get("name") == IDENTITY_VARIABLE:
                return str(variable.get("value"))
    return None
