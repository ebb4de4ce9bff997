"""What the ledger reports: events for Airflow, and counters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from airflow_ecs_executor.launching.launch import Launch


class EventKind(Enum):
    """What has happened. Values are the names in the task's event log; LAUNCHED and SUCCEEDED are not written there."""

    LAUNCHED = "launched"
    SUCCEEDED = "succeeded"
    FAILED = "ecs task failed"
    ATTEMPT_FAILED = "ecs task attempt failed"
    WAITING = "ecs task waiting"
    CONTAINER_REASON = "ecs container reason"
    CONTAINER_LOG = "ecs container log"


_CHANGES_OF_STATE = frozenset({EventKind.LAUNCHED, EventKind.SUCCEEDED, EventKind.FAILED})


class Event(NamedTuple):
    """Something that the scheduler's thread reports to Airflow."""

    kind: EventKind
    launch: Launch
    info: str
    """The ECS task's ARN, the reason, or the last lines of the container's log."""
    seconds: float = 0.0
    """LAUNCHED: the time since the task was queued."""

    @property
    def is_current(self) -> bool:
        """Whether it is to be reported: after Airflow has given up the launch, only what changes no task's state."""
        return self.launch.awaited or self.kind not in _CHANGES_OF_STATE


@dataclass
class Counters:
    """What has happened since the executor started."""

    launched: int = 0
    throttled: int = 0
    unanswered: int = 0
    api_errors: int = 0
    server_errors: int = 0
    no_capacity: int = 0
    never_started: int = 0
    spot_interruptions: int = 0
    infrastructure_interruptions: int = 0
    succeeded: int = 0
    failed: int = 0
