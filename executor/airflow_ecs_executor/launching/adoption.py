"""Adoption: take over the tasks of a scheduler that is gone, within a limited time.

A task whose container runs or has ended is followed. So is a task whose container cannot be verified now, because
resetting it could run it twice. A task that surely has no container, or one that never started, goes back to Airflow
to be queued again.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from airflow_ecs_executor.aws.ecs import Ecs, Sighting, describe_many, find, is_of_this_run, is_task_arn
from airflow_ecs_executor.aws.errors import classify
from airflow_ecs_executor.aws.identity import Deployment, TaskKey
from airflow_ecs_executor.aws.task_outcome import OutcomeKind, outcome_of
from airflow_ecs_executor.launching.ledger import Ledger
from airflow_ecs_executor.services import Services

log = logging.getLogger("airflow_ecs_executor")

_CONCURRENCY = 10
"""DescribeTasks calls side by side: what AWS permits in half a second (20 per second)."""


@dataclass(frozen=True)
class Orphan:
    """A task instance whose scheduler is gone."""

    key: TaskKey
    arn: str | None
    """The external executor id in the database."""
    queued_at: float | None
    """Seconds since the epoch."""
    was_queued: bool
    """Whether its state in Airflow is queued, not running."""

    def created_after(self, skew: float) -> float | None:
        """Return the time before which a container belongs to an earlier run, in seconds since the epoch."""
        return None if self.queued_at is None else self.queued_at - skew


def adopt(
    orphans: Sequence[Orphan], ledger: Ledger, services: Services, deployment: Deployment, timeout: float
) -> list[Orphan]:
    """Follow the containers of orphans, within ``timeout`` seconds; return the orphans to be queued again."""
    deadline = time.monotonic() + timeout
    adoption = _Adoption(orphans, services, deployment, ledger.policy.clock_skew)
    adoption.verify(timeout)
    adoption.search(deadline - time.monotonic())
    return adoption.follow(ledger)


class _Adoption:
    """What is known of the containers of orphans."""

    def __init__(self, orphans: Sequence[Orphan], services: Services, deployment: Deployment, skew: float) -> None:
        self._orphans = orphans
        self._services = services
        self._deployment = deployment
        self._skew = skew
        self._followed: dict[str, Orphan] = {}
        self._found: set[str] = set()
        """Those of the followed whose ARN Airflow does not have."""
        self._unverified: list[Orphan] = []
        """They have no ARN, and could not be searched for."""
        self._to_search: list[Orphan] = []
        self._again: list[Orphan] = []

    def verify(self, timeout: float) -> None:
        """Look up the ARNs that Airflow has."""
        arns = list(dict.fromkeys(orphan.arn for orphan in self._orphans if orphan.arn and is_task_arn(orphan.arn)))
        tasks, unknown, error = describe_many(self._services.ecs, arns, _CONCURRENCY, timeout)
        if error is not None:
            reason = classify(error).reason
            log.warning("%d of %d containers are followed without being verified: %s", len(unknown), len(arns), reason)
        unverified = set(unknown)
        for orphan in self._orphans:
            task = tasks.get(orphan.arn or "")
            if orphan.arn in unverified:
                self._followed[str(orphan.arn)] = orphan
            elif task is None or not is_of_this_run(task, self._identity_of(orphan), self._created_after(orphan)):
                self._to_search.append(orphan)
            elif self._never_started(task):
                self._again.append(orphan)
            else:
                self._followed[str(orphan.arn)] = orphan

    def search(self, timeout: float) -> None:
        """Search for the containers of the others."""
        wanted = {self._identity_of(orphan): self._created_after(orphan) for orphan in self._to_search}
        sightings = _find(wanted, self._services.ecs, self._deployment.started_by, timeout)
        if sightings is None:
            self._unverified = self._to_search
            return
        for orphan in self._to_search:
            sighting = sightings.get(self._identity_of(orphan))
            if sighting is None or self._never_started(sighting.task):
                self._again.append(orphan)
            else:
                self._followed[sighting.arn] = orphan
                self._found.add(sighting.arn)

    def follow(self, ledger: Ledger) -> list[Orphan]:
        """Hand over to the ledger; return the orphans to be queued again."""
        with ledger.lock:
            now = time.monotonic()
            for arn, orphan in self._followed.items():
                created_after = self._created_after(orphan)
                if not ledger.adopt(orphan.key, arn, now, created_after=created_after, launch_if_missing=False):
                    self._again.append(orphan)
            for arn in self._found:
                ledger.report_launched(arn)
            for orphan in self._unverified:
                created_after, queued = self._created_after(orphan), orphan.was_queued
                ledger.adopt(orphan.key, None, now, created_after=created_after, launch_if_missing=queued)
            ledger.poll_first(self._followed)
        return self._again

    def _identity_of(self, orphan: Orphan) -> str:
        return self._deployment.identity_of(orphan.key)

    def _created_after(self, orphan: Orphan) -> float | None:
        return orphan.created_after(self._skew)

    def _never_started(self, task: Mapping[str, Any]) -> bool:
        foreign_image = self._services.image_checks.is_foreign(str(task.get("taskDefinitionArn")))
        outcome = outcome_of(task, self._deployment.container_name, foreign_image)
        return outcome is not None and outcome.kind is OutcomeKind.NEVER_STARTED


def _find(
    wanted: Mapping[str, float | None], ecs: Ecs, started_by: str, timeout: float
) -> Mapping[str, Sighting] | None:
    """Search for containers whose ARN was never saved; return None if the search has to be repeated later."""
    if not wanted:
        return {}
    limit = max(1.0, timeout)
    pool = ThreadPoolExecutor(1, thread_name_prefix="airflow-ecs-search")
    try:
        # In a thread, because a single call may take longer than adoption is allowed to.
        return pool.submit(find, ecs, started_by, wanted, _CONCURRENCY, limit).result(limit)
    except FutureTimeoutError:
        log.warning("The search for containers of earlier launches continues in the background")
        return None
    except Exception as exception:  # noqa: BLE001 - classify logs what is a defect
        error = classify(exception)
        if not error.defect:
            log.warning("The search for containers of earlier launches failed: %s", error.reason)
        # Without the permission (ecs:ListTasks) no later search helps: these tasks are queued again, as the ECS
        # executor of the Amazon provider does with all tasks.
        return {} if error.denied else None
    finally:
        pool.shutdown(wait=False)
