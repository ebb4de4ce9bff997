"""The executor class that Airflow's scheduler calls.

Only ``start``, ``try_adopt_task_instances``, ``end`` and ``terminate`` wait for anything, and no method that the
scheduler calls in its loop raises.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from typing import Any, Sequence

from airflow.exceptions import AirflowException
from airflow.executors.base_executor import BaseExecutor

from airflow_ecs_executor import airflow_compat
from airflow_ecs_executor.airflow_side import QueuedWorkload
from airflow_ecs_executor.checks.health import HealthCheckError
from airflow_ecs_executor.config.reader import read_settings
from airflow_ecs_executor.config.settings import Settings
from airflow_ecs_executor.config.source import ConfigurationError
from airflow_ecs_executor.launching.adoption import Orphan
from airflow_ecs_executor.launching.launch import EventKind
from airflow_ecs_executor.launching.policy import Policy
from airflow_ecs_executor.run import Run
from airflow_ecs_executor.task_log import TaskLog

log = logging.getLogger("airflow_ecs_executor")

_KEPT_LOGS = 1000


class AwsEcsExecutor(BaseExecutor):
    """Runs every Airflow task in an ECS task of its own."""

    supports_multi_team: bool = True
    supports_callbacks: bool = airflow_compat.CONTAINERS_RUN_CALLBACKS
    policy: Policy = Policy()
    """Limits and pauses for which there is no option."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Neither read the configuration nor call AWS: Airflow also makes executors in processes without scheduler."""
        super().__init__(*args, **kwargs)
        self._kept_logs: deque[Any] = deque(maxlen=_KEPT_LOGS)
        self._run: Run | None = None
        self._task_log = TaskLog(self._read_settings, airflow_compat)

    def _read_settings(self) -> Settings:
        return read_settings(airflow_compat.configuration_of(self), os.environ)

    # The scheduler's start and end

    def start(self) -> None:
        """Check the configuration and AWS. Raises AirflowException, which stops the scheduler's start."""
        try:
            settings = self._read_settings()
            for warning in settings.warnings:
                log.warning("%s", warning)
            run = Run(settings, airflow_compat, self, self.policy)
            run.check()
        except (ConfigurationError, HealthCheckError) as error:
            raise AirflowException(str(error)) from None
        self._run = run

    def end(self, heartbeat_interval: float = 1.0) -> None:
        """Wait for running tasks for a limited time, and launch nothing; the next scheduler adopts the rest."""
        if self._run is not None:
            self._run.end(heartbeat_interval)
            self._run = None

    def terminate(self) -> None:
        """Stop every container, and launch nothing."""
        if self._run is not None:
            self._run.terminate()
            self._run = None

    # Queueing

    if airflow_compat.HAS_WORKLOADS and not airflow_compat.INHERITS_QUEUE_WORKLOAD:

        def queue_workload(self, workload: Any, session: Any) -> None:
            """Airflow 3.0: queue a task."""
            self.queued_tasks[workload.ti.key] = workload

    def _process_workloads(self, workload_items: Sequence[Any]) -> None:
        """Airflow 3: accept the workloads that the base class has chosen to run."""
        for item in workload_items:
            workload = airflow_compat.queued_workload(item)
            self.queued_tasks.pop(workload.key, None)
            if hasattr(self, "queued_callbacks"):
                self.queued_callbacks.pop(workload.key, None)
            self._submit(workload)
            self.running.add(workload.key)

    def execute_async(
        self, key: Any, command: Any, queue: str | None = None, executor_config: Any | None = None
    ) -> None:
        """Airflow 2: accept a command. ``queue`` has no meaning here: every task has a container of its own."""
        self._submit(QueuedWorkload(key, command, executor_config))

    def _submit(self, workload: QueuedWorkload) -> None:
        if self._run is not None:
            self._run.submit(workload)

    def trigger_tasks(self, open_slots: int) -> None:
        """Also trigger tasks that are queued again while their former container is still ending.

        A deferred task or a rescheduled sensor returns with the same key. The base class of Airflow 2 and 3.0 waits
        ten seconds for the former run and then forgets the task, but ECS may take longer to stop a container. Here the
        new launch waits, in the ledger, until the former container is gone.
        """
        again = self.running.intersection(self.queued_tasks)
        self.running.difference_update(again)
        try:
            super().trigger_tasks(open_slots)
        except Exception:
            log.exception("Unexpected error in queueing tasks; the scheduler continues")

    def _process_tasks(self, task_tuples: Sequence[Any]) -> None:
        """Airflow 2: pass tasks on one by one, because the base class formats executor_config, which may raise."""
        for task_tuple in task_tuples:
            key = task_tuple[0]
            try:
                super()._process_tasks([task_tuple])
            except Exception as error:  # noqa: BLE001 - objects of any class may be in executor_config
                self.queued_tasks.pop(key, None)
                reason = f"The task could not be queued: {type(error).__name__}. Check its executor_config."
                self.log_task_event(event=EventKind.FAILED.value, extra=reason, ti_key=key)
                self.fail(key, reason)

    def revoke_task(self, *, ti: Any) -> None:
        """Forget a task that was queued for too long, and stop its container if there is one."""
        try:
            key = ti.key
            self.queued_tasks.pop(key, None)
            self.running.discard(key)
            if self._run is not None:
                self._run.revoke(key)
        except Exception:
            log.exception("Unexpected error while %s was revoked", ti)

    def change_state(self, key: Any, state: Any, info: Any = None, remove_running: bool = True) -> None:
        """Set a task's state. Airflow itself calls this too, for instance to fail a task that sends no heartbeats.

        If the run reports the state, it has ended the task already, and has nothing to let go of.
        """
        super().change_state(key, state, info, remove_running=remove_running)
        if remove_running and self._run is not None:
            try:
                self._run.let_go(key)
            except Exception:
                log.exception("Unexpected error: the container of %s is not stopped", key)

    # The heartbeat

    def sync(self) -> None:
        """Hand over queued tasks, and report to Airflow what has happened. Never waits, never raises."""
        if self._run is not None:
            self._run.sync()

    def log_task_event(self, *, event: str, extra: str, ti_key: Any) -> None:
        """Write to the task's event log, which Airflow's UI shows.

        The scheduler removes these records from their queue while it hands them to SQLAlchemy, which keeps only weak
        references. A record without another reference is collected before it is written (Airflow 3.3.2 then writes
        empty rows, which the database refuses). Therefore the latest records are kept here.
        """
        super().log_task_event(event=event, extra=extra, ti_key=ti_key)
        if self._task_event_logs:
            self._kept_logs.append(self._task_event_logs[-1])

    # The log in Airflow's UI

    def get_task_log(self, ti: Any, try_number: int) -> tuple[list[str], list[str]]:
        """Return messages about the log of a try's container, and the log itself. Never raises.

        Airflow's web server or API server calls this while the task runs, on an executor that was never started.
        """
        return self._task_log.of(ti, try_number)

    # Restart

    def try_adopt_task_instances(self, tis: Sequence[Any]) -> list[Any]:
        """Adopt tasks of a scheduler that is gone; return those that have to be queued again."""
        if self._run is None or not tis:
            return list(tis)
        airflow_compat.load_columns(tis)  # Airflow retries after an error of the database
        by_key = {ti.key: ti for ti in tis}
        orphans = [
            Orphan(
                key=key,
                arn=ti.external_executor_id,
                queued_at=ti.queued_dttm.timestamp() if ti.queued_dttm else None,
                was_queued=str(ti.state) == "queued",
            )
            for key, ti in by_key.items()
        ]
        again = self._run.adopt(orphans)
        self.running.update(key for key in by_key if key not in again and key not in self.queued_tasks)
        return [by_key[key] for key in again]
