"""How ECS tasks are attributed: which deployment launched them, for which try of which task instance.

``startedBy`` names the deployment, so that ListTasks finds its ECS tasks. A variable in the container's environment
names the try of the task instance, so that DescribeTasks can tell containers apart even without the permission to tag.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from typing import Any, Hashable, Mapping

IDENTITY_VARIABLE = "AIRFLOW_ECS_TASK_INSTANCE"
TaskKey = Hashable
"""Airflow's ``TaskInstanceKey``, or the key of a callback."""

# AWS: up to 256 characters in a tag's value, of letters, digits, spaces and _ . : / = + - @ (Amazon ECS, "Tagging").
_TAG_VALUE_LENGTH = 256
_NOT_IN_TAGS = re.compile(r"[^\w\s.:/=+\-@]")


@dataclass(frozen=True)
class Deployment:
    """All schedulers of one metadata database, as ECS knows them."""

    name: str
    started_by: str
    """The value of ``startedBy`` in their requests, unless an ``executor_config`` says otherwise."""
    container_name: str
    """The container in the task definition that runs the Airflow task."""

    def identity_of(self, key: TaskKey) -> str:
        """Return what identifies a try of a task instance, or a callback: 32 hexadecimal digits."""
        parts = [self.name, *(f"{name}={value}" for name, value in sorted(_names(key).items()))]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def name_of_deployment(database_place: str) -> str:
    """Return a name that is derived from the place of the metadata database, which all schedulers share."""
    return "airflow-" + hashlib.sha256(database_place.encode()).hexdigest()[:16]


def _names(key: Any) -> dict[str, str]:
    if hasattr(key, "dag_id"):
        names = ("dag_id", "task_id", "run_id", "map_index", "try_number")
        return {name: str(getattr(key, name)) for name in names}
    return {"callback_id": str(getattr(key, "id", key))}


def tags_of(key: TaskKey) -> list[dict[str, str]]:
    """Return tags that name the task instance, in the form that RunTask requires."""
    return [{"key": f"airflow:{name}", "value": _tag_value(value)} for name, value in _names(key).items()]


def _tag_value(text: str) -> str:
    allowed = _NOT_IN_TAGS.sub("_", text)
    reserved = allowed.lower().startswith("aws:")  # AWS reserves this prefix
    return ("_" + allowed if reserved else allowed)[:_TAG_VALUE_LENGTH]


def new_client_token() -> str:
    """Return a new, unique client token for RunTask: at most 64 ASCII characters."""
    return uuid.uuid4().hex


def identity_in(task: Mapping[str, Any]) -> str | None:
    """Return the identity in a described task's overrides, or None."""
    for override in (task.get("overrides") or {}).get("containerOverrides") or ():
        for variable in override.get("environment") or ():
            if variable.get("name") == IDENTITY_VARIABLE:
                return str(variable.get("value"))
    return None
