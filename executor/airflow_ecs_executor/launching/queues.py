"""What is due at which time: items in general, ECS tasks to be polled, and stored arguments to be removed. No I/O."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from typing import Callable, Generic, Iterable, NamedTuple, TypeVar

from airflow_ecs_executor.aws.ecs import DESCRIBE_LIMIT
from airflow_ecs_executor.launching.policy import Policy

T = TypeVar("T")


class DueQueue(Generic[T]):
    """Items by the time at which they are due; of those due at the same time, the one pushed first comes first."""

    def __init__(self, is_valid: Callable[[float, T], bool] = lambda due, item: True) -> None:
        """Start empty. An item is dropped if ``is_valid(due, item)`` is false when it comes to the front."""
        self._heap: list[tuple[float, int, T]] = []
        self._order = itertools.count()
        self._is_valid = is_valid

    def __len__(self) -> int:
        """Return the number of items, including invalid ones that have not come to the front."""
        return len(self._heap)

    def push(self, due: float, item: T) -> None:
        """Add an item."""
        heapq.heappush(self._heap, (due, next(self._order), item))

    def pop(self, now: float) -> T | None:
        """Remove and return the first item if it is due, else return None."""
        wait = self.wait(now)
        return heapq.heappop(self._heap)[2] if wait == 0.0 else None

    def wait(self, now: float) -> float | None:
        """Return the seconds until the first item is due (0 if it is due now), or None if there is none."""
        while self._heap:
            due, _, item = self._heap[0]
            if self._is_valid(due, item):
                return max(0.0, due - now)
            heapq.heappop(self._heap)
        return None


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


class Discard(NamedTuple):
    """Stored arguments to be removed."""

    uri: str
    tries: int = 0
    """How often their removal has failed."""


class Discards:
    """The stored arguments that are still to be removed. No I/O."""

    def __init__(self, policy: Policy, notify: Callable[[], object]) -> None:
        """Start empty. ``notify`` is called when the seconds of `wait` may have become fewer."""
        self._policy = policy
        self._notify = notify
        self._queue: DueQueue[Discard] = DueQueue()
        self._under_way = 0

    def __len__(self) -> int:
        """Return how many are still to be removed, including those whose removal is under way."""
        return len(self._queue) + self._under_way

    def add(self, uri: str) -> None:
        """Have arguments removed."""
        self._push(0.0, Discard(uri))

    def _push(self, due: float, discard: Discard) -> None:
        self._queue.push(due, discard)
        self._notify()

    def wait(self, now: float) -> float | None:
        """Return the seconds until arguments are to be removed, or None if there are none."""
        return self._queue.wait(now)

    def next(self, now: float) -> Discard | None:
        """Return arguments to be removed now, if there are any; `removed` or `failed` has to follow."""
        discard = self._queue.pop(now)
        if discard is not None:
            self._under_way += 1
        return discard

    def removed(self) -> None:
        """Forget arguments that were removed, or that cannot be removed."""
        self._under_way -= 1

    def failed(self, discard: Discard, now: float) -> bool:
        """Have the removal tried again later; return False if it was tried often enough."""
        self._under_way -= 1
        tries = discard.tries + 1
        if tries == self._policy.discard_tries:
            return False
        self._push(now + self._policy.backoff(tries), Discard(discard.uri, tries))
        return True
