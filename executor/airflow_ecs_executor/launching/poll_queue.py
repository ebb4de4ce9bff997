"""The order in which running ECS tasks are polled."""

from __future__ import annotations

from collections import deque
from typing import Iterable

from airflow_ecs_executor.aws.ecs import DESCRIBE_LIMIT


class PollQueue:
    """ARNs of ECS tasks, polled in round-robin order: the task whose last poll is the oldest comes first."""

    def __init__(self, interval: float) -> None:
        """Start empty. ``interval`` is the minimum number of seconds between two polls of a task."""
        self._interval = interval
        self._polled: dict[str, float] = {}
        """When each task was last polled, oldest first."""
        self._first: deque[str] = deque()

    def add(self, arn: str, now: float) -> None:
        """Add a task; it is polled one interval later."""
        self._polled.pop(arn, None)
        self._polled[arn] = now

    def remove(self, arn: str) -> None:
        """Remove a task."""
        self._polled.pop(arn, None)

    def poll_first(self, arns: Iterable[str]) -> None:
        """Put tasks into the next batches, whether they are due or not."""
        self._first.extend(arns)

    def next_batch(self, now: float) -> tuple[list[str], float | None]:
        """Return the tasks to describe in one call now, or the seconds until a task is due (None: there is no task).

        A batch starts when the first task is due, and is then filled with those that are due soon: a few full calls
        cost less than many small ones.
        """
        batch: dict[str, None] = {}
        while self._first and len(batch) < DESCRIBE_LIMIT:
            arn = self._first.popleft()
            if arn in self._polled:
                batch[arn] = None
        if not self._polled:
            return [], None
        if not batch:
            due = next(iter(self._polled.values())) + self._interval
            if due > now:
                return [], due - now
        soon = now - self._interval / 2
        for arn, polled in self._polled.items():
            if len(batch) >= DESCRIBE_LIMIT or polled > soon:
                break
            batch[arn] = None
        for arn in batch:
            self.add(arn, now)
        return list(batch), None
