"""The memory of a running container, sampled from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from docker.errors import APIError
from docker.models.containers import Container

_INTERVAL = 0.02
# The counters of anonymous memory: of cgroup v2, and of v1 with and without child groups.
_ANONYMOUS = ("anon", "total_rss", "rss")


def anonymous(statistics: Mapping[str, Any]) -> int:
    """Return the anonymous memory of a container in bytes: shared pages count once, the page cache does not count."""
    counters = statistics.get("memory_stats", {}).get("stats", {})
    return next((int(counters[name]) for name in _ANONYMOUS if name in counters), 0)


class MemorySampler(AbstractContextManager["MemorySampler"]):
    """Samples a started container's memory until the block ends."""

    def __init__(self, container: Container) -> None:
        """Sample the memory of ``container``."""
        self._container = container
        self._ended = threading.Event()
        self._samples: list[tuple[float, int]] = []
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> MemorySampler:
        """Begin to sample."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sampling."""
        self._ended.set()
        self._thread.join()

    def peak_until(self, moment: float) -> int:
        """Return the peak in bytes up to ``moment``, in seconds since 1970."""
        return max((size for when, size in self._samples if when <= moment), default=0)

    def _sample(self) -> None:
        while not self._ended.wait(_INTERVAL):
            try:
                statistics: Any = self._container.stats(stream=False, one_shot=True)
            except APIError:
                return  # the container has been removed
            self._samples.append((time.time(), anonymous(statistics)))
