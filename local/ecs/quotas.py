"""Settings of the account: quotas on API calls and on running tasks, and how long stopped tasks are remembered."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from local.ecs.errors import EmulatorError

FORGET_AFTER = 3600.0
"""DescribeTasks: "stopped tasks appear in the returned results for at least one hour" (ECS API Reference)."""
TOKEN_LIFE, TOKEN_LIFE_AFTER_STOP = 24 * 3600.0, 3600.0
"""A client token of RunTask is good for 24 hours, or until one hour after its task's end if that is earlier: see
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html, "Idempotency for RunTask"."""
PROVISIONING_TIMEOUT = 600.0
"""On AWS, a task waits in PROVISIONING for "between 10 and 30 minutes" before it is stopped: see
https://aws.amazon.com/blogs/containers/deep-dive-on-amazon-ecs-cluster-auto-scaling/, which
aws/containers-roadmap#2381 quotes."""
FARGATE_QUOTAS: Mapping[str, float] = {
    "run_task_rate": 20,
    "run_task_burst": 20,
    "launch_rate": 20,
    "launch_burst": 100,
}
"""Of an account as Fargate has them: 20 calls of RunTask a second, burst and sustained; 100 tasks at once, then 20 a
second (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html). For ``configure``."""


class TokenBucket:
    """A token bucket, as AWS limits rates: ``burst`` calls at once, refilled with ``rate`` a second."""

    def __init__(self, rate: float, burst: float) -> None:
        """Begin with a full bucket."""
        self.rate = rate
        self.burst = burst
        self._tokens = burst
        self._filled = time.monotonic()

    def take(self, count: float = 1.0) -> bool:
        """Take tokens if there are enough."""
        now = time.monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._filled) * self.rate)
        self._filled = now
        if self._tokens < count:
            return False
        self._tokens -= count
        return True


@dataclass
class Settings:
    """The settings of ``configure``, except behaviours."""

    strict: bool = False
    """Refuse what AWS's documentation says is refused, see ``strictness``."""
    omit: Sequence[str] = ()
    """Members that described tasks lack, such as ``createdAt``."""
    forget_after: float = FORGET_AFTER
    token_life: float = TOKEN_LIFE
    token_life_after_stop: float = TOKEN_LIFE_AFTER_STOP
    max_running_tasks: int | None = None
    max_vcpus: float | None = None
    """Of Fargate tasks, On-Demand and Spot each."""
    ec2_room: int | None = None
    """How many tasks the container instances have room for; None: for any number."""
    ec2_shortage: str = "RESOURCE:MEMORY"
    """The failure of a task without room whose launch does not name a capacity provider."""
    scale_out_seconds: float | None = 0.0
    """After how long managed scaling brings an instance for a task without room; None: never."""
    provisioning_timeout: float | None = PROVISIONING_TIMEOUT
    """After how long a task that still waits for an instance is stopped; None: never."""
    max_provisioning_tasks: int | None = None
    """How many tasks of a cluster may wait for that; 500 on AWS."""
    run_task_rate: float | None = None
    run_task_burst: float | None = None
    launch_rate: float | None = None
    launch_burst: float | None = None
    buckets: dict[str, TokenBucket] = field(default_factory=dict)
    launches: TokenBucket | None = None

    def change(self, settings: Mapping[str, Any], operations: frozenset[str]) -> None:
        """Change settings. Raises EmulatorError for an invalid value."""
        for name, value in settings.items():
            if name == "quotas":
                self._set_quotas(value, operations)
            else:
                setattr(self, name, value)
        if settings.keys() & {"run_task_rate", "run_task_burst"}:
            self._set_bucket("RunTask", self.run_task_rate, self.run_task_burst)
        if settings.keys() & {"launch_rate", "launch_burst"}:
            self.launches = _bucket(self.launch_rate, self.launch_burst)

    def _set_quotas(self, quotas: Any, operations: frozenset[str]) -> None:
        for operation, quota in quotas.items():
            if operation not in operations:
                raise EmulatorError(f"quotas: no operation {operation!r}. There are: {', '.join(sorted(operations))}")
            self._set_bucket(operation, *(quota or (None, None)))

    def _set_bucket(self, operation: str, rate: float | None, burst: float | None) -> None:
        bucket = _bucket(rate, burst)
        if bucket is None:
            self.buckets.pop(operation, None)
        else:
            self.buckets[operation] = bucket


NAMES = frozenset({"quotas", *(item.name for item in fields(Settings))} - {"buckets", "launches"})
"""The names of all settings."""


def _bucket(rate: float | None, burst: float | None) -> TokenBucket | None:
    """Return a bucket, or none without a rate; a burst of its own is one second's worth, at least one call."""
    if rate is None:
        return None
    return TokenBucket(rate, max(1.0, rate) if burst is None else burst)
