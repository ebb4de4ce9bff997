"""The executor as Airflow's scheduler sees it: it hands over what is queued, and hears what has happened.

No method but ``start``, ``try_adopt_task_instances``, ``end`` and ``terminate`` waits for anything; no method that the
scheduler calls in its loop raises.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from dataclasses import asdict
from typing import Any, Mapping, Sequence

from airflow.exceptions import AirflowException
from airflow.executors.base_executor import BaseExecutor

from airflow_ecs_executor import airflow_versions, health
from airflow_ecs_executor.adoption import Orphan, adopt
from airflow_ecs_executor.compatibility import MisfitError
from airflow_ecs_executor.config import ConfigurationError, Settings, read_settings
from airflow_ecs_executor.crew import Airflow, Crew
from airflow_ecs_executor.ecs import is_task_arn
from airflow_ecs_executor.failures import classify
from airflow_ecs_executor.identity import deployment_of
from airflow_ecs_executor.ledger import Event, Ledger, Policy
from airflow_ecs_executor.options import OFF
from airflow_ecs_executor.request_builder import RequestBuilder
from airflow_ecs_executor.services import services_of
from airflow_ecs_executor.task_log import TaskLog

log = logging.getLogger("airflow_ecs_executor")

_SYNC_BUDGET = 0.02
"""Seconds that one heartbeat spends on events; the rest waits for the next one."""
_KEPT_LOGS = 1000
_SLICE = 200
"""Queued tasks that are handed over at once; the time is looked at after each slice."""
_TERMINATE_TIMEOUT = 30.0
_LEAVE_TIMEOUT = 5.0
_METRICS = "airflow_ecs_executor"
_EVENT_NAMES = {
    "failed": "ecs task failed",
    "note": "ecs task attempt failed",
    "remark": "ecs container reason",
    "log": "ecs container log",
}


class AwsEcsExecutor(BaseExecutor):
    """Runs every Airflow task in an ECS task of its own."""

    supports_multi_team: bool = True
    supports_callbacks: bool = airflow_versions.CONTAINERS_RUN_CALLBACKS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Neither read the configuration nor call AWS: Airflow makes executors in processes that schedule nothing."""
        super().__init__(*args, **kwargs)
        self._arrivals: deque[tuple[Any, Any, Any]] = deque()
        self._kept_logs: deque[Any] = deque(maxlen=_KEPT_LOGS)
        self._settings: Settings | None = None
        self._crew: Crew | None = None
        self._stats: Any = None
        self._counted: dict[str, int] = {}
        self._task_log: TaskLog | None = None

    # The scheduler's start and end

    def start(self) -> None:
        """Check the configuration and AWS. Raises AirflowException, which keeps the scheduler from starting."""
        try:
            settings = read_settings(airflow_versions.configuration_of(self), os.environ)
        except ConfigurationError as error:
            raise AirflowException(str(error)) from None
        for warning in settings.warnings:
            log.warning("%s", warning)
        self.set_up(settings)
        try:
            if settings.check_health_on_startup:
                health.check(self._services.ecs, settings, self._services.store)
            self._check_images(settings)
        except health.HealthCheckError as error:
            self._crew = None
            raise AirflowException(str(error)) from None

    def _check_images(self, settings: Settings) -> None:
        """Check the image of the configured task definition, and the environment that the definition gives it."""
        name = settings.run_task["taskDefinition"]
        compatibility = self._services.compatibility
        try:
            name = compatibility.settle(name)
        except MisfitError as misfit:
            raise health.HealthCheckError([str(misfit)]) from None
        except Exception as exception:
            log.warning("The image of %s was not checked: %s", name, classify(exception).reason)
            return
        checked = compatibility.checked(name)
        if checked is None or settings.image_version_check == OFF:
            return
        try:
            facts = checked.report.facts
            for warning in airflow_versions.environment_warnings(checked.definition, facts, settings.environment):
                log.warning("Task definition %s: %s", name, warning)
        except Exception:  # what only warns must not keep a scheduler from starting
            log.exception("The environment of %s was not checked", name)

    def set_up(self, settings: Settings) -> None:
        """Make the ledger and the crew; no thread starts before there is work."""
        self._settings = settings
        self._deployment = settings.deployment or deployment_of(airflow_versions.database_place())
        self._started_by = str(settings.run_task.get("startedBy") or self._deployment)
        self._stats = airflow_versions.stats()
        policy = Policy(
            max_attempts=settings.max_run_task_attempts,
            relaunch_after_spot=settings.spot_interruptions == "relaunch",
            max_spot_relaunches=settings.max_spot_relaunches,
            missing_grace=settings.missing_grace_period,
            poll_interval=settings.poll_interval,
        )
        services = self._services = services_of(settings, airflow_versions.versions(), self._deployment)
        requests = RequestBuilder(
            settings,
            services,
            deployment=self._deployment,
            started_by=self._started_by,
            generator=lambda: getattr(self, "jwt_generator", None),
        )
        self._ledger = Ledger(policy)
        self._crew = Crew(
            self._ledger,
            services,
            Airflow(
                build=requests.build,
                back_to_queued=airflow_versions.back_to_queued,
                discard=requests.discard,
                redact=airflow_versions.redact,
            ),
            container_name=settings.container_name,
            deployment=self._deployment,
            started_by=self._started_by,
            launch_rate=settings.run_task_rate,
            launch_burst=settings.run_task_burst,
            describe_rate=settings.describe_tasks_rate,
            concurrency=settings.launch_concurrency,
            log_lines=settings.container_log_lines,
        )

    def end(self, heartbeat_interval: float = 1.0) -> None:
        """Wait until what runs has ended, and launch nothing; what is pending stays queued for the next scheduler."""
        crew = self._crew
        if crew is None:
            return
        try:
            with self._ledger.lock:
                self._ledger.close()
            said = 0.0
            while self._ledger.running or self._ledger.in_flight:
                if time.monotonic() - said > 60:
                    said = time.monotonic()
                    log.info("Waiting for %d ECS tasks to end", self._ledger.running)
                self._sync()
                time.sleep(heartbeat_interval)
            self._sync()
        except Exception:
            log.exception("The ECS executor did not end in order")
        self._leave(crew)

    def terminate(self) -> None:
        """Stop every container, and launch nothing."""
        crew = self._crew
        if crew is None:
            return
        try:
            crew.ensure_running()
            with self._ledger.lock:
                self._ledger.stop_all("The Airflow scheduler was terminated", time.monotonic())
            deadline = time.monotonic() + _TERMINATE_TIMEOUT
            while (self._ledger.stops_outstanding or self._ledger.in_flight) and time.monotonic() < deadline:
                time.sleep(0.05)
            left = self._ledger.stops_outstanding
            if left:
                log.error("%d ECS tasks could not be stopped within %d s", left, _TERMINATE_TIMEOUT)
        except Exception:
            log.exception("The ECS executor did not terminate in order")
        self._leave(crew)

    def _leave(self, crew: Crew) -> None:
        deadline = time.monotonic() + _LEAVE_TIMEOUT
        while self._ledger.discards_outstanding and time.monotonic() < deadline:
            time.sleep(0.05)
        crew.leave(_LEAVE_TIMEOUT)
        self._crew = None

    # Queueing

    if airflow_versions.HAS_WORKLOADS and not airflow_versions.INHERITS_QUEUE_WORKLOAD:

        def queue_workload(self, workload: Any, session: Any) -> None:
            """Airflow 3.0: queue a task."""
            self.queued_tasks[workload.ti.key] = workload

    def _process_workloads(self, workload_items: Sequence[Any]) -> None:
        """Airflow 3: take what the base class has chosen to run."""
        for workload in workload_items:
            key, executor_config = airflow_versions.key_and_config(workload)
            self.queued_tasks.pop(key, None)
            if hasattr(self, "queued_callbacks"):
                self.queued_callbacks.pop(key, None)
            self._arrivals.append((key, workload, executor_config))
            self.running.add(key)

    def execute_async(
        self, key: Any, command: Any, queue: str | None = None, executor_config: Any | None = None
    ) -> None:
        """Airflow 2: take a command. ``queue`` has no meaning here: every task has a container of its own."""
        self._arrivals.append((key, command, executor_config))

    def trigger_tasks(self, open_slots: int) -> None:
        """Let a task that is queued again while its former container is still ending go on to its next launch.

        A deferred task or a rescheduled sensor comes back with the same key. The base class of Airflow 2 and 3.0 waits
        ten seconds for the former run, then forgets the task; ECS may take longer than that to stop a container. Here
        the new launch waits, in the ledger, until the former container is gone.
        """
        again = self.running.intersection(self.queued_tasks)
        self.running.difference_update(again)
        try:
            super().trigger_tasks(open_slots)
        except Exception:
            log.exception("Unexpected error in queueing tasks; the scheduler goes on")

    def _process_tasks(self, task_tuples: Sequence[Any]) -> None:
        """Airflow 2: the base class shows each executor_config in its traces, which one of them may refuse."""
        for task_tuple in task_tuples:
            key = task_tuple[0]
            try:
                super()._process_tasks([task_tuple])
            except Exception as error:
                self.queued_tasks.pop(key, None)
                reason = f"The task could not be queued: {type(error).__name__}. Is its executor_config in order?"
                self.log_task_event(event=_EVENT_NAMES["failed"], extra=reason, ti_key=key)
                self.fail(key, reason)

    def revoke_task(self, *, ti: Any) -> None:
        """Forget a task that was queued for too long, and stop its container if it has one."""
        try:
            key = ti.key
            self.queued_tasks.pop(key, None)
            self.running.discard(key)
            self._arrivals = deque(arrival for arrival in self._arrivals if arrival[0] != key)
            if self._crew is not None:
                self._crew.ensure_running()
                with self._ledger.lock:
                    self._ledger.revoke(key, "Airflow revoked the task: it was queued for too long", time.monotonic())
        except Exception:
            log.exception("Cannot revoke %s", ti)

    # The heartbeat

    def sync(self) -> None:
        """Hand over what was queued, and tell Airflow what has happened. Never waits, never raises."""
        if self._crew is None:
            return
        try:
            self._sync()
        except Exception:
            log.exception("Unexpected error in the ECS executor; the scheduler goes on")

    def _sync(self) -> None:
        crew, ledger = self._crew, self._ledger
        if crew is None:
            return
        deadline = time.monotonic() + _SYNC_BUDGET
        while self._arrivals and time.monotonic() < deadline:
            crew.ensure_running()
            arrivals = [self._arrivals.popleft() for _ in range(min(_SLICE, len(self._arrivals)))]
            with ledger.lock:
                ledger.submit(arrivals, time.monotonic())
        counts = {"launched": 0, "succeeded": 0, "failed": 0, "note": 0}
        # A task's former container must not change its state once it is queued again.
        while ledger.events and not self._arrivals:
            event = ledger.events.popleft()
            if event.wanted:
                if event.kind in counts:
                    counts[event.kind] += 1
                self._tell_airflow(event)
            if time.monotonic() > deadline:
                break
        self._emit(counts)

    def _tell_airflow(self, event: Event) -> None:
        key = event.launch.key
        if event.kind == "launched":
            self.running_state(key, event.info)
            if event.seconds:  # not for a task that was adopted
                self._stats.timing(f"{_METRICS}.launch_latency", event.seconds * 1000)
        elif event.kind == "succeeded":
            self.success(key, event.info)
        else:
            if event.kind == "failed":
                self.fail(key, event.info)
            self.log_task_event(event=_EVENT_NAMES[event.kind], extra=event.info, ti_key=key)
            if event.kind != "log":
                log.warning("%s: %s", key, event.info)

    def _emit(self, counts: Mapping[str, int]) -> None:
        ledger = self._ledger
        gauges = {
            "queued": len(self.queued_tasks),
            "pending_launches": ledger.pending + ledger.in_flight,
            "running": ledger.running,
        }
        for name, value in gauges.items():
            self._stats.gauge(f"{_METRICS}.{name}", value)
        for name, total in asdict(ledger.counters).items():
            change = total - self._counted.get(name, 0)
            if change:
                self._stats.incr(f"{_METRICS}.{name}", change)
                self._counted[name] = total
        if any(counts.values()):
            log.info(
                "ECS tasks: %d launched, %d succeeded, %d failed; now %d pending, %d running",
                counts["launched"],
                counts["succeeded"],
                counts["failed"],
                gauges["pending_launches"],
                gauges["running"],
            )

    def log_task_event(self, *, event: str, extra: str, ti_key: Any) -> None:
        """Write into the task's event log, which Airflow's UI shows.

        The scheduler empties the queue of these records while it hands them to SQLAlchemy, which keeps only weak
        references to them: a record that nobody else keeps is gone before it is written (Airflow 3.3.2 then writes
        empty rows, which the database refuses). So they are kept here until many newer ones have come.
        """
        super().log_task_event(event=event, extra=extra, ti_key=ti_key)
        if self._task_event_logs:
            self._kept_logs.append(self._task_event_logs[-1])

    # The log in Airflow's UI

    def get_task_log(self, ti: Any, try_number: int) -> tuple[list[str], list[str]]:
        """Return messages about the log of a try's container, and its text. Never raises.

        Airflow's webserver or API server asks while the task runs, on an executor that was never started.
        """
        if self._task_log is None:
            self._task_log = TaskLog(lambda: read_settings(airflow_versions.configuration_of(self), os.environ))
        return self._task_log.of(ti, try_number)

    # Restart

    def try_adopt_task_instances(self, tis: Sequence[Any]) -> list[Any]:
        """Take over tasks of a scheduler that is gone; return those that have to be queued again."""
        crew = self._crew
        if crew is None or not tis:
            return list(tis)
        started = time.monotonic()
        settings = self._settings
        assert settings is not None
        columns = airflow_versions.adoptable_columns(tis)  # an error of the database is Airflow's to retry
        by_key = {columns[id(ti)]["key"]: ti for ti in tis}
        orphans = [
            Orphan(
                key=values["key"],
                arn=values["arn"],
                queued_at=values["queued"],
                was_queued=str(values["state"]) == "queued",
            )
            for values in columns.values()
        ]
        try:
            left = {orphan.key for orphan in self._adopt(orphans, settings)}
        except Exception:
            log.exception("Unexpected error in adopting tasks: they are followed by the ARNs that Airflow knows")
            left = self._adopt_blindly(orphans)
        self.running.update(key for key in by_key if key not in left and key not in self.queued_tasks)
        self._stats.timing(f"{_METRICS}.adoption", (time.monotonic() - started) * 1000)
        log.info(
            "Adopted %d tasks of a scheduler that is gone in %.1f s; %d have no container and are queued again",
            len(tis) - len(left),
            time.monotonic() - started,
            len(left),
        )
        return [by_key[key] for key in left]

    def _adopt(self, orphans: Sequence[Orphan], settings: Settings) -> list[Orphan]:
        assert self._crew is not None
        # A scheduler that was taken for dead is offered what it has in hand itself.
        arrived = {key for key, _, _ in self._arrivals}
        strange = [item for item in orphans if item.key not in arrived and item.key not in self.queued_tasks]
        self._crew.ensure_running()
        return adopt(
            strange,
            self._ledger,
            self._services.ecs,
            self._services.compatibility,
            container_name=settings.container_name,
            deployment=self._deployment,
            started_by=self._started_by,
            timeout=settings.adoption_timeout,
        )

    def _adopt_blindly(self, orphans: Sequence[Orphan]) -> set[Any]:
        left = set()
        with self._ledger.lock:
            for orphan in orphans:
                if is_task_arn(orphan.arn):
                    self._ledger.adopt(orphan.key, orphan.arn, time.monotonic(), since=orphan.since, relocate=False)
                elif not self._ledger.knows(orphan.key):
                    left.add(orphan.key)
        return left
