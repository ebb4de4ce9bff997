"""Taking over the tasks of a scheduler that is gone: the one call of the scheduler that may wait for AWS, bounded.

What has a container is followed, running or ended. What cannot be verified now is followed as well: to reset it could
run it twice. What surely has no container, or one that never started, goes back to Airflow to be queued again.
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
from airflow_ecs_executor.aws.identity import identity_of
from airflow_ecs_executor.aws.task_outcome import OutcomeKind, outcome_of
from airflow_ecs_executor.checks.images import ImageChecks
from airflow_ecs_executor.launching.ledger import Ledger

log = logging.getLogger("airflow_ecs_executor")

_CONCURRENCY = 10
"""DescribeTasks calls side by side: half a second's share of what AWS allows (20 a second)."""


@dataclass(frozen=True)
class Orphan:
    """A task instance whose scheduler is gone."""

    key: Any
    arn: str | None
    """What the database holds as external executor id."""
    queued_at: float | None
    """Seconds since the epoch."""
    was_queued: bool
    """Queued, not running, as far as Airflow knows."""

    def since(self, skew: float) -> float | None:
        """The time before which a container belongs to an earlier run, in seconds since the epoch."""
        return None if self.queued_at is None else self.queued_at - skew


def adopt(
    orphans: Sequence[Orphan],
    ledger: Ledger,
    ecs: Ecs,
    image_checks: ImageChecks,
    *,
    container_name: str,
    deployment: str,
    started_by: str,
    timeout: float,
) -> list[Orphan]:
    """Follow the containers of orphans, within ``timeout`` seconds. Returns those that have to be queued again."""
    deadline = time.monotonic() + timeout
    skew = ledger.policy.clock_skew
    arns = list(dict.fromkeys(orphan.arn for orphan in orphans if orphan.arn and is_task_arn(orphan.arn)))
    tasks, unknown, error = describe_many(ecs, arns, _CONCURRENCY, timeout)
    if error is not None:
        log.warning(
            "%d of %d containers are followed without a look at them first: %s",
            len(unknown),
            len(arns),
            classify(error).reason,
        )
    unseen = set(unknown)
    followed: dict[str, Orphan] = {}
    found_anew: set[str] = set()
    again: list[Orphan] = []
    to_find: list[Orphan] = []
    for orphan in orphans:
        task = tasks.get(orphan.arn or "")
        if orphan.arn in unseen:
            followed[str(orphan.arn)] = orphan
        elif task is None or not is_of_this_run(task, identity_of(deployment, orphan.key), orphan.since(skew)):
            to_find.append(orphan)
        elif _never_started(task, container_name, image_checks):
            again.append(orphan)
        else:
            followed[str(orphan.arn)] = orphan
    wanted = {identity_of(deployment, orphan.key): orphan.since(skew) for orphan in to_find}
    sightings = _find(wanted, ecs, started_by, deadline - time.monotonic())
    unlocated: list[Orphan] = []
    for orphan in to_find:
        sighting = (sightings or {}).get(identity_of(deployment, orphan.key))
        if sightings is None:
            unlocated.append(orphan)
        elif sighting is None or _never_started(sighting.task, container_name, image_checks):
            again.append(orphan)
        else:
            followed[sighting.arn] = orphan
            found_anew.add(sighting.arn)
    with ledger.lock:
        now = time.monotonic()
        for arn, orphan in followed.items():
            if not ledger.adopt(orphan.key, arn, now, since=orphan.since(skew), relocate=False):
                again.append(orphan)
        for arn in found_anew:
            ledger.announce(arn)
        for orphan in unlocated:
            ledger.adopt(orphan.key, None, now, since=orphan.since(skew), relocate=orphan.was_queued)
        ledger.hurry(followed)
    return again


def _never_started(task: Mapping[str, Any], container_name: str, image_checks: ImageChecks) -> bool:
    end = outcome_of(task, container_name, image_checks.is_foreign(str(task.get("taskDefinitionArn"))))
    return end is not None and end.kind is OutcomeKind.NEVER_STARTED


def _find(
    wanted: Mapping[str, float | None], ecs: Ecs, started_by: str, timeout: float
) -> Mapping[str, Sighting] | None:
    """Look for containers whose ARN was never saved. None: the search could not be made, and is to be made later."""
    if not wanted:
        return {}
    limit = max(1.0, timeout)
    pool = ThreadPoolExecutor(1, thread_name_prefix="airflow-ecs-search")
    try:
        # In a thread, since a single call may take longer than adoption is allowed to.
        return pool.submit(find, ecs, started_by, wanted, _CONCURRENCY, limit).result(limit)
    except FutureTimeoutError:
        log.warning("The search for containers that were launched before goes on beside the scheduler")
        return None
    except Exception as exception:
        error = classify(exception)
        log.warning("Cannot look for containers that were launched before: %s", error.reason)
        # Without the permission (ecs:ListTasks) no later search helps: these tasks are queued again, as the ECS
        # executor of the Amazon provider does with all of them.
        return {} if error.denied else None
    finally:
        pool.shutdown(wait=False)
