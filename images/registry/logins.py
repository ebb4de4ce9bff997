"""Who pushes: a login for a registry, as the engine's API takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_ecs_executor.image_check.credentials import Credentials, stored_credentials
from airflow_ecs_executor.image_check.reference import parse


@dataclass(frozen=True)
class Login:
    """``registry`` is a host, with its port; without credentials the engine pushes as nobody.

    ``stored``: docker itself has them as well.
    """

    registry: str
    credentials: Credentials = field(default_factory=Credentials)
    stored: bool = False

    @property
    def auth_config(self) -> Mapping[str, str]:
        """The engine's AuthConfig (docs.docker.com/reference/api/engine, authentication)."""
        found = self.credentials
        if found.identity_token:
            return {"identitytoken": found.identity_token}
        return {"username": found.user, "password": found.password} if found else {}


def stored_login(reference: str) -> Login:
    """What `docker login` or a credential helper has for an image's registry; without credentials if nothing.

    :raises ValueError: not an image's name.
    """
    registry = parse(reference).registry
    return Login(registry, stored_credentials(registry), stored=True)
