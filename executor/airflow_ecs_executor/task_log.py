"""The log of a task's container, for Airflow's web server (Airflow 2) or API server (Airflow 3)."""

from __future__ import annotations

import logging
from typing import Any, Callable

from airflow_ecs_executor.airflow_side import AirflowSide
from airflow_ecs_executor.aws import container_logs
from airflow_ecs_executor.aws.task_definition import describable
from airflow_ecs_executor.config.settings import Settings
from airflow_ecs_executor.config.source import ConfigurationError
from airflow_ecs_executor.launching.request import task_definition_of
from airflow_ecs_executor.services import view_logs_of

log = logging.getLogger("airflow_ecs_executor")


class TaskLog:
    """The logs of all tasks of one executor; the settings are read for the first request."""

    def __init__(self, settings: Callable[[], Settings], airflow: AirflowSide) -> None:
        """Read nothing yet. ``settings`` may raise ConfigurationError."""
        self._read_settings = settings
        self._airflow = airflow
        self._settings: Settings | None = None
        self._logs: container_logs.ContainerLogs | None = None

    def of(self, ti: Any, try_number: int) -> tuple[list[str], list[str]]:
        """Return messages about the log of a try's container, and the log itself. Never raises.

        There is always a message: without one, Airflow requests the log from a server in the container, which it
        cannot reach.
        """
        try:
            settings, logs = self._ready()
            definition = task_definition_of(ti.executor_config) or str(settings.run_task["taskDefinition"])
            return logs.shown(
                self._airflow.external_executor_id(ti, try_number),
                describable(definition),
                container_logs.structured if self._airflow.HAS_WORKLOADS else container_logs.plain,
            )
        except ConfigurationError as error:
            return [f"No container log: {problem}" for problem in error.problems], []
        except Exception as error:
            log.exception("Cannot show the container's log of %s", ti)
            return [f"No container log: {type(error).__name__}. The log of this process has the details."], []

    def _ready(self) -> tuple[Settings, container_logs.ContainerLogs]:
        if self._settings is None or self._logs is None:
            self._settings = self._read_settings()
            self._logs = view_logs_of(self._settings)
        return self._settings, self._logs
