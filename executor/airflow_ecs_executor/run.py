"""One run of the executor, from its start to its end: settings, services, ledger and workers. It imports no Airflow.

No method but ``check``, ``adopt``, ``end`` and ``terminate`` waits for anything; only ``check`` raises.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import asdict, replace
from typing import Any, Callable, Mapping, Sequence

from airflow_ecs_executor.airflow_side import AirflowSide, ExecutorSide
from airflow_ecs_executor.aws.ecs import is_task_arn
from airflow_ecs_executor.aws.errors import classify
from airflow_ecs_executor.aws.identity import deployment_of
from airflow_ecs_executor.checks import health
from airflow_ecs_executor.checks.images import IncompatibleImageError
from airflow_ecs_executor.config.options import OFF
from airflow_ecs_executor.config.settings import Settings
from airflow_ecs_executor.launching.adoption import Orphan, adopt
from airflow_ecs_executor.launching.ledger import Event, Ledger, Policy
from airflow_ecs_executor.launching.request_builder import RequestBuilder
from airflow_ecs_executor.launching.workers import Workers
from airflow_ecs_executor.services import services_of

log = logging.getLogger("airflow_ecs_executor")

EVENT_NAMES = {
    "failed": "ecs task failed",
    "note": "ecs task attempt failed",
    "wait": "ecs task waiting",
    "remark": "ecs container reason",
    "log": "ecs container log",
}
"""In the task's event log, by kind of event."""
_SYNC_BUDGET = 0.02
"""Seconds that one heartbeat spends on events; the rest waits for the next one."""
_SLICE = 200
"""Queued tasks that are handed over at once; the time is looked at after each slice."""
_METRICS = "airflow_ecs_executor"


