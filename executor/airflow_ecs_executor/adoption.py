"""Taking over the tasks of a scheduler that is gone: the one call of the scheduler that may wait for AWS, bounded.

What has a container is followed, running or ended. What cannot be verified now is followed as well: to reset it could
run it twice. What surely has no container, or one that never started, goes back to Airflow to be queued again.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from airflow_ecs_executor.ecs import Ecs, Sighting, describe_many, find, is_task_arn
from airflow_ecs_executor.failures import Ending, Trouble, classify, verdict
from airflow_ecs_executor.identity import identity_of
from airflow_ecs_executor.ledger import Ledger

log = logging.getLogger("airflow_ecs_executor")

_CONCURRENCY = 10
"""DescribeTasks calls side by side: half a second's share of what AWS allows (20 a second)."""
_CLOCK_SKEW = 5.0
"""Seconds by which the clocks of AWS and of the scheduler may differ."""


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


def adopt(
    orphans: Sequence[Orphan],
    ledger: Ledger,
    ecs: Ecs,
    *,
    container_name: str,
    deployment: str,
    started_by: str,
    timeout: float,
) -> list[Orphan]:
    """Follow the containers of orphans, within ``timeout`` seconds. Returns those that have to be queued again."""
    deadline = time.monotonic() + timeout
    with_arn = {orphan.arn: orphan for orphan in orphans if is_task_arn(orphan.arn)}
    described, unknown, error = describe_many(ecs, [arn for arn in with_arn if arn], _CONCURRENCY, timeout)
    if error is not None:
        log.warning(
            "%d of %d tasks are adopted without a look at their containers: %s",
            len(unknown), len(with_arn), classify(error).reason,
        )  # fmt: skip
    again: list[Orphan] = [with_arn[arn] for arn in described.missing]
    followed: dict[str, Orphan] = {arn: with_arn[arn] for arn in unknown}
    for arn, task in described.tasks.items():
        orphan = with_arn.get(arn)
        if orphan is None:
            continue
        if _never_started(task, container_name):
            again.append(orphan)
        else:
            followed[arn] = orphan
    without = [orphan for orphan in orphans if not is_task_arn(orphan.arn)]
    sightings = _find(without, ecs, deployment, started_by, deadline - time.monotonic())
    unlocated: list[Orphan] = []
    announced: list[str] = []
    for orphan in without:
        if sightings is None:
            unlocated.append(orphan)
            continue
        sighting = sightings.get(identity_of(deployment, orphan.key))
        if sighting is None or _never_started(sighting.task, container_name):
            again.append(orphan)
        else:
            followed[sighting.arn] = orphan
            announced.append(sighting.arn)
    with ledger.lock:
        now = time.monotonic()
        for arn, orphan in followed.items():
            ledger.adopt(orphan.key, arn, now, since=None, relocate=False)
        for arn in announced:
            ledger.announce(arn)
        for orphan in unlocated:
            ledger.adopt(orphan.key, None, now, since=_since(orphan), relocate=orphan.was_queued)
        ledger.hurry(followed)
    return again


def _never_started(task: Mapping[str, Any], container_name: str) -> bool:
    end = verdict(task, container_name)
    return end is not None and end.ending is Ending.NEVER_STARTED


def _since(orphan: Orphan) -> float | None:
    return None if orphan.queued_at is None else orphan.queued_at - _CLOCK_SKEW


def _find(
    orphans: Sequence[Orphan], ecs: Ecs, deployment: str, started_by: str, timeout: float
) -> Mapping[str, Sighting] | None:
    """Look for containers whose ARN was never saved. None: the search could not be made, and is to be made later."""
    if not orphans:
        return {}
    wanted = {identity_of(deployment, orphan.key): _since(orphan) for orphan in orphans}
    try:
        return find(ecs, started_by, wanted, _CONCURRENCY, max(1.0, timeout))
    except Exception as exception:
        error = classify(exception)
        log.warning("Cannot look for containers that were launched before: %s", error.reason)
        # Without the permission (ecs:ListTasks) no later search helps: these tasks are queued again, as the ECS
        # executor of the Amazon provider does with all of them.
        return {} if error.trouble is Trouble.HOPELESS else None
