"""How often and how long the executor retries and waits."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """Limits, pauses and intervals. Times are seconds."""

    max_attempts: int = 3
    relaunch: bool = True
    """Whether a task is launched again after AWS has taken its capacity away."""
    max_relaunches: int = 3
    wait_limit: float | None = None
    """How long a launch waits for capacity, or for an API that answers. None: until Airflow revokes the task."""
    missing_grace: float = 60.0
    """How long ECS may not know a task before the task counts as gone."""
    missing_polls: int = 3
    """How many polls must have missed the task by then."""
    poll_interval: float = 3.0
    backoff_base: float = 4.0
    backoff_cap: float = 120.0
    unanswered_base: float = 1.0
    unanswered_cap: float = 30.0
    throttled_base: float = 0.2
    throttled_cap: float = 10.0
    room_base: float = 5.0
    room_cap: float = 60.0
    """The first pause of a wait is the base; each further pause is twice as long, up to the cap."""
    note_delay: float = 10.0
    """How long a launch is throttled, or not answered, before its event log says so: in a burst this is normal."""
    note_interval: float = 300.0
    """Between two events about the same wait."""
    review_interval: float = 300.0
    """Between two queries of Airflow's database for tasks that are not wanted any more."""
    unwanted_grace: float = 1800.0
    """How long a container may outlive its task: Airflow allows 20 minutes ([core] task_success_overtime)."""
    credentials_base: float = 1.0
    """The first pause after a call without valid credentials; each further pause is twice as long, up to the cap."""
    credentials_cap: float = 30.0
    resend_limit: float = 300.0
    """How long an unanswered request is sent again before its container is searched for instead: the token of Airflow 3
    in the request is valid for 600 s."""
    locate_delay: float = 15.0
    """How long a search waits until a new container is surely listed: ECS is eventually consistent."""
    stop_grace: float = 300.0
    """How long ECS may report a stopped container as running: ECS kills it after 120 s at most (``stopTimeout``)."""
    discard_tries: int = 5
    clock_skew: float = 5.0
    """The largest difference between the clocks of AWS and of the scheduler."""
    log_delays: tuple[float, ...] = (5.0, 10.0, 20.0)
    """Before each read of a failed container's log: CloudWatch has its last lines some seconds after its end."""
    health_pause: float = 1.0
    """Before a throttled or unanswered call of the startup check is repeated; doubled each time."""
    end_timeout: float = 600.0
    """How long ``end`` waits for running tasks: the next scheduler adopts the rest."""
    terminate_timeout: float = 30.0
    leave_timeout: float = 5.0

    def backoff(self, attempt: int) -> float:
        """Return the delay after failed attempt number ``attempt``: exponential, with jitter."""
        return jittered(min(self.backoff_base**attempt, self.backoff_cap))


def jittered(seconds: float) -> float:
    """Return a random duration between half of ``seconds`` and all of it."""
    return seconds * random.uniform(0.5, 1.0)
