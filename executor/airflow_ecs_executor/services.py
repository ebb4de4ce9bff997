"""The AWS services as one executor uses them, made from its settings. No calls are made yet."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_ecs_executor.aws.connection import Connection
from airflow_ecs_executor.aws.container_logs import ContainerLogs
from airflow_ecs_executor.aws.ecs import Ecs
from airflow_ecs_executor.aws.identity import Deployment, name_of_deployment
from airflow_ecs_executor.aws.workload_store import WorkloadStore
from airflow_ecs_executor.checks.images import ImageChecks
from airflow_ecs_executor.config.settings import Settings
from airflow_ecs_executor.image_check.comparison import Versions
from airflow_ecs_executor.image_check.remote import Images

_FURTHER_CONNECTIONS = 12
"""Connections to ECS beside those of the launcher threads: for the poller thread and for adoption."""
_VIEW_ATTEMPTS = 2
_VIEW_CONNECT_TIMEOUT = 2
_VIEW_READ_TIMEOUT = 3
"""Limits, in seconds, of a call while somebody waits for a log in the UI."""


def deployment_of(settings: Settings, database_place: str) -> Deployment:
    """Return the deployment that the settings name, or else the one of Airflow's metadata database."""
    name = settings.deployment or name_of_deployment(database_place)
    return Deployment(name, str(settings.run_task.get("startedBy") or name), settings.container_name)


@dataclass(frozen=True)
class Services:
    """The services. ``store`` is None if no place for workloads is configured."""

    ecs: Ecs
    logs: ContainerLogs
    store: WorkloadStore | None
    image_checks: ImageChecks

    def renew(self) -> None:
        """Make new clients for the next calls: the credentials of the present ones have expired."""
        self.ecs.renew()
        self.logs.renew()
        if self.store is not None:
            self.store.renew()


def services_of(settings: Settings, versions: Versions, deployment: Deployment) -> Services:
    """Make the services; images are required to have ``versions``."""
    connection = _connection_of(settings)
    ecs = Ecs(lambda: connection.ecs(settings.launch_concurrency + _FURTHER_CONNECTIONS), settings.cluster)
    logs = ContainerLogs(ecs, lambda region: connection.client("logs", region_name=region), deployment.container_name)
    store = None
    if settings.workload_s3_uri:
        store = WorkloadStore(
            lambda: connection.client("s3", connections=settings.launch_concurrency),
            settings.workload_s3_uri,
            deployment.name,
            settings.workload_s3_kms_key,
        )
    image_checks = ImageChecks(
        ecs,
        Images(lambda region: connection.client("ecr", region_name=region)),
        versions,
        container_name=deployment.container_name,
        mode=settings.image_version_check,
        team=settings.team,
    )
    return Services(ecs, logs, store, image_checks)


def view_logs_of(settings: Settings) -> ContainerLogs:
    """Return the containers' logs for a process in which somebody waits for them."""
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
