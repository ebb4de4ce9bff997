"""The state between two resets: an account, its tasks, the faults, and statistics of calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local.ecs.capacity import Capacity
from local.ecs.faults import Faults
from local.ecs.lifecycle import Lifecycle
from local.ecs.operations import Operations
from local.ecs.runner import Runner
from local.ecs.state import Account

_IMAGE = "airflow-ecs-worker:latest"
_CONTAINER = {"name": "airflow", "image": _IMAGE, "essential": True}
_SIDECAR = {"name": "sidecar", "image": "sidecar:latest", "essential": False}
_FARGATE = {"networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "512", "memory": "1024"}


@dataclass
class Calls:
    """Statistics of the calls of one operation."""

    throttled: int = 0
    errors: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    times: list[float] = field(default_factory=list)

    def describe(self, times: bool) -> dict[str, Any]:
        """Return what ``calls`` answers."""
        document: dict[str, Any] = {
            "count": len(self.times),
            "throttled": self.throttled,
            "errors": self.errors,
            "max_in_flight": self.max_in_flight,
        }
        return {**document, "times": self.times} if times else document


class World:
    """The state of the server."""

    account: Account
    capacity: Capacity
    lifecycle: Lifecycle
    operations: Operations
    faults: Faults
    calls: dict[str, Calls]

    def __init__(self, runner: Runner, region: str, account: str, strict: bool = False) -> None:
        """Create the cluster and the task definitions that tests rely on."""
        self.runner = runner
        self._region = region
        self._number = account
        self._strict = strict
        self._begin()

    async def reset(self) -> None:
        """End all tasks and start again."""
        await self.lifecycle.close()
        self.runner.reset()
        self._begin()

    async def close(self) -> None:
        """End all tasks and the runner."""
        await self.lifecycle.close()
        await self.runner.close()

    def _begin(self) -> None:
        self.account = Account(self._region, self._number, self._strict)
        self.capacity = Capacity(self.account.settings)
        self.lifecycle = Lifecycle(self.account, self.capacity, self.runner)
        self.operations = Operations(self.account, self.capacity, self.lifecycle)
        self.faults = Faults()
        self.calls = {}
        self.operations.create_cluster({"clusterName": "airflow", "capacityProviders": ["FARGATE", "FARGATE_SPOT"]})
        for family, containers in (("worker", [_CONTAINER]), ("worker-with-sidecar", [_SIDECAR, _CONTAINER])):
            self.operations.register_task_definition(
                {"family": family, "containerDefinitions": [dict(item) for item in containers], **_FARGATE}
            )
