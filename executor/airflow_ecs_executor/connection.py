"""The boto3 client of ECS: by the Airflow connection if the Amazon provider is installed, else by boto3's own chain."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger("airflow_ecs_executor")

_CONNECT_TIMEOUT = 5
_READ_TIMEOUT = 30
"""Seconds. A call that takes longer counts as unanswered, and goes out again with the same client token."""


class ConnectionNotUsableError(Exception):
    """An Airflow connection was named, and nothing here can resolve it."""


def connect(conn_id: str | None, conn_id_named: bool, region_name: str | None, connections: int) -> Any:
    """Make a client of ECS that does not retry, with a pool of ``connections`` connections.

    ``conn_id`` None means boto3's own chain of credentials. Raises ConnectionNotUsableError when the user named a
    connection and the Amazon provider is not installed, and what boto3 and Airflow raise.
    """
    from botocore.config import Config

    config = Config(
        retries={"total_max_attempts": 1},
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        max_pool_connections=connections,
        tcp_keepalive=True,
    )
    if conn_id is not None:
        try:
            from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
        except ImportError:
            if conn_id_named:
                raise ConnectionNotUsableError(
                    f"The AWS connection {conn_id!r} was named, and the Amazon provider, which resolves it, is not "
                    "installed. Install it (pip install apache-airflow-providers-amazon), or use boto3's own "
                    "credential chain: set AIRFLOW__AWS_ECS_EXECUTOR__AWS_CONN_ID to an empty value."
                ) from None
        else:
            hook = AwsBaseHook(aws_conn_id=conn_id, region_name=region_name, client_type="ecs")
            return hook.get_client_type(config=hook.config.merge(config))
    import boto3

    return boto3.session.Session(region_name=region_name).client("ecs", config=config)
