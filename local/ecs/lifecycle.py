"""The states of a task: calls to the runner, and changes that the runner reports.

The order of states is that of "Task lifecycle states" in the ECS Developer Guide.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Coroutine, Mapping
from typing import Any

from local.ecs.capacity import Capacity
from local.ecs.ends import ENDS, ESSENTIAL_EXITED, ESSENTIAL_EXITED_REASON, FAILED_TO_START, End
from local.ecs.runner import Runner
from local.ecs.state import STOPPED, Account, Container, Task, new_id, now, private_dns_name

_ORDER = {
    status: place
    for place, status in enumerate(
        ("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", STOPPED)
    )
}
# Containers of hundreds of tasks take their time to go; less than what ``control`` waits for the answer to ``reset``.
_PATIENCE = 50.0
_ESSENTIAL_EXITED = End(ESSENTIAL_EXITED, ESSENTIAL_EXITED_REASON, "")


class Lifecycle:
    """Launches and stops tasks of one account, and implements ``runner.Reports``."""

    def __init__(self, account: Account, capacity: Capacity, runner: Runner) -> None:
        """Become the one to whom the runner reports."""
        self._account = account
        self._capacity = capacity
        self._runner = runner
        self._work: set[asyncio.Task[None]] = set()
        runner.reports = self

    # What the API asks for

    def launch(self, task: Task) -> None:
        """Add a new task and run it as soon as it has a place."""
        self._capacity.enter(task)
        self._account.launched.append(task)
        self._account.living += 1
        task.cluster.add(task)
        self._spawn(self._start(task))

    def stop(self, task: Task, end: End) -> bool:
        """Stop a task unless it is already stopping; return whether this call stopped it."""
        if not self._mark(task, end.stop_code, end.reason):
            return False
        task.end = end
        if not self._capacity.give_up(task):
            self._spawn(self._runner.stop(task, end.exit_code))
        return True

    async def close(self) -> None:
        """Cancel the coroutines of all tasks."""
        work = [*self._work]
        for item in work:
            item.cancel()
        if work:
            await asyncio.wait(work, timeout=_PATIENCE)

    async def _start(self, task: Task) -> None:
        try:
            if not await self._capacity.wait(task):
                self.failed_to_start(task, ENDS["no_memory_later"].reason)
            await self._runner.start(task)
        except Exception as error:  # noqa: BLE001 - a runner may be anybody's
            traceback.print_exc(file=sys.stderr)
            self.failed_to_start(task, f"InternalError: {type(error).__name__}: {error}")
            self.deprovisioning(task)
            self.stopped(task)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        item = asyncio.create_task(work)
        self._work.add(item)
        item.add_done_callback(self._done)

    def _done(self, item: asyncio.Task[None]) -> None:
        self._work.discard(item)
        if not item.cancelled() and (error := item.exception()) is not None:
            traceback.print_exception(error, file=sys.stderr)

    # What the runner reports

    def provisioned(self, task: Task, address: str | None = None, mac_address: str | None = None) -> None:
        """See ``Reports``."""
        if self._advance(task, "PENDING"):
            task.pull_started_at = task.connectivity_at = now()
            if task.attachment is not None:
                task.attachment["status"] = "ATTACHED"
                identifier = task.attachment["id"].replace("-", "")
                address = address or f"10.0.{int(identifier[:2], 16)}.{int(identifier[2:4], 16)}"
                mac_address = mac_address or ":".join(["0a", *(identifier[at : at + 2] for at in range(0, 10, 2))])
                task.attachment["details"] += [
                    {"name": "networkInterfaceId", "value": f"eni-{identifier[:17]}"},
                    {"name": "macAddress", "value": mac_address},
                    {"name": "privateDnsName", "value": private_dns_name(address)},
                    {"name": "privateIPv4Address", "value": address},
                ]

    def pulled(self, task: Task, digests: Mapping[str, str] | None = None) -> None:
        """See ``Reports``."""
        if self._advance(task, "ACTIVATING"):
            task.pull_stopped_at = now()
            for container in task.containers:
                container.image_digest = (digests or {}).get(container.name)

    def container_started(self, task: Task, name: str, runtime_id: str) -> None:
        """See ``Reports``."""
        container = next(container for container in task.containers if container.name == name)
        container.last_status, container.runtime_id = "RUNNING", runtime_id
        task.changed()

    def running(self, task: Task) -> None:
        """See ``Reports``."""
        if self._advance(task, "RUNNING"):
            task.started_at = now()
            for container in task.containers:
                if container.ended_at is None:  # one that others waited for may have done its work
                    container.last_status = "RUNNING"
                if container.runtime_id is None:
                    container.runtime_id = f"{task.id}-{int(new_id()[:8], 16):010d}"  # as Fargate names them

    def failed_to_start(self, task: Task, reason: str, container_reason: str | None = None) -> None:
        """See ``Reports``."""
        self._mark(task, FAILED_TO_START, reason)
        for container in task.containers:
            self._end(container, None, container_reason)
        task.changed()

    def end(self, task: Task, stop_code: str | None, reason: str) -> None:
        """See ``Reports``."""
        self._mark(task, stop_code, reason)

    def stopping(self, task: Task) -> None:
        """See ``Reports``."""
        self._advance(task, "STOPPING")

    def container_exited(self, task: Task, name: str, exit_code: int | None, reason: str | None = None) -> None:
        """See ``Reports``."""
        container = next(container for container in task.containers if container.name == name)
        if task.end is not None:
            if task.end.host_lost:
                exit_code = None
            if container is task.main:
                reason = reason or task.end.container_reason
        self._end(container, exit_code, reason)
        task.changed()
        if container.essential and task.last_status != STOPPED:
            if task.desired_status != STOPPED:
                self.stop(task, _ESSENTIAL_EXITED)
            self._advance(task, "DEACTIVATING")

    def deprovisioning(self, task: Task) -> None:
        """See ``Reports``."""
        self._mark(task, ESSENTIAL_EXITED, ESSENTIAL_EXITED_REASON)
        if self._advance(task, "DEPROVISIONING"):
            task.execution_stopped_at = now()
            reason = task.end.container_reason if task.end is not None and not task.end.started else None
            for container in task.containers:
                self._end(container, None, reason)

    def stopped(self, task: Task) -> None:
        """See ``Reports``."""
        if self._advance(task, STOPPED):
            task.stopped_at = now()
            if task.attachment is not None:
                task.attachment["status"] = "DELETED"
            self._account.has_stopped(task)
            self._capacity.leave(task)

    # Changes

    @staticmethod
    def _advance(task: Task, status: str) -> bool:
        """Change to a later state; a late report changes nothing."""
        if _ORDER[status] <= _ORDER[task.last_status]:
            return False
        task.last_status = status
        task.changed()
        return True

    @staticmethod
    def _mark(task: Task, stop_code: str | None, reason: str) -> bool:
        """Record that a task has to stop, and why; the first reason counts."""
        if task.desired_status == STOPPED:
            return False
        task.cluster.desire_stopped(task)
        task.stop_code = stop_code
        task.stopped_reason = reason
        task.stopping_at = now()
        task.changed()
        return True

    @staticmethod
    def _end(container: Container, exit_code: int | None, reason: str | None) -> None:
        if container.ended_at is None:
            container.last_status = STOPPED
            container.exit_code = exit_code
            container.reason = reason
            container.ended_at = now()
