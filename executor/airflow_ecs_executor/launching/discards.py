"""Stored arguments of commands that no container is going to read."""

from __future__ import annotations

from typing import Callable, NamedTuple

from airflow_ecs_executor.launching.due_queue import DueQueue
from airflow_ecs_executor.launching.policy import Policy


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
