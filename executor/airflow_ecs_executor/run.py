"""One run of the executor, from its start to its end: settings, services, ledger and workers. Imports no Airflow.

Only ``check``, ``adopt``, ``end`` and ``terminate`` wait for anything, and only ``check`` raises.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from dataclasses import asdict, replace
from typing import Callable, Sequence

from airflow_ecs_executor.airflow_side import AirflowSide, ExecutorSide, QueuedWorkload
from airflow_ecs_executor.aws.ecs import is_task_arn
from airflow_ecs_executor.aws.errors import classify
from airflow_ecs_executor.aws.identity import TaskKey
from airflow_ecs_executor.checks import environment, health
from airflow_ecs_executor.checks.images import IncompatibleImageError
from airflow_ecs_executor.config.options import OFF
from airflow_ecs_executor.config.settings import Settings
from airflow_ecs_executor.launching.adoption import Orphan, adopt
from airflow_ecs_executor.launching.launch import Event, EventKind
from airflow_ecs_executor.launching.ledger import Ledger
from airflow_ecs_executor.launching.policy import Policy
from airflow_ecs_executor.launching.request_builder import RequestBuilder
from airflow_ecs_executor.launching.workers import Workers
from airflow_ecs_executor.services import deployment_of, services_of

log = logging.getLogger("airflow_ecs_executor")

_SYNC_BUDGET = 0.02
"""Seconds that one heartbeat spends on queued tasks and events; the rest waits for the next heartbeat."""
_SLICE = 200
"""Queued tasks that are handed over at once; the time is checked after each slice."""
_METRICS = "airflow_ecs_executor"
_SUMMED_UP = {EventKind.LAUNCHED, EventKind.SUCCEEDED, EventKind.FAILED, EventKind.ATTEMPT_FAILED}
"""After these events, one line of the log tells how many tasks are pending and running."""


class Run:
    """A started executor. All methods belong to the scheduler's thread."""

    def __init__(self, settings: Settings, airflow: AirflowSide, executor: ExecutorSide, policy: Policy) -> None:
        """Make the ledger and the workers; no thread starts before there is work. Options override ``policy``."""
        self._settings = settings
        self._airflow = airflow
        self._executor = executor
        self._stats = airflow.stats()
        self._arrivals: deque[QueuedWorkload] = deque()
        self._counted: Counter[str] = Counter()
        self._policy = replace(
            policy,
            max_attempts=settings.max_run_task_attempts,
            relaunch=settings.spot_interruptions == "relaunch",
            max_relaunches=settings.max_spot_relaunches,
            wait_limit=settings.launch_wait_limit,
            missing_grace=settings.missing_grace_period,
            poll_interval=settings.poll_interval,
        )
        self._deployment = deployment_of(settings, airflow.database_place())
        self._services = services_of(settings, airflow.versions(), self._deployment)
        self._ledger = Ledger(self._policy)
        requests = RequestBuilder(
            settings, self._services, airflow, self._deployment, lambda: getattr(executor, "jwt_generator", None)
        )
        self._workers = Workers(self._ledger, self._services, requests, airflow, settings, self._deployment)

    # Start

    def check(self) -> None:
        """Check ECS, the image and its environment. Raises HealthCheckError, which stops the scheduler's start."""
        if self._settings.check_health_on_startup:
            health.check(self._services.ecs, self._settings, self._services.store, self._policy.health_pause)
        self._check_images()

    def _check_images(self) -> None:
        """Check the image of the configured task definition, and the environment that the definition gives it."""
        name = self._settings.run_task["taskDefinition"]
        image_checks = self._services.image_checks
        try:
            name = image_checks.resolve(name)
        except IncompatibleImageError as error:
            raise health.HealthCheckError([str(error)]) from None
        except Exception as exception:  # noqa: BLE001 - classify logs what is a defect
            log.warning("The image of %s was not checked: %s", name, classify(exception).reason)
            return
        checked = image_checks.known(name)
        if checked is None or self._settings.image_version_check == OFF:
            return
        facts, overrides = checked.report.facts, self._settings.environment
        try:
            for warning in environment.warnings_of(checked.definition, facts, overrides, self._airflow):
                log.warning("Task definition %s: %s", name, warning)
        except Exception:  # a check that only warns must not stop the scheduler's start
            log.exception("Unexpected error: the environment of %s was not checked", name)

    # The scheduler's loop

    def submit(self, arrival: QueuedWorkload) -> None:
        """Accept a workload; the next ``sync`` hands it over."""
        self._arrivals.append(arrival)

    def revoke(self, key: TaskKey) -> None:
        """Forget a task that was queued for too long, and stop its container if there is one."""
        self._drop(key, "Airflow revoked the task: it was queued for too long", self._ledger.revoke)

    def let_go(self, key: TaskKey) -> None:
        """Stop the container of a task that Airflow has ended, and do not follow it any longer."""
        self._drop(key, "Airflow has ended the task, since it sent no heartbeat, or on request", self._ledger.let_go)

    def _drop(self, key: TaskKey, reason: str, drop: Callable[[TaskKey, str, float], None]) -> None:
        self._arrivals = deque(arrival for arrival in self._arrivals if arrival.key != key)
        self._workers.ensure_running()
        with self._ledger.lock:
            drop(key, reason, time.monotonic())

    def sync(self) -> None:
        """Hand over submitted workloads, and report to the executor what has happened."""
        try:
            self._sync()
        except Exception:
            log.exception("Unexpected error in the ECS executor; the scheduler continues")

    def _sync(self) -> None:
        ledger = self._ledger
        deadline = time.monotonic() + _SYNC_BUDGET
        while self._arrivals and time.monotonic() < deadline:
            self._workers.ensure_running()
            arrivals = [self._arrivals.popleft() for _ in range(min(_SLICE, len(self._arrivals)))]
            with ledger.lock:
                ledger.submit(arrivals, time.monotonic())
        reported: Counter[EventKind] = Counter()
        # A task's former container must not change the task's state once the task is queued again.
        while ledger.events and not self._arrivals:
            event = ledger.events.popleft()
            if event.is_current:
                reported[event.kind] += 1
                self._report(event)
            if time.monotonic() > deadline:
                break
        self._emit_metrics()
        if reported.keys() & _SUMMED_UP:
            log.info(
                "ECS tasks: %d launched, %d succeeded, %d failed; now %d pending, %d running",
                reported[EventKind.LAUNCHED],
                reported[EventKind.SUCCEEDED],
                reported[EventKind.FAILED],
                ledger.pending + ledger.in_flight,
                ledger.running,
            )

    def _report(self, event: Event) -> None:
        key, executor, kind = event.launch.key, self._executor, event.kind
        if kind is EventKind.LAUNCHED:
            executor.running_state(key, event.info)
            if event.seconds:  # not of a task that was adopted
                self._stats.timing(f"{_METRICS}.launch_latency", event.seconds * 1000)
            return
        if kind is EventKind.SUCCEEDED:
            executor.success(key, event.info)
            return
        if kind is EventKind.FAILED:
            executor.fail(key, event.info)
        executor.log_task_event(event=kind.value, extra=event.info, ti_key=key)
        if kind is EventKind.WAITING:  # the launcher threads have warned, once for all tasks
            log.info("%s: %s", key, event.info)
        elif kind is not EventKind.CONTAINER_LOG:
            log.warning("%s: %s", key, event.info)

    def _emit_metrics(self) -> None:
        ledger = self._ledger
        gauges = {
            "queued": len(self._executor.queued_tasks),
            "pending_launches": ledger.pending + ledger.in_flight,
            "waiting": ledger.waiting,
            "running": ledger.running,
        }
        for name, value in gauges.items():
            self._stats.gauge(f"{_METRICS}.{name}", value)
        for name, total in asdict(ledger.counters).items():
            change = total - self._counted[name]
            if change:
                self._stats.incr(f"{_METRICS}.{name}", change)
                self._counted[name] = total

    # Restart

    def adopt(self, orphans: Sequence[Orphan]) -> set[TaskKey]:
        """Adopt tasks of a scheduler that is gone; return the keys of those that have to be queued again."""
        started = time.monotonic()
        # A scheduler that was taken for dead is also offered its own tasks, with or without a container.
        own = {arrival.key for arrival in self._arrivals}.union(self._executor.queued_tasks)
        with self._ledger.lock:
            own.update(orphan.key for orphan in orphans if self._ledger.owns(orphan.key))
        others = [orphan for orphan in orphans if orphan.key not in own]
        try:
            self._workers.ensure_running()
            timeout = self._settings.adoption_timeout
            again = {orphan.key for orphan in adopt(others, self._ledger, self._services, self._deployment, timeout)}
        except Exception:
            log.exception("Unexpected error in adopting tasks: they are followed by the ARNs that Airflow knows")
            again = self._adopt_unverified(others)
        seconds = time.monotonic() - started
        self._stats.timing(f"{_METRICS}.adoption", seconds * 1000)
        log.info(
            "Adopted %d tasks of a scheduler that is gone in %.1f s; %d have no container and are queued again",
            len(others) - len(again),
            seconds,
            len(again),
        )
        return again

    def _adopt_unverified(self, orphans: Sequence[Orphan]) -> set[TaskKey]:
        again = set()
        with self._ledger.lock:
            for orphan in orphans:
                created_after = orphan.created_after(self._policy.clock_skew)
                if not is_task_arn(orphan.arn) or not self._ledger.adopt(
                    orphan.key, orphan.arn, time.monotonic(), created_after=created_after, launch_if_missing=False
                ):
                    again.add(orphan.key)
        return again

    # End

    def end(self, heartbeat_interval: float) -> None:
        """Wait for running tasks for a limited time, and launch nothing; the next scheduler adopts the rest."""
        ledger = self._ledger
        try:
            with ledger.lock:
                ledger.close()
            logged, deadline = 0.0, time.monotonic() + self._policy.end_timeout
            while ledger.running or ledger.in_flight:
                if time.monotonic() > deadline:
                    log.warning("%d ECS tasks still run: the next scheduler adopts them", ledger.running)
                    break
                if time.monotonic() - logged > 60:
                    logged = time.monotonic()
                    log.info("Waiting for %d ECS tasks to end", ledger.running)
                self._sync()
                time.sleep(heartbeat_interval)
            self._sync()
        except Exception:
            log.exception("Unexpected error at the end of the ECS executor")
        self.leave()

    def terminate(self) -> None:
        """Stop every container, and launch nothing."""
        ledger, timeout = self._ledger, self._policy.terminate_timeout
        try:
            self._workers.ensure_running()
            with ledger.lock:
                ledger.stop_all("The Airflow scheduler was terminated", time.monotonic())
            deadline = time.monotonic() + timeout
            while (ledger.stops_outstanding or ledger.in_flight) and time.monotonic() < deadline:
                time.sleep(0.05)
            left = ledger.stops_outstanding
            if left:
                log.error("%d ECS tasks could not be stopped within %d s", left, timeout)
        except Exception:
            log.exception("Unexpected error while the ECS executor was terminated")
        self.leave()

    def leave(self) -> None:
        """End the threads, whatever runs, after stored arguments that no container is going to read were removed."""
        timeout = self._policy.leave_timeout
        deadline = time.monotonic() + timeout
        while self._ledger.discards and time.monotonic() < deadline:
            time.sleep(0.05)
        self._workers.leave(timeout)
