"""The interface between the API and what runs containers.

The API decides what ECS decides: what is accepted, which states a task goes through, why it stops, what is answered.
A runner only makes containers live and reports on them:

    API                            runner                          reports, in this order
    RunTask              →         ``start(task)``         →       ``provisioned`` the task has a place and a network
                                                                   ``pulled`` the images are there
                                                                   ``container_started`` for each, as it starts
                                                                   ``running`` every container runs
                                                           or      ``failed_to_start`` instead of any of these
                                                                   ``container_exited`` for each, as it ends
                                                                   ``deprovisioning`` resources are given back
                                                                   ``stopped`` nothing is left
    StopTask, Spot, an
    essential container
    that has ended       →         ``stop(task)``          →       ``stopping`` containers get their SIGTERM, then the
                                                                   same reports as above, from ``container_exited`` on
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from local.ecs.errors import EmulatorError
from local.ecs.state import Task

BLOCKING_CALLS = 32
"""How many calls of runners run in ``asyncio.to_thread`` at once."""


class Reports(Protocol):
    """Reports of a runner about a task. Implemented by ``local.ecs.lifecycle.Lifecycle``."""

    def provisioned(self, task: Task, address: str | None = None, mac_address: str | None = None) -> None:
        """The task has its place and its network interface: PENDING. Its images are pulled now.

        The addresses are those of the interface, where there is a real one.
        """

    def pulled(self, task: Task, digests: Mapping[str, str] | None = None) -> None:
        """Its images are pulled: ACTIVATING. ``digests`` are those of the images by container name, if known."""

    def container_started(self, task: Task, name: str, runtime_id: str) -> None:
        """One container runs, before others do. ``runtime_id`` is the engine's id.

        If containers do not wait for each other, ``running`` is enough.
        """

    def running(self, task: Task) -> None:
        """All its containers run: RUNNING."""

    def failed_to_start(self, task: Task, reason: str, container_reason: str | None = None) -> None:
        """It will never run: it stops with TaskFailedToStart, its containers have no exit code."""

    def end(self, task: Task, stop_code: str | None, reason: str) -> None:
        """It stops for another reason than the end of an essential container. Reported before ``container_exited``."""

    def stopping(self, task: Task) -> None:
        """Its containers are being told to stop: STOPPING."""

    def container_exited(self, task: Task, name: str, exit_code: int | None, reason: str | None = None) -> None:
        """One container has ended. If it is essential, the task stops and ``stop`` is called for the others."""

    def deprovisioning(self, task: Task) -> None:
        """No container is left: DEPROVISIONING. Those not reported yet count as ended without exit code."""

    def stopped(self, task: Task) -> None:
        """Nothing is left of the task: STOPPED."""


class Runner:
    """Runs containers. Subclass it; every method is called in the server's event loop and must not block it."""

    reports: Reports
    """Set before anything else is called."""
    fields: frozenset[str] = frozenset()
    """What ``behave`` can change."""

    async def open(self) -> None:
        """Prepare before the server listens. Raises EmulatorError if that fails."""

    async def start(self, task: Task) -> None:
        """Run a new task. Called once for each, as an asyncio task that may last as long as the task does.

        An exception that leaves it ends the task; a cancellation (``reset``, the server's end) must leave nothing.
        """
        raise NotImplementedError

    async def stop(self, task: Task, exit_code: int | None = None) -> None:
        """Stop the containers of a task that still run: SIGTERM, ``stopTimeout``, SIGKILL.

        Called at most once for each task, at any time after ``start`` began; it may come too late, which is no error.
        ``exit_code`` is a test's wish for what a simulated container ends with.
        """
        raise NotImplementedError

    def finish(self, task: Task, exit_code: int) -> None:
        """End a container as if its program had ended, if the runner can."""
        raise EmulatorError(f"{type(self).__name__} cannot finish a task")

    def behave(self, match: str | None, times: int | None, behaviour: Mapping[str, Any]) -> None:
        """Add a rule on how tasks behave, if the runner can."""
        raise EmulatorError(f"{type(self).__name__} takes no behaviours")

    def reset(self) -> None:
        """Forget everything. The ``start`` of every task has been cancelled before."""

    async def close(self) -> None:
        """Release resources at the end of the server."""
