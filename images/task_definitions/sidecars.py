"""Containers that run beside the Airflow container, such as a metrics agent or a proxy, from JSON files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from images import inputs
from images.errors import InputError, RequestError, SecretError
from images.secrets import sensitive_setting

CONDITIONS = ("START", "HEALTHY", "COMPLETE", "SUCCESS")
"""Values of ``condition`` in ContainerDependency (Amazon ECS API Reference)."""


def read_sidecars(files: Sequence[Path]) -> tuple[dict[str, Any], ...]:
    """Return the container definitions in files. Raises InputError for anything else, and SecretError for a secret."""
    found = []
    for file in files:
        try:
            document = json.loads(inputs.read_text(file, "--sidecar"))
        except ValueError as error:
            raise InputError(f"--sidecar {file} is not JSON: {error}.") from None
        for item in document if isinstance(document, list) else [document]:
            found.append(_checked(item, file))
    return tuple(found)


def _checked(item: Any, file: Path) -> dict[str, Any]:
    if not isinstance(item, dict) or not all(isinstance(item.get(key), str) and item[key] for key in ("name", "image")):
        raise InputError(
            f"--sidecar {file} is not a container definition.",
            'It requires a name and an image: {"name": "agent", "image": "public.ecr.aws/…"}, or a list of such.',
        )
    variables = item.get("environment")
    for variable in variables if isinstance(variables, list) else ():
        name, value = (str(variable.get(key, "")) if isinstance(variable, dict) else "" for key in ("name", "value"))
        if sensitive_setting(name, value):
            raise SecretError(
                f"--sidecar {file}: {name} of {item['name']} looks like a secret.",
                "Give the ARN of the stored secret in `secrets` of the container definition.",
            )
    return item


def check_names(container: str, sidecars: Sequence[dict[str, Any]]) -> None:
    """Raise RequestError if two containers have the same name."""
    names = [container, *(item["name"] for item in sidecars)]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise RequestError(f"Two containers have the name {twice}.", "Each container of a task requires its own name.")


def depends_on(texts: Sequence[str], sidecars: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the conditions in ``NAME:CONDITION`` texts, by sidecar. Raises RequestError for one that is never met."""
    known = {item["name"]: item for item in sidecars}
    found = {}
    for text in texts:
        name, _, condition = text.partition(":")
        if name not in known:
            raise RequestError(f"--depends-on {name}: the sidecar does not exist.", "Give its file: --sidecar FILE.")
        if condition not in CONDITIONS:
            raise RequestError(f"--depends-on {text}: the condition does not exist.", f"NAME:{'|'.join(CONDITIONS)}")
        if condition == "HEALTHY" and not known[name].get("healthCheck"):
            raise RequestError(f"--depends-on {text}: {name} has no healthCheck, so it never becomes healthy.")
        found[name] = condition
    return found
