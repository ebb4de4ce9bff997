"""Clients of AWS: by the Airflow connection if the Amazon provider is installed, else by boto3's own chain."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Any, Callable

_CONNECT_TIMEOUT = 5
_READ_TIMEOUT = 10
_ATTEMPTS = 2
"""Seconds, and calls in all: who asked tries again later, when others have had their turn."""
_ECS_READ_TIMEOUT = 30
"""Seconds. A call that takes longer counts as unanswered, and goes out again with the same client token."""


class ConnectionNotUsableError(Exception):
    """An Airflow connection was named, and nothing here can resolve it."""


def region_of(flag: str | None) -> str | None:
    """The region that a flag names, else AWS_REGION, which the AWS CLI reads and boto3 does not; None: boto3's own."""
    return flag or os.environ.get("AWS_REGION") or None


@dataclass(frozen=True)
class Connection:
    """How to reach AWS.

    ``conn_id`` is None if boto3 is to find the credentials itself; ``conn_id_named`` tells whether a user, rather than
    a default, named the connection; without ``region_name``, the connection or boto3's own configuration decides.
    """

    conn_id: str | None
    conn_id_named: bool
    region_name: str | None

    def client(self, service: str, *, region_name: str | None = None, connections: int = 10, config: Any = None) -> Any:
        """Make a client of a service, with a pool of ``connections`` connections.

        ``region_name`` is that of the service, if it may be another than the connection's; ``config`` (botocore's)
        beats what is set here. Raises ConnectionNotUsableError when the user named a connection and the Amazon provider
        is not installed, and what boto3 and Airflow raise.
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
                        f"The AWS connection {self.conn_id!r} was named, and the Amazon provider, which resolves it, "
                        "is not installed. Install it (pip install apache-airflow-providers-amazon), or use boto3's "
                        "own credential chain: set AIRFLOW__AWS_ECS_EXECUTOR__AWS_CONN_ID to an empty value."
                    ) from None
            else:
                hook = AwsBaseHook(aws_conn_id=self.conn_id, region_name=region, client_type=service)
                return hook.get_client_type(config=hook.config.merge(own))
        import boto3

        return boto3.session.Session(region_name=region).client(service, config=own)

    def ecs(self, connections: int) -> Any:
        """A client of ECS that does not retry: only the executor knows which requests may go out again."""
        from botocore.config import Config

        config = Config(read_timeout=_ECS_READ_TIMEOUT, retries={"total_max_attempts": 1})
        return self.client("ecs", connections=connections, config=config)


class ProcessClient:
    """A client that is made when it is first asked for. May be used by any thread."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        """``connect`` makes a boto3 client."""
        self._connect = connect
        self._lock = threading.Lock()
        self._client: Any = None
        self._pid = 0

    def get(self) -> Any:
        """Return this process's client. A forked child gets one of its own: connections cannot be shared."""
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client = self._connect()
                self._pid = os.getpid()
            return self._client

    def renew(self) -> None:
        """Make the client anew when it is next asked for: the credentials of this one have expired."""
        with self._lock:
            self._client = None
