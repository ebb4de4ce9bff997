"""Clients of the AWS services that tasks use, created on first use."""

from __future__ import annotations

import threading
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local.ecs.runner import BLOCKING_CALLS


def in_words(error: Exception) -> str:
    """Return an AWS error as ECS words it: ``ResourceNotFoundException: The specified log group …``."""
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        return f"{answer.get('Code', 'Unknown')}: {answer.get('Message', '')}"
    return str(error)


class Aws:
    """AWS services at one endpoint, or at the default ones. Any thread may use the clients."""

    def __init__(self, region: str, endpoint: str | None = None) -> None:
        """Nothing is made yet."""
        self.region = region
        self._endpoint = endpoint
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str) -> Any:
        """Return the client of a service."""
        with self._lock:  # boto3's default session is not made for threads
            found = self._clients.get(service)
            if found is None:
                config = Config(max_pool_connections=BLOCKING_CALLS, proxies={}, s3={"addressing_style": "path"})
                found = self._clients[service] = boto3.client(
                    service, region_name=self.region, endpoint_url=self._endpoint, config=config
                )
            return found
