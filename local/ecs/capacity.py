"""Capacity for tasks: Fargate's quota of vCPUs, and the room on the container instances of EC2 clusters."""

from __future__ import annotations

import asyncio

from local.ecs.answers import ANSWERS, refusal
from local.ecs.quotas import Settings
from local.ecs.state import Cluster, Task

_SPOT = "FARGATE_SPOT"


class Capacity:
    """The capacity that the settings give to the tasks of an account.

    A task that managed scaling has to bring an instance for waits in PROVISIONING: "Amazon ECS cluster auto scaling" in
    the ECS Developer Guide. The instance that arrives is for this task alone, and goes with it.
    """

    def __init__(self, settings: Settings) -> None:
        """Begin without tasks."""
        self._settings = settings
        self._vcpus = {False: 0.0, True: 0.0}
        """Of the Fargate tasks that are not STOPPED: of On-Demand, and of Spot ones."""
        self._in_room: set[str] = set()
        self._waiting: dict[str, tuple[Task, asyncio.Event]] = {}

    def admit(
        self, cluster: Cluster, launch_type: str, provider: str | None, vcpus: float, count: int
    ) -> tuple[int, str]:
        """Return how many of ``count`` tasks ECS accepts, and the failure reason of the others. Raises ApiError."""
        settings = self._settings
        if launch_type == "FARGATE":
            if settings.max_vcpus is None or not vcpus:
                return count, ""
            left = (settings.max_vcpus - self._vcpus[provider == _SPOT]) / vcpus
            return min(count, max(0, int(left + 1e-9))), ANSWERS["vcpu_quota"].message
        room = count if settings.ec2_room is None else max(0, settings.ec2_room - len(self._in_room))
        if provider is None:
            return min(count, room), settings.ec2_shortage
        waiting = sum(task.cluster is cluster for task, _ in self._waiting.values()) + max(0, count - room)
        if settings.max_provisioning_tasks is not None and waiting > settings.max_provisioning_tasks:
            raise refusal("provisioning_limit")
        return count, ""

    def enter(self, task: Task) -> None:
        """Count an admitted task. It gets a place at once, or ``wait`` waits for one."""
        if task.launch_type == "FARGATE":
            self._vcpus[task.provider == _SPOT] += task.vcpus
        elif self._has_room:
            self._in_room.add(task.id)
            task.arrive()
        else:
            self._waiting[task.id] = (task, asyncio.Event())

    async def wait(self, task: Task) -> bool:
        """Wait until the task has a place or has to stop; return False after the timeout."""
        if task.id not in self._waiting:
            return True
        arrival, limit = self._settings.scale_out_seconds, self._settings.provisioning_timeout
        try:
            await asyncio.wait_for(
                self._waiting[task.id][1].wait(),
                min((end for end in (arrival, limit) if end is not None), default=None),
            )
        except asyncio.TimeoutError:
            if arrival is None or (limit is not None and limit < arrival):
                return False
            task.arrive()
        finally:
            self._waiting.pop(task.id, None)
        return True

    def give_up(self, task: Task) -> bool:
        """End the wait of a task that is to stop; return whether it was waiting."""
        waiting = self._waiting.get(task.id)
        if waiting is not None:
            waiting[1].set()
        return waiting is not None

    def leave(self, task: Task) -> None:
        """Release the place of a STOPPED task."""
        if task.launch_type == "FARGATE":
            self._vcpus[task.provider == _SPOT] -= task.vcpus
        elif task.id in self._in_room:
            self._in_room.remove(task.id)
            self.settle()

    def settle(self) -> None:
        """Place waiting tasks in their order while there is room."""
        for task, event in self._waiting.values():
            if not self._has_room:
                return
            if not event.is_set():
                self._in_room.add(task.id)
                task.arrive()
                event.set()

    @property
    def _has_room(self) -> bool:
        return self._settings.ec2_room is None or len(self._in_room) < self._settings.ec2_room
