"""The HTTP requests of a look-up, which are limited in time and size, and send only the given credentials."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping
from urllib.parse import urlsplit

import requests

from airflow_ecs_executor.image_check.errors import RegistryError

_CONNECT_TIMEOUT = 3.0
_READ_TIMEOUT = 5.0
"""Maximum seconds; a request never takes longer than the rest of the look-up's time."""
_MAX_BYTES = 4 * 1024 * 1024
"""Maximum size of an answer; registries need not accept larger manifests (OCI distribution specification)."""
_LEAST = 0.05
LOOPBACK = re.compile(r"(localhost|127(\.[0-9]+){3}|\[::1\])(:[0-9]+)?")
"""Hosts, with or without ports, that are this machine."""
_CONNECTION = re.compile(r"(?:<.*?>|\w+\(host=.*?\)): ")
"""The connection at the beginning of urllib3's messages."""


@dataclass(frozen=True)
class Answer:
    """Status, headers (names in any case) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """The requests of one look-up."""

    def __init__(self, timeout: float) -> None:
        """Open no connection yet. ``timeout``: seconds for all requests together."""
        self._session = requests.Session()
        self._deadline = time.monotonic() + timeout

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        authorization: str = "",
        user: tuple[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        """Send a request, follow redirections, and read the whole answer. Raises RegistryError.

        Redirections to another host are sent without ``authorization`` and ``user`` (a name and a password).
        """
        parts = urlsplit(url)
        host = parts.netloc
        left = max(_LEAST, self._deadline - time.monotonic())
        timeouts = (min(_CONNECT_TIMEOUT, left), min(_READ_TIMEOUT, left))
        auth: Any = user or _exactly(authorization)
        if LOOPBACK.fullmatch(host):  # as Docker does: no proxy, even if NO_PROXY lacks this machine
            more["proxies"] = {f"{parts.scheme}://{parts.hostname}": ""}
        try:
            with self._session.request(method, url, auth=auth, timeout=timeouts, stream=True, **more) as response:
                return Answer(response.status_code, response.headers, self._body(response))
        except requests.exceptions.SSLError as error:
            raise RegistryError(
                f"{host} cannot be trusted ({_cause(error)}): if your company issued its certificate, name the CA in "
                "REQUESTS_CA_BUNDLE"
            ) from None
        except requests.RequestException as error:
            raise RegistryError(
                f"{host} does not answer ({_cause(error)}): check its name, and the network route to it (proxy, NAT "
                "gateway, VPC endpoints)"
            ) from None

    def _body(self, response: requests.Response) -> bytes:
        parts, size = [], 0
        for part in response.iter_content(65536):
            parts.append(part)
            size += len(part)
            if size > _MAX_BYTES:
                raise RegistryError(
                    f"the answer of {urlsplit(response.url).netloc} is larger than {_MAX_BYTES:,} bytes"
                )
            if time.monotonic() > self._deadline:
                raise requests.Timeout("it sends too slowly")
        return b"".join(parts)


def _exactly(authorization: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Keep requests from sending the credentials that ~/.netrc has for the host."""

    def prepare(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if authorization:
            request.headers["Authorization"] = authorization
        return request

    return prepare


def _cause(error: BaseException) -> str:
    """Return the innermost reason of an error in a few words."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None) or (reason.args[0] if reason.args else None)
        if not isinstance(inner, BaseException):
            break
        reason = inner
    words = _CONNECTION.sub("", str(inner if isinstance(inner, str) else reason)) or type(reason).__name__
    return words if len(words) <= 120 else type(reason).__name__
