"""The services of AWS as one executor uses them, made of its settings. Nothing is called yet."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_ecs_executor.aws.connection import Connection
from airflow_ecs_executor.aws.container_logs import ContainerLogs
from airflow_ecs_executor.aws.ecs import Ecs
from airflow_ecs_executor.aws.workload_store import WorkloadStore
from airflow_ecs_executor.checks.images import ImageChecks
from airflow_ecs_executor.config.settings import Settings
from airflow_ecs_executor.image_check.comparison import Versions
from airflow_ecs_executor.image_check.remote import Images

_FURTHER_CONNECTIONS = 12
"""To ECS, beside those of the launchers: for the poller, and for adoption."""
_VIEW_ATTEMPTS = 2
_VIEW_CONNECT_TIMEOUT = 2
_VIEW_READ_TIMEOUT = 3
"""Seconds. Of a call for somebody who looks at a log."""


@dataclass(frozen=True)
class Services:
    """``store`` is None if no place for workloads is configured."""

    ecs: Ecs
    logs: ContainerLogs
    store: WorkloadStore | None
    image_checks: ImageChecks

    def renew(self) -> None:
        """Make all clients anew with their next calls: the credentials of these have expired."""
        self.ecs.renew()
        self.logs.renew()
        if self.store is not None:
            self.store.renew()


def services_of(settings: Settings, versions: Versions, deployment: str) -> Services:
    """Make the services; images have to have ``versions``."""
    connection = _connection_of(settings)
    ecs = Ecs(lambda: connection.ecs(settings.launch_concurrency + _FURTHER_CONNECTIONS), settings.cluster)
    logs = ContainerLogs(ecs, lambda region: connection.client("logs", region_name=region), settings.container_name)
    store = None
    if settings.workload_s3_uri:
        store = WorkloadStore(
            lambda: connection.client("s3", connections=settings.launch_concurrency),
            settings.workload_s3_uri,
            deployment,
            settings.workload_s3_kms_key,
        )
    image_checks = ImageChecks(
        ecs,
        Images(lambda region: connection.client("ecr", region_name=region)),
        versions,
        container_name=settings.container_name,
        mode=settings.image_version_check,
        team=settings.team,
    )
    return Services(ecs, logs, store, image_checks)


def view_logs_of(settings: Settings) -> ContainerLogs:
    """The containers' logs for a process in which somebody waits for them."""
    from botocore.config import Config

    connection = _connection_of(settings)
    config = Config(
        retries={"total_max_attempts": _VIEW_ATTEMPTS},
        connect_timeout=_VIEW_CONNECT_TIMEOUT,
        read_timeout=_VIEW_READ_TIMEOUT,
    )
    ecs = Ecs(lambda: connection.client("ecs", config=config), settings.cluster)
    return ContainerLogs(
        ecs, lambda region: connection.client("logs", region_name=region, config=config), settings.container_name
    )


def _connection_of(settings: Settings) -> Connection:
    return Connection(settings.conn_id, settings.conn_id_named, settings.region_name)
