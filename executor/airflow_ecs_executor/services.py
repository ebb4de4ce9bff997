"""The services of AWS as one executor uses them, made of its settings. Nothing is called yet."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_ecs_executor.compatibility import Compatibility
from airflow_ecs_executor.config import Settings
from airflow_ecs_executor.connection import Connection
from airflow_ecs_executor.ecs import Ecs
from airflow_ecs_executor.image_check.comparison import Versions
from airflow_ecs_executor.image_check.remote import Images
from airflow_ecs_executor.workload_store import WorkloadStore

_FURTHER_CONNECTIONS = 12
"""To ECS, beside those of the launchers: for the tracker, and for adoption."""


@dataclass(frozen=True)
class Services:
    """``store`` is None if no place for workloads is configured."""

    ecs: Ecs
    store: WorkloadStore | None
    compatibility: Compatibility


def services_of(settings: Settings, versions: Versions, deployment: str) -> Services:
    """Make the services; images have to have ``versions``."""
    connection = Connection(settings.conn_id, settings.conn_id_named, settings.region_name)
    ecs = Ecs(lambda: connection.ecs(settings.launch_concurrency + _FURTHER_CONNECTIONS), settings.cluster)
    store = None
    if settings.workload_s3_uri:
        store = WorkloadStore(
            lambda: connection.client("s3", connections=settings.launch_concurrency),
            settings.workload_s3_uri,
            deployment,
            settings.workload_s3_kms_key,
        )
    compatibility = Compatibility(
        ecs,
        Images(lambda region: connection.client("ecr", region_name=region)),
        versions,
        container_name=settings.container_name,
        mode=settings.image_version_check,
    )
    return Services(ecs, store, compatibility)
