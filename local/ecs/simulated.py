"""The simulated runner, which is the default: no container runs, and tasks follow a ``Behaviour``."""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from local.ecs.behaviour import FIELDS, Behaviour, Behaviours
from local.ecs.errors import EmulatorError
from local.ecs.runner import Runner
from local.ecs.state import STOPPED, Task

_HOOK_FAILED_EXIT_CODE = 1


class _Life:
    """Interruptible waits of a task's coroutine."""

    def __init__(self, stopping: bool) -> None:
        self.stopping = stopping
        """It is to be stopped."""
        self.finished = False
        """Its program is to end by itself."""
        self.exit_code: int | None = None
        """What a test wants it to end with."""
        self._waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """End the wait."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def sleep(self, seconds: float | None, *, until_stopping: bool = True, until_finished: bool = False) -> bool:
        """Wait (None: for ever) and return whether the task is to end before."""

        def is_ending() -> bool:
            return (until_stopping and self.stopping) or (until_finished and self.finished)

        ending = is_ending()
        if ending or (seconds is not None and seconds <= 0):
            return ending
        loop = asyncio.get_running_loop()
        end = None if seconds is None else loop.time() + seconds
        while True:
            self._waiter = loop.create_future()
            handle = None if end is None else loop.call_at(end, self.wake)
            try:
                await self._waiter
            finally:
                if handle is not None:
                    handle.cancel()
            if is_ending():
                return True
            if end is not None and loop.time() >= end - 0.001:
                return False


class SimulatedRunner(Runner):
    """Simulates tasks without containers. Subclasses override ``started`` and ``ending`` to do some work.

    Both run in the server's event loop: what blocks, such as a database, belongs into ``asyncio.to_thread``. An
    exception ends the container with exit code 1.
    """

    fields = FIELDS

    def __init__(self) -> None:
        """Begin with the default behaviour."""
        self._behaviours = Behaviours()
        self._lives: dict[str, _Life] = {}

    async def started(self, task: Task) -> None:
        """Called when the container has started. The task's ``run_seconds`` begin when this returns."""

    async def ending(self, task: Task) -> int | None:
        """Called before the container ends, by itself or stopped. An exit code that is returned replaces its own."""
        return None

    def behave(self, match: str | None, times: int | None, behaviour: Mapping[str, Any]) -> None:
        """Change the default behaviour or add a rule."""
        self._behaviours.add(match, times, behaviour)

    def reset(self) -> None:
        """Forget rules, default and tasks."""
        self._behaviours = Behaviours()
        self._lives = {}

    def finish(self, task: Task, exit_code: int) -> None:
        """End the container by itself, as soon as it runs."""
        life = self._lives.get(task.id)
        if life is None or task.main.ended_at is not None:
            raise EmulatorError(f"The task has ended already: {task.arn}")
        life.finished = True
        life.exit_code = exit_code
        life.wake()

    async def stop(self, task: Task, exit_code: int | None = None) -> None:
        """Ask the task's coroutine to stop the container."""
        life = self._lives.get(task.id)
        if life is not None:
            life.stopping = True
            life.exit_code = exit_code
            life.wake()

    async def start(self, task: Task) -> None:
        """Run a task from its launch to its end."""
        overrides = json.dumps(task.overrides, ensure_ascii=False) if self._behaviours.any_rules else ""
        behaviour = self._behaviours.choose(overrides)
        life = self._lives[task.id] = _Life(stopping=task.desired_status == STOPPED)
        try:
            if await self._comes_up(task, life, behaviour):
                await self._runs(task, life, behaviour)
            self.reports.deprovisioning(task)
            if behaviour.deprovision_seconds:
                await asyncio.sleep(behaviour.deprovision_seconds)
            self.reports.stopped(task)
        finally:
            self._lives.pop(task.id, None)

    async def _comes_up(self, task: Task, life: _Life, behaviour: Behaviour) -> bool:
        """Take a task from PROVISIONING to RUNNING; return whether it gets there."""
        part = behaviour.start_seconds / 3
        if await life.sleep(part):
            return False
        self.reports.provisioned(task)
        if await life.sleep(part):
            return False
        if behaviour.never_starts is not None:
            self.reports.failed_to_start(task, behaviour.never_starts, behaviour.container_reason)
            return False
        self.reports.pulled(task, {task.main.name: behaviour.image_digest} if behaviour.image_digest else None)
        if await life.sleep(part):
            return False
        self.reports.running(task)
        return True

    async def _runs(self, task: Task, life: _Life, behaviour: Behaviour) -> None:
        """Take a task from RUNNING to the end of its last container."""
        stopped = False
        try:
            await self.started(task)
            stoppable = behaviour.stop_seconds is not None
            await life.sleep(behaviour.run_seconds, until_stopping=stoppable, until_finished=True)
            stopped = life.stopping and stoppable
            if stopped:
                self.reports.stopping(task)
                if behaviour.stop_seconds:
                    await asyncio.sleep(behaviour.stop_seconds)
            own = await self.ending(task)
        except Exception:  # noqa: BLE001 - a hook may be anybody's
            traceback.print_exc(file=sys.stderr)
            own = _HOOK_FAILED_EXIT_CODE
        if own is not None:
            code: int | None = own
        elif life.exit_code is not None:
            code = life.exit_code
        else:
            code = behaviour.stop_exit_code if stopped else behaviour.exit_code
        # A task that is being stopped has its reason already: this changes nothing then.
        self.reports.end(task, behaviour.stop_code, behaviour.stopped_reason)
        self.reports.container_exited(task, task.main.name, code, behaviour.container_reason)
        for container in task.containers:
            if container is not task.main:
                other = behaviour.sidecar_exit_codes.get(container.name, None if code is None else 0)
                self.reports.container_exited(task, container.name, other)
