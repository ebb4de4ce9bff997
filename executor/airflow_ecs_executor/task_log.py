"""The log of a task's container, as Airflow's webserver or API server asks an executor for it."""

from __future__ import annotations

import logging
from typing import Any, Callable

from airflow_ecs_executor.airflow_side import AirflowSide
from airflow_ecs_executor.aws import container_logs
from airflow_ecs_executor.aws.task_definition import describable
from airflow_ecs_executor.config.problems import ConfigurationError
from airflow_ecs_executor.config.settings import Settings
from airflow_ecs_executor.launching.request import task_definition_of
from airflow_ecs_executor.services import view_logs_of

log = logging.getLogger("airflow_ecs_executor")


class TaskLog:
    """Answers for all tasks of one executor; the settings are read with the first question."""

    def __init__(self, settings: Callable[[], Settings], airflow: AirflowSide) -> None:
        """``settings`` may raise ConfigurationError."""
        self._read_settings = settings
        self._airflow = airflow
        self._settings: Settings | None = None
        self._logs: container_logs.ContainerLogs | None = None

    def of(self, ti: Any, try_number: int) -> tuple[list[str], list[str]]:
        """Return messages about the log of a try's container, and its text. Never raises.

        The messages are never empty: without any, Airflow looks for a log server in the container, which nobody can
        reach.
        """
        try:
            settings, logs = self._ready()
            definition = task_definition_of(ti.executor_config) or str(settings.run_task["taskDefinition"])
            return logs.shown(
                self._airflow.external_executor_id(ti, try_number),
                describable(definition),
                container_logs.structured if self._airflow.READS_STRUCTURED_LOGS else container_logs.plain,
            )
        except ConfigurationError as error:
            return [f"No container log: {problem}" for problem in error.problems], []
        except Exception as error:
            log.exception("Cannot show the container's log of %s", ti)
            return [f"No container log: {type(error).__name__}; the log of this process has the details."], []

    def _ready(self) -> tuple[Settings, container_logs.ContainerLogs]:
        if self._settings is None or self._logs is None:
            self._settings = self._read_settings()
            self._logs = view_logs_of(self._settings)
        return self._settings, self._logs
