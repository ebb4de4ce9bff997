"""Logins to registries: what `docker login` has stored, and what AWS gives."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

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


def stored_credentials(registry: str) -> Credentials | None:
    """Return what `docker login` or a credential helper has for a registry, by its host; None if there is nothing."""
    name = docker.auth.INDEX_NAME if registry == DOCKER_HUB else registry
    try:
        with warnings.catch_warnings():  # docker-py warns of a missing helper, and then raises an error
            warnings.simplefilter("ignore")
            found = docker.auth.load_config().resolve_authconfig(name) or {}
    except (docker.errors.DockerException, OSError, ValueError, TypeError, AttributeError) as error:
        say(f"note: the login to {registry} in docker's config.json could not be read: {error}")
        return None
    given = {str(name).lower(): str(value or "") for name, value in found.items()}
    credentials = Credentials(given.get("username", ""), given.get("password", ""), given.get("identitytoken", ""))
    return credentials if credentials.user or credentials.identity_token else None


def remote_images() -> Images:
    """Return what looks images up in registries, with AWS's credentials and those of the docker client."""
    return Images(lambda region: aws.client("ecr", region), stored_credentials)
