"""Settings of the account: quotas on API calls and on running tasks, and how long stopped tasks are remembered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.ecs.errors import ApiError
from local.errors import LocalError

# AWS: "Stopped tasks are … for at least one hour" in answers of DescribeTasks.
FORGET_AFTER = 3600.0
RATE_EXCEEDED = "Rate exceeded"


class TokenBucket:
    """AWS's way to limit rates: ``burst`` calls at once, refilled with ``rate`` a second."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with a full bucket."""
        self.rate = rate
        self.burst = burst
        self._clock = clock
        self._tokens = burst
        self._filled = clock()

    def take(self, count: float = 1.0) -> bool:
        """Take tokens, if there are as many."""
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + (now - self._filled) * self.rate)
        self._filled = now
        if self._tokens < count:
            return False
        self._tokens -= count
        return True


def throttled() -> ApiError:
    """What a call gets that is over a rate."""
    return ApiError("ThrottlingException", RATE_EXCEEDED)


def number(name: str, value: Any, *, whole: bool = False) -> float:
    """A setting that must be a number and not negative."""
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or value < 0:
        raise LocalError(f"{name} must be a {'whole ' if whole else ''}number from 0 on, not {value!r}")
    return value


@dataclass
class Settings:
    """What ``configure`` changes, but for behaviours."""

    forget_after: float = FORGET_AFTER
    max_running_tasks: int | None = None
    run_task_rate: float | None = None
    run_task_burst: float | None = None
    launch_rate: float | None = None
    launch_burst: float | None = None
    buckets: dict[str, TokenBucket] = field(default_factory=dict)
    launches: TokenBucket | None = None

    NAMES = (
        "forget_after", "max_running_tasks", "quotas", "run_task_rate", "run_task_burst", "launch_rate", "launch_burst",
    )  # fmt: skip

    def change(self, settings: Mapping[str, Any], operations: frozenset[str]) -> None:
        """Take over new values. Raises LocalError for one that makes no sense."""
        for name, value in settings.items():
            if name == "quotas":
                self._set_quotas(value, operations)
            elif name == "forget_after":
                self.forget_after = number(name, value)
            elif value is None:
                setattr(self, name, None)
            else:
                setattr(self, name, number(name, value, whole=name == "max_running_tasks"))
        if settings.keys() & {"run_task_rate", "run_task_burst"}:
            self._set_bucket("RunTask", self.run_task_rate, self.run_task_burst)
        if settings.keys() & {"launch_rate", "launch_burst"}:
            self.launches = _bucket(self.launch_rate, self.launch_burst)

    def _set_quotas(self, quotas: Any, operations: frozenset[str]) -> None:
        if not isinstance(quotas, dict):
            raise LocalError('quotas must be like {"DescribeTasks": [rate, burst]}')
        for operation, quota in quotas.items():
            if operation not in operations:
                raise LocalError(f"quotas: no operation {operation!r}. There are: {', '.join(sorted(operations))}")
            if quota is None:
                self._set_bucket(operation, None, None)
            elif isinstance(quota, list) and len(quota) == 2:
                self._set_bucket(operation, *(number(f"quotas of {operation}", part) for part in quota))
            else:
                raise LocalError(f"The quota of {operation} must be [rate, burst], not {quota!r}")

    def _set_bucket(self, operation: str, rate: float | None, burst: float | None) -> None:
        bucket = _bucket(rate, burst)
        if bucket is None:
            self.buckets.pop(operation, None)
        else:
            self.buckets[operation] = bucket


def _bucket(rate: float | None, burst: float | None) -> TokenBucket | None:
    """A bucket, or none without a rate; a burst of its own is one second's worth, at least one call."""
    if rate is None:
        return None
    return TokenBucket(rate, max(1.0, rate) if burst is None else burst)
