"""One launch: the state of a queued workload until a container has run it to its end, and the events on its way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Mapping, NamedTuple

from airflow_ecs_executor.airflow_side import QueuedWorkload
from airflow_ecs_executor.aws.identity import TaskKey


class Step(Enum):
    """Where a launch stands.

    PENDING → SENDING → RUNNING → DONE. A launch goes back to PENDING if nothing of the task has run, and to LOCATING
    while it is not known whether a container exists.
    """

    PENDING = "pending"
    SENDING = "sending"
    RUNNING = "running"
    LOCATING = "locating"
    DONE = "done"


@dataclass
class FrozenRequest:
    """A RunTask request. As long as its outcome is not known, only the very same request may be sent."""

    parameters: Mapping[str, Any]
    """All parameters but the client token."""
    client_token: str
    first_sent: float
    may_have_started: bool = False
    """Whether a call without an answer may have started a container."""
    search_denied: bool = False
    """Whether IAM does not permit the search for that container."""


@dataclass
class Wait:
    """A launch waits until AWS can serve it."""

    since: float
    pauses: int = 0
    noted: float | None = None
    """When an event about it was last written."""


@dataclass
class Absence:
    """ECS does not know the task of a running launch."""

    since: float
    polls: int = 0


@dataclass
class StopOrder:
    """A launch is not to run: its container is stopped, if there is one."""

    reason: str
    release: bool = False
    """Whether the container is followed only until StopTask was answered, not to its end."""
    stopped_at: float | None = None
    """When StopTask was answered."""


@dataclass(eq=False)
class Launch:
    """One queued run of a workload. Only `Ledger` changes it; while it is SENDING, so does the thread that sends it."""

    key: TaskKey
    workload: QueuedWorkload | None
    """None: it has to be loaded from Airflow's database."""
    created: float
    created_after: float | None = None
    """Containers created before this time (seconds since the epoch) belong to an earlier run."""
    adopted: bool = False
    """Whether another scheduler launched it: the ARN in the database may be that of an earlier run."""
    step: Step = Step.PENDING
    not_before: float = 0.0
    """PENDING and LOCATING: when it is due."""
    request: FrozenRequest | None = None
    """While it may have to be sent again."""
    arguments_uri: str | None = None
    """The place of stored arguments until a container has read them."""
    arn: str | None = None
    absence: Absence | None = None
    fail_with: str | None = None
    """LOCATING: why the task fails if no container is found. None: then it is launched."""
    attempts: int = 0
    """Failed attempts to start a container. Waiting (for capacity, a quota, or an answer) is not an attempt."""
    relaunches: int = 0
    """How often it was launched again after AWS had taken its capacity away."""
    wait: Wait | None = None
    awaited: bool = True
    """Whether Airflow waits for the result: it has neither revoked the task nor queued it again."""
    stop: StopOrder | None = None
    unwanted_since: float | None = None
    """The first of the reviews in a row at which Airflow's database did not want the task."""
    waits_for: Launch | None = None
    """An older launch of the same task instance, whose container has to end first."""

    @property
    def may_have_started(self) -> bool:
        """Whether an unanswered request may have started a container."""
        return self.request is not None and self.request.may_have_started


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
