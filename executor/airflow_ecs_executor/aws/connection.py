"""AWS clients: from an Airflow connection if the Amazon provider is installed, else from boto3's credential chain."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Any, Callable

_CONNECT_TIMEOUT = 5
_READ_TIMEOUT = 10
_ATTEMPTS = 2
"""Timeouts in seconds, and attempts in total: the caller tries again later."""
_ECS_READ_TIMEOUT = 30
"""Seconds. A call that takes longer counts as unanswered, and is sent again with the same client token."""


class ConnectionNotUsableError(Exception):
    """A user named an Airflow connection, and nothing installed can resolve it."""


def region_of(flag: str | None) -> str | None:
    """Return the region of a flag, else AWS_REGION, which boto3 does not read; None leaves it to boto3."""
    return flag or os.environ.get("AWS_REGION") or None


@dataclass(frozen=True)
class Connection:
    """How to reach AWS: by an Airflow connection, or, if ``conn_id`` is None, with the credentials that boto3 finds."""

    conn_id: str | None
    conn_id_named: bool
    """Whether a user, rather than a default, named the connection."""
    region_name: str | None
    """None if the connection or boto3's configuration decides."""

    def client(self, service: str, *, region_name: str | None = None, connections: int = 10, config: Any = None) -> Any:
        """Create a client of a service; a botocore ``config`` overrides what is set here.

        Raises ConnectionNotUsableError, and what botocore and Airflow raise.
        """
        from botocore.config import Config

        own = Config(
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=_READ_TIMEOUT,
            retries={"total_max_attempts": _ATTEMPTS},
            max_pool_connections=connections,
            tcp_keepalive=True,
        )
        if config is not None:
            own = own.merge(config)
        region = region_name or self.region_name
        if self.conn_id is not None:
            try:
                from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
            except ImportError:
                if self.conn_id_named:
                    raise ConnectionNotUsableError(
                        f"The AWS connection {self.conn_id!r} requires the Amazon provider, which is not installed. "
                        "Install it (pip install apache-airflow-providers-amazon), or use boto3's credential chain: "
                        "set [aws_ecs_executor] aws_conn_id to an empty value."
                    ) from None
            else:
                hook = AwsBaseHook(aws_conn_id=self.conn_id, region_name=region, client_type=service)
                return hook.get_client_type(config=hook.config.merge(own))
        import boto3

        return boto3.session.Session(region_name=region).client(service, config=own)

    def ecs(self, connections: int) -> Any:
        """Create a client of ECS that does not retry: only the executor knows which requests may be sent again."""
        from botocore.config import Config

        config = Config(read_timeout=_ECS_READ_TIMEOUT, retries={"total_max_attempts": 1})
        return self.client("ecs", connections=connections, config=config)


class ProcessClient:
    """A client that is created on first use. Thread-safe."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        """Create no client yet. ``connect`` creates a boto3 client."""
        self._connect = connect
        self._lock = threading.Lock()
        self._client: Any = None
        self._pid = 0

    def get(self) -> Any:
        """Return the client of this process. A forked process gets its own, since connections cannot be shared."""
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client = self._connect()
                self._pid = os.getpid()
            return self._client

    def renew(self) -> None:
        """Create a new client on next use, because the credentials of this one have expired."""
        with self._lock:
            self._client = None
