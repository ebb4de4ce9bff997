"""An image's configuration from a registry that speaks the OCI distribution API.

github.com/opencontainers/distribution-spec: spec.md; for logins, distribution.github.io/distribution/spec/auth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping
from urllib.parse import urlsplit

from airflow_ecs_executor.image_check.errors import NoSuchImageError, RegistryError
from airflow_ecs_executor.image_check.http import LOOPBACK, Answer, Http
from airflow_ecs_executor.image_check.manifest import INDEXES, MANIFESTS, document_in
from airflow_ecs_executor.image_check.reference import DOCKER_HUB, ImageReference

_ACCEPT = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_KNOWN_REALMS: Mapping[str, Mapping[str, str]] = {
    DOCKER_HUB: {"realm": "https://auth.docker.io/token", "service": "registry.docker.io"},
    "ghcr.io": {"realm": "https://ghcr.io/token", "service": "ghcr.io"},
    "public.ecr.aws": {"realm": "https://public.ecr.aws/token/", "service": "public.ecr.aws"},
}
"""What these registries answer to a request without a token: knowing it saves that request."""


@dataclass(frozen=True)
class Credentials:
    """The login to one registry: user and password, or an identity token."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


class Registry:
    """One registry, for the requests of one look-up."""

    def __init__(
        self, http: Http, reference: ImageReference, credentials: Callable[[str], Credentials | None] | None
    ) -> None:
        """``credentials`` finds the login to a registry by its host; None if every request is to be anonymous."""
        self._http = http
        self._reference = reference
        self._find_credentials = credentials
        self._credentials: Credentials | None = None
        self._login: dict[str, Any] = {}
        """The parameters of every request, once they are known."""
        self._asked = False

    def manifest(self, version: str) -> bytes:
        """A manifest or an index, by tag or digest. Raises RegistryError."""
        return self._get(f"manifests/{version}")

    def blob(self, digest: str) -> bytes:
        """A blob. Raises RegistryError."""
        return self._get(f"blobs/{digest}")

    def _get(self, path: str) -> bytes:
        first, self._asked = not self._asked, True
        known = _KNOWN_REALMS.get(self._reference.registry)
        if first and known:
            self._log_in_by_token(known)
        scheme = "http" if LOOPBACK.fullmatch(self._reference.registry) else "https"
        url = f"{scheme}://{self._reference.registry}/v2/{self._reference.repository}/{path}"
        answer = self._http.request("GET", url, headers=_ACCEPT, **self._login)
        if answer.status == 401 and first:
            self._log_in(answer)
            answer = self._http.request("GET", url, headers=_ACCEPT, **self._login)
        if answer.status != 200:
            raise self._error(answer, path)
        return answer.body

    # Logins

    def _log_in(self, refused: Answer) -> None:
        challenge = refused.headers.get("WWW-Authenticate", "")
        scheme = challenge.partition(" ")[0].lower()
        if scheme == "bearer":
            self._log_in_by_token(dict(_PARAMETER.findall(challenge)))
        elif scheme == "basic":
            found = self._stored_credentials()
            if found is None or not found.user:
                raise self._denied()
            self._login = {"user": (found.user, found.password)}
        else:
            raise RegistryError(f"{self._reference.registry} requires a login of an unknown kind: {scheme!r}")

    def _log_in_by_token(self, challenge: Mapping[str, str]) -> None:
        realm = challenge.get("realm", "")
        if urlsplit(realm).scheme != "https" and not LOOPBACK.fullmatch(urlsplit(realm).netloc):
            raise RegistryError(f"{self._reference.registry} requires a login at {realm!r}, which does not use HTTPS")
        found = self._stored_credentials()
        wanted = {
            "service": challenge.get("service", ""),
            "scope": f"repository:{self._reference.repository}:pull",
        }
        if found is not None and found.identity_token:
            form = {**wanted, "grant_type": "refresh_token", "client_id": "airflow-ecs-executor"}
            form["refresh_token"] = found.identity_token
            answer = self._http.request("POST", realm, data=form)
        else:
            user = (found.user, found.password) if found is not None and found.user else None
            answer = self._http.request("GET", realm, params=wanted, user=user)
        if answer.status in (400, 401, 403):
            raise self._denied(answer.body)
        if answer.status != 200:
            raise self._error(answer, "token")
        document = document_in(answer.body, "", "a token")
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str):
            raise RegistryError(f"{urlsplit(realm).netloc} returned no token")
        self._login = {"authorization": f"Bearer {token}"}

    def _stored_credentials(self) -> Credentials | None:
        if self._find_credentials is not None:
            self._credentials = self._find_credentials(self._reference.registry)
        return self._credentials

    # What went wrong

    def _denied(self, said: bytes = b"") -> RegistryError:
        registry = self._reference.registry
        host = "" if registry == DOCKER_HUB else f" {registry}"
        name = f"{registry}/{self._reference.repository}"
        if self._credentials and b"expired" in said:
            return RegistryError(
                f"the login to {registry} has expired: `docker login{host}` again, or, if the image is public, `docker "
                f"logout{host}`"
            )
        if self._credentials:
            return RegistryError(
                f"the user that is logged in here may not read {name}: `docker login{host}` as another user"
            )
        if self._find_credentials is None:
            return RegistryError(
                f"{name} does not exist or is private, and the executor logs in to Amazon ECR only: check a private "
                "image with `python build.py check`, or copy it to Amazon ECR"
            )
        return RegistryError(f"{name} does not exist or is private: `docker login{host}` as the user that runs this")

    def _error(self, answer: Answer, path: str) -> RegistryError:
        registry, status = self._reference.registry, answer.status
        if status in (401, 403):
            return self._denied(answer.body)
        if status == 404:
            version = self._reference.version
            name = f"{self._reference.repository}{'@' if self._reference.digest else ':'}{version}"
            return NoSuchImageError(f"{registry} has no image {name}: push it, or correct the name")
        if status == 429:
            return RegistryError(
                f"{registry} has received too many requests from here (429): log in, or try again later"
            )
        said = f"(HTTP status {status} for {path.partition('/')[0]})"
        if status >= 500 or status == 408:
            return RegistryError(f"{registry} has a server error {said}: try again later")
        return RegistryError(f"{registry} does not answer like a registry {said}: check its name")
