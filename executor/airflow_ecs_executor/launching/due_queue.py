"""A queue of items that each fall due at a time."""

from __future__ import annotations

import heapq
import itertools
from typing import Callable, Generic, TypeVar

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
