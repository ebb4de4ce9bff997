"""Logins to registries: what `docker login` has stored, and what AWS gives."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker.auth
import docker.errors
from airflow_ecs_executor.image_check.reference import DOCKER_HUB
from airflow_ecs_executor.image_check.registry import Credentials
from airflow_ecs_executor.image_check.remote import Images

from images import aws
from images.console import say


@dataclass(frozen=True)
class RegistryAuth:
    """A login that the docker client does not have by itself; ``registry`` is a host, with its port."""

    registry: str
    credentials: Credentials


def docker_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the docker client's configuration."""
    return Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def user_config(home: Path) -> dict[str, Any]:
    """Return the docker client's configuration; an empty one if the client could not read it."""
    try:
        found = json.loads((home / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def stored_credentials(registry: str) -> Credentials | None:
    """Return what `docker login` or a credential helper has for a registry, by its host; None if there is nothing."""
    name = docker.auth.INDEX_NAME if registry == DOCKER_HUB else registry
    config = user_config(docker_folder())
    try:
        logins = {key: login for key, login in (config.get("auths") or {}).items() if _host(key) == name}
        with warnings.catch_warnings():  # docker-py warns of a missing helper, and then raises an error
            warnings.simplefilter("ignore")
            found = docker.auth.load_config(config_dict={**config, "auths": logins}).resolve_authconfig(name) or {}
    except docker.errors.DockerException as error:
        say(f"note: the login to {registry} could not be read from docker's credential helper: {error}")
        return None
    except (ValueError, TypeError, AttributeError):
        say(f"note: the login to {registry} in docker's config.json is damaged: run `docker login {registry}` again")
        return None
    given = {str(name).lower(): str(value or "") for name, value in found.items()}
    credentials = Credentials(given.get("username", ""), given.get("password", ""), given.get("identitytoken", ""))
    return credentials if credentials.user or credentials.identity_token else None


def _host(key: str) -> str:
    return str(docker.auth.resolve_index_name(key))


def remote_images() -> Images:
    """Return what looks images up in registries, with AWS's credentials and those of the docker client."""
    return Images(lambda region: aws.client("ecr", region), stored_credentials)