class Run:
    """What a started executor has. All methods belong to the scheduler's thread."""

    def __init__(self, settings: Settings, airflow: AirflowSide, executor: ExecutorSide, policy: Policy) -> None:
        """Make the ledger and the workers; no thread starts before there is work. Options beat ``policy``."""
        self._settings = settings
        self._airflow = airflow
        self._executor = executor
        self._stats = airflow.stats()
        self._arrivals: deque[tuple[Any, Any, Any]] = deque()
        self._counted: dict[str, int] = {}
        self._policy = replace(
            policy,
            max_attempts=settings.max_run_task_attempts,
            relaunch=settings.spot_interruptions == "relaunch",
            max_relaunches=settings.max_spot_relaunches,
            wait_limit=settings.launch_wait_limit,
            missing_grace=settings.missing_grace_period,
            poll_interval=settings.poll_interval,
        )
        self._deployment = settings.deployment or deployment_of(airflow.database_place())
        self._started_by = str(settings.run_task.get("startedBy") or self._deployment)
        self._services = services_of(settings, airflow.versions(), self._deployment)
        requests = RequestBuilder(
            settings,
            self._services,
            airflow,
            deployment=self._deployment,
            started_by=self._started_by,
            generator=lambda: getattr(executor, "jwt_generator", None),
        )
        self._ledger = Ledger(self._policy)
        self._workers = Workers(
            self._ledger,
            self._services,
            requests,
            airflow,
            settings,
            deployment=self._deployment,
            started_by=self._started_by,
        )

    # Start

    def check(self) -> None:
        """Check what the settings name. Raises HealthCheckError, which keeps the scheduler from starting."""
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
        except Exception as exception:
            log.warning("The image of %s was not checked: %s", name, classify(exception).reason)
            return
        checked = image_checks.known(name)
        if checked is None or self._settings.image_version_check == OFF:
            return
        try:
            facts, environment = checked.report.facts, self._settings.environment
            for warning in self._airflow.environment_warnings(checked.definition, facts, environment):
                log.warning("Task definition %s: %s", name, warning)
        except Exception:  # what only warns must not keep a scheduler from starting
            log.exception("The environment of %s was not checked", name)

    # The scheduler's loop

    def submit(self, key: Any, workload: Any, executor_config: Any) -> None:
        """Take a workload; the next ``sync`` hands it over."""
        self._arrivals.append((key, workload, executor_config))

    def revoke(self, key: Any) -> None:
        """Forget a task that was queued for too long, and stop its container if it has one."""
        self._drop(key, "Airflow revoked the task: it was queued for too long", Ledger.revoke)

    def let_go(self, key: Any) -> None:
        """Stop the container of a task that Airflow has ended by itself, and follow it no longer."""
        self._drop(key, "Airflow has ended the task, since it sent no heartbeat, or on request", Ledger.let_go)

    def _drop(self, key: Any, reason: str, how: Callable[[Ledger, Any, str, float], None]) -> None:
        self._arrivals = deque(arrival for arrival in self._arrivals if arrival[0] != key)
        self._workers.ensure_running()
        with self._ledger.lock:
            how(self._ledger, key, reason, time.monotonic())

    def sync(self) -> None:
        """Hand over what was submitted, and tell the executor what has happened."""
        try:
            self._sync()
        except Exception:
            log.exception("Unexpected error in the ECS executor; the scheduler goes on")

    def _sync(self) -> None:
        ledger = self._ledger
        deadline = time.monotonic() + _SYNC_BUDGET
        while self._arrivals and time.monotonic() < deadline:
            self._workers.ensure_running()
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
        key, executor = event.launch.key, self._executor
        if event.kind == "launched":
            executor.running_state(key, event.info)
            if event.seconds:  # not for a task that was adopted
                self._stats.timing(f"{_METRICS}.launch_latency", event.seconds * 1000)
        elif event.kind == "succeeded":
            executor.success(key, event.info)
        else:
            if event.kind == "failed":
                executor.fail(key, event.info)
            executor.log_task_event(event=EVENT_NAMES[event.kind], extra=event.info, ti_key=key)
            if event.kind == "wait":  # the launchers have warned, once for all tasks
                log.info("%s: %s", key, event.info)
            elif event.kind != "log":
                log.warning("%s: %s", key, event.info)

    def _emit(self, counts: Mapping[str, int]) -> None:
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

    # Restart

    def adopt(self, orphans: Sequence[Orphan]) -> set[Any]:
        """Take over tasks of a scheduler that is gone; return the keys of those that have to be queued again."""
        started = time.monotonic()
        # A scheduler that was taken for dead is offered what it has in hand itself, with or without a container.
        own = {key for key, _, _ in self._arrivals}.union(self._executor.queued_tasks)
        with self._ledger.lock:
            own.update(orphan.key for orphan in orphans if self._ledger.has_in_hand(orphan.key))
        others = [orphan for orphan in orphans if orphan.key not in own]
        try:
            left = {orphan.key for orphan in self._adopt(others)}
        except Exception:
            log.exception("Unexpected error in adopting tasks: they are followed by the ARNs that Airflow knows")
            left = self._adopt_blindly(others)
        seconds = time.monotonic() - started
        self._stats.timing(f"{_METRICS}.adoption", seconds * 1000)
        log.info(
            "Adopted %d tasks of a scheduler that is gone in %.1f s; %d have no container and are queued again",
            len(orphans) - len(left),
            seconds,
            len(left),
        )
        return left

    def _adopt(self, orphans: Sequence[Orphan]) -> list[Orphan]:
        self._workers.ensure_running()
        return adopt(
            orphans,
            self._ledger,
            self._services.ecs,
            self._services.image_checks,
            container_name=self._settings.container_name,
            deployment=self._deployment,
            started_by=self._started_by,
            timeout=self._settings.adoption_timeout,
        )

    def _adopt_blindly(self, orphans: Sequence[Orphan]) -> set[Any]:
        left = set()
        with self._ledger.lock:
            for orphan in orphans:
                since, arn = orphan.since(self._policy.clock_skew), orphan.arn
                if not is_task_arn(arn) or not self._ledger.adopt(
                    orphan.key, arn, time.monotonic(), since=since, relocate=False
                ):
                    left.add(orphan.key)
        return left

    # End

    def end(self, heartbeat_interval: float) -> None:
        """Wait until what runs has ended, for a while, and launch nothing: the rest is left to the next scheduler."""
        ledger = self._ledger
        try:
            with ledger.lock:
                ledger.close()
            said, deadline = 0.0, time.monotonic() + self._policy.end_timeout
            while ledger.running or ledger.in_flight:
                if time.monotonic() > deadline:
                    log.warning("%d ECS tasks still run: the next scheduler takes them over", ledger.running)
                    break
                if time.monotonic() - said > 60:
                    said = time.monotonic()
                    log.info("Waiting for %d ECS tasks to end", ledger.running)
                self._sync()
                time.sleep(heartbeat_interval)
            self._sync()
        except Exception:
            log.exception("The ECS executor did not end in order")
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
            log.exception("The ECS executor did not terminate in order")
        self.leave()

    def leave(self) -> None:
        """End the threads, whatever runs; arguments that no container is going to read are removed first."""
        timeout = self._policy.leave_timeout
        deadline = time.monotonic() + timeout
        while self._ledger.discards_outstanding and time.monotonic() < deadline:
            time.sleep(0.05)
        self._workers.leave(timeout)
