"""The book of all tasks that this executor has in hand, and the rules by which each of them goes on.

No threads, no AWS, no Airflow: every method is told the time and what was seen, and notes what follows. The launcher
and the poller do the talking and hold ``lock`` while they write here; the scheduler's thread reads the events.

A launch goes PENDING → SENDING → RUNNING → DONE. It goes back to PENDING when nothing of the task has run, and to
LOCATING while it is not known whether a container exists. An attempt is a container that could not start: waiting, for
room, a quota, or an API that answers, uses up none.
"""

from __future__ import annotations

import heapq
import random
import threading
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Any, Collection, Iterable, NamedTuple

from airflow_ecs_executor.aws.ecs import DESCRIBE_LIMIT
from airflow_ecs_executor.aws.errors import ApiError, ErrorKind, NotStarted
from airflow_ecs_executor.aws.task_outcome import Outcome, OutcomeKind

_TOKEN_LIFE = 3600.0
"""Seconds for which a client token surely stands for the task that it started. AWS keeps it for 24 hours at most, or
for less if the task ends sooner (Amazon ECS API Reference, "Ensuring idempotency")."""
_MISSING_LOOKS = 3
"""How often a task must be unknown to ECS, besides the grace period, before it counts as gone."""
_CHANGES_OF_STATE = frozenset({"launched", "succeeded", "failed"})


class Step(Enum):
    """Where a launch stands."""

    PENDING = "pending"
    SENDING = "sending"
    RUNNING = "running"
    LOCATING = "locating"
    DONE = "done"


@dataclass
class Wait:
    """What is known of a launch that AWS cannot serve now."""

    since: float
    pauses: int = 0
    noted: float | None = None
    """When the task's event log last heard of it."""


class Launch:
    """One queued run of a workload, until a container has run it to its end."""

    __slots__ = (
        "abandoned",
        "adopted",
        "after",
        "arn",
        "attempts",
        "created",
        "executor_config",
        "first_sent",
        "key",
        "looks_missing",
        "missing_since",
        "not_before",
        "quiet",
        "reason",
        "relaunches",
        "relocate",
        "request",
        "revoked",
        "since",
        "step",
        "stopped_at",
        "stored",
        "uncertain",
        "unlocatable",
        "unwanted_since",
        "wait",
        "workload",
    )

    def __init__(self, key: Any, workload: Any, executor_config: Any, now: float) -> None:
        """Start as PENDING, due at once. ``workload`` None means: Airflow's database has it."""
        self.key = key
        self.workload = workload
        self.executor_config = executor_config
        self.created = now
        self.not_before = now
        self.step = Step.PENDING
        self.arn: str | None = None
        self.request: dict[str, Any] | None = None
        """The frozen RunTask request with its client token, while it may have to be sent again."""
        self.first_sent: float | None = None
        self.stored: str | None = None
        """Where the arguments are that the request points to, until a container has read them."""
        self.uncertain = False
        """Whether an unanswered request may have started a container."""
        self.attempts = 0
        """Attempts to get a container started that have failed."""
        self.relaunches = 0
        """How often it was launched again after AWS had taken its capacity away."""
        self.wait: Wait | None = None
        self.revoked = False
        self.quiet = False
        """Nobody waits for the result: revoked, or the same task instance was queued again."""
        self.abandoned = False
        """Its container is followed no longer than until it has been stopped."""
        self.stopped_at: float | None = None
        """When StopTask was answered."""
        self.unwanted_since: float | None = None
        """Since which review Airflow's database has said so."""
        self.after: Launch | None = None
        """The launch of the same task instance whose container has to be gone first."""
        self.adopted = False
        """Launched by another scheduler: its ARN is the database's word."""
        self.missing_since: float | None = None
        self.looks_missing = 0
        self.reason = ""
        self.relocate = False
        """LOCATING: launch it when no container is found, instead of failing it."""
        self.unlocatable = False
        """The search for containers is not permitted."""
        self.since: float | None = None
        """Containers created before this time (seconds since the epoch) belong to an earlier run."""


class Discard(NamedTuple):
    """Stored arguments that no container is going to read; ordered by when they are to be removed."""

    due: float
    order: int
    uri: str
    tries: int = 0


class Event(NamedTuple):
    """Something that the scheduler's thread has to hear of."""

    kind: str
    """``launched``, ``succeeded``, ``failed``, or, for the task's event log only, ``note``, ``wait``, ``remark`` or
    ``log``."""
    launch: Launch
    info: str
    """The task's ARN, the reason, or what the container logged last."""
    seconds: float = 0.0
    """With ``launched``: since the task was queued."""

    @property
    def wanted(self) -> bool:
        """Whether it is still to be told: of a launch that has become quiet, only what changes no task's state."""
        return not self.launch.quiet or self.kind not in _CHANGES_OF_STATE


@dataclass(frozen=True)
class Policy:
    """How patient to be. Times are seconds."""

    max_attempts: int = 3
    relaunch: bool = True
    """Whether a task is launched again after AWS has taken its capacity away."""
    max_relaunches: int = 3
    wait_limit: float | None = None
    """For how long a launch waits for room, or for an API that answers. None: until Airflow revokes the task."""
    missing_grace: float = 60.0
    poll_interval: float = 3.0
    backoff_base: float = 4.0
    backoff_cap: float = 120.0
    unanswered_base: float = 1.0
    unanswered_cap: float = 30.0
    throttled_base: float = 0.2
    throttled_cap: float = 10.0
    room_base: float = 5.0
    room_cap: float = 60.0
    """A wait begins with the base as pause; each next one is twice as long, up to the cap."""
    note_delay: float = 10.0
    """How long a launch is throttled, or not answered, before its event log says so: a burst always is for moments."""
    note_interval: float = 300.0
    """Between two events about the same wait."""
    review_interval: float = 300.0
    """Between two looks into Airflow's database whether the tasks in hand are still wanted."""
    unwanted_grace: float = 1800.0
    """For how long a container may outlive its task: Airflow gives it 20 minutes ([core] task_success_overtime)."""
    credentials_base: float = 1.0
    """The first pause after a call without valid credentials; each next one is twice as long, up to the cap."""
    credentials_cap: float = 30.0
    resend_limit: float = 300.0
    """How long a request that is not answered is sent again before its container is looked for instead: Airflow 3's
    token in it lives for 600 s."""
    locate_delay: float = 15.0
    """Until a container that was just launched is surely listed: ECS is eventually consistent."""
    stop_grace: float = 300.0
    """For how long a stopped container may be said to run: ECS kills it after 120 s at the latest (``stopTimeout``)."""
    discard_tries: int = 5
    clock_skew: float = 5.0
    """By which the clocks of AWS and of the scheduler may differ."""
    log_delays: tuple[float, ...] = (5.0, 10.0, 20.0)
    """Before each look at a failed container's log: CloudWatch has its last lines some seconds after its end."""
    health_pause: float = 1.0
    """Before a throttled or unanswered call of the check at start is made again; doubled each time."""
    end_timeout: float = 600.0
    """For how long ``end`` waits for tasks that run: the next scheduler takes them over."""
    terminate_timeout: float = 30.0
    leave_timeout: float = 5.0

    def backoff(self, attempt: int) -> float:
        """Return the delay after failed attempt number ``attempt``: exponential, with up to half of it random."""
        return _jittered(min(self.backoff_base**attempt, self.backoff_cap))


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.0)


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


class Ledger:
    """All launches of one executor. The caller holds ``lock`` around each method."""

    def __init__(self, policy: Policy) -> None:
        """Start empty."""
        self.policy = policy
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget everything, locks included, as a forked process has to."""
        self.lock = threading.Lock()
        self.work = threading.Condition(self.lock)
        """There is something to launch or to stop."""
        self.watch = threading.Condition(self.lock)
        """There is something to look at."""
        self.events: deque[Event] = deque()
        self.counters = Counters()
        self.closing = False
        """Nothing is launched any more."""
        self.paused_until = 0.0
        """No request goes out before this time, for want of credentials."""
        self._live: dict[Any, Launch] = {}
        self._due: list[tuple[float, int, Launch]] = []
        self._order = 0
        self._followed: dict[str, Launch] = {}
        """By ARN, in the order in which they were last looked at."""
        self._looked: dict[str, float] = {}
        self._hurried: deque[str] = deque()
        self._locating: dict[int, Launch] = {}
        self._stops: list[tuple[float, int, str, str]] = []
        self._stopping = 0
        self._sending = 0
        self._pending = 0
        self._without_room: dict[int, Launch] = {}
        """Those that wait for room, in the order in which they were last refused."""
        self._reviewed: float | None = None
        self._discards: list[Discard] = []
        self._discarding = 0

    # What the scheduler's thread does

    def submit(self, arrivals: Iterable[tuple[Any, Any, Any]], now: float) -> None:
        """Take over queued workloads: ``(key, workload, executor_config)`` each.

        A task instance that was deferred, or is a rescheduled sensor, comes with the same key again, perhaps before
        its former container is seen to have ended: it is launched when that one is gone. The former container must
        not change the task's state any more, not even by having ended well: a task that is queued, and that no
        executor has, would be failed for it.
        """
        if self.closing:
            return
        arrivals = list(arrivals)
        keys = {key for key, _, _ in arrivals}
        for event in self.events:
            if event.launch.key in keys:
                event.launch.quiet = True
        for key, workload, executor_config in arrivals:
            launch = Launch(key, workload, executor_config, now)
            self._chain(launch)
            self._live[key] = launch
            self._pending += 1
            if launch.after is None:
                self._push(launch)

    def _chain(self, launch: Launch) -> None:
        former = self._live.get(launch.key)
        if former is None:
            return
        former.quiet = True
        if former.step is Step.PENDING and not former.uncertain:
            launch.after = former.after
            former.after = None
            self._end(former)
            return
        launch.after = former
        if former.arn is not None and former.step is Step.RUNNING:
            self.hurry([former.arn])

    def revoke(self, key: Any, reason: str, now: float) -> None:
        """Give a task up without an event: what is pending is dropped, and a container is stopped."""
        launch = self._live.get(key)
        while launch is not None:
            former = launch.after
            launch.quiet = True
            self._drop(launch, reason, now)
            launch = former

    def _drop(self, launch: Launch, reason: str, now: float) -> None:
        launch.revoked = True
        launch.reason = reason
        if launch.step is Step.RUNNING and launch.arn is not None:
            self._request_stop(launch.arn, reason, now)
        elif launch.step is Step.LOCATING:
            launch.relocate = False
        elif launch.step is Step.PENDING and not launch.uncertain:
            self._fail(launch, reason)

    def let_go(self, key: Any, reason: str, now: float) -> None:
        """Airflow has ended the task without us: its container is stopped, and followed no longer."""
        launch = self._live.get(key)
        while launch is not None:
            launch.abandoned = True
            launch = launch.after
        self.revoke(key, reason, now)

    def seconds_to_review(self, now: float) -> float:
        """Return how long until Airflow's database is to be asked which of the tasks in hand are still wanted."""
        if self._reviewed is None:
            self._reviewed = now
        return max(0.0, self._reviewed + self.policy.review_interval - now)

    def review(self, now: float) -> list[Any]:
        """Return the tasks in hand; `reviewed` has to follow."""
        self._reviewed = now
        return [key for key in self._live if self.has_in_hand(key)]

    def reviewed(self, unwanted: Collection[Any], now: float) -> None:
        """Give up the tasks that Airflow has not wanted for a while: a container may have to end by itself first."""
        for key, launch in list(self._live.items()):
            if key not in unwanted or launch.quiet:
                launch.unwanted_since = None
            elif launch.unwanted_since is None:
                launch.unwanted_since = now
            elif launch.arn is None or now - launch.unwanted_since >= self.policy.unwanted_grace:
                launch.abandoned = True
                self._drop(launch, "Airflow had ended the task, or started another try of it", now)

    def adopt(self, key: Any, arn: str | None, now: float, *, since: float | None, relocate: bool) -> bool:
        """Follow a task that another scheduler launched; without an ARN, look for its container first.

        False: its container is one that this scheduler stops, so that the task has to be queued again.
        """
        if self.has_in_hand(key):
            return True  # this scheduler was taken for dead: it goes on
        if arn in self._followed:
            return False
        launch = Launch(key, None, None, now)
        launch.adopted, launch.since = True, since
        self._chain(launch)
        self._live[key] = launch
        if arn is not None:
            self._follow(launch, arn, now)
        else:
            launch.relocate = relocate
            self._locate(launch, now)
        return True

    def announce(self, arn: str) -> None:
        """Have the ARN of an adopted task saved."""
        launch = self._followed.get(arn)
        if launch is not None:
            self.events.append(Event("launched", launch, arn))

    def close(self) -> None:
        """Launch nothing any more; what is pending stays queued in Airflow's database, for the next scheduler."""
        self.closing = True
        for launch in self._all():
            if launch.step is Step.PENDING:
                self._end(launch)
        self.work.notify()

    def stop_all(self, reason: str, now: float) -> None:
        """Close, and stop every container."""
        self.close()
        for arn in self._followed:
            self._request_stop(arn, reason, now)
        for launch in self._all():
            launch.revoked = True
            launch.reason = reason

    def _all(self) -> list[Launch]:
        """Every launch, those that wait for a former one of the same task instance included."""
        found: list[Launch] = []
        for head in self._live.values():
            launch: Launch | None = head
            while launch is not None:
                found.append(launch)
                launch = launch.after
        return found

    def has_in_hand(self, key: Any) -> bool:
        """Whether this scheduler launches or follows a task, and reports its end to Airflow."""
        launch = self._live.get(key)
        return launch is not None and not launch.quiet

    @property
    def pending(self) -> int:
        """Tasks without a container, as far as is known."""
        return self._pending + len(self._locating)

    @property
    def running(self) -> int:
        """Tasks whose container is followed."""
        return len(self._followed)

    @property
    def waiting(self) -> int:
        """Tasks that wait for room or for a quota."""
        return len(self._without_room)

    @property
    def in_flight(self) -> int:
        """RunTask calls that wait for their answer."""
        return self._sending

    @property
    def stops_outstanding(self) -> int:
        """Containers that are still to be stopped."""
        return len(self._stops) + self._stopping

    # Launching

    def next_launch(self, now: float) -> tuple[Launch | None, float | None]:
        """Return the launch whose request goes out now, or the seconds until one may be due (None: unknown)."""
        if now < self.paused_until:
            return None, self.paused_until - now
        while self._due:
            due, _, launch = self._due[0]
            if launch.step is not Step.PENDING or launch.not_before != due:
                heapq.heappop(self._due)
                continue
            if due > now:
                return None, due - now
            return launch, None
        return None, None

    def begin_sending(self, launch: Launch) -> None:
        """Note that ``next_launch``'s answer is being sent."""
        heapq.heappop(self._due)
        self._without_room.pop(id(launch), None)
        launch.step = Step.SENDING
        self._sending += 1
        self._pending -= 1

    def launched(self, launch: Launch, arn: str, now: float) -> None:
        """ECS has taken the task."""
        self._sending -= 1
        self.counters.launched += 1
        launch.adopted = False
        self._follow(launch, arn, now)
        self.events.append(Event("launched", launch, arn, now - launch.created))
        if launch.revoked:
            self._request_stop(arn, launch.reason, now)

    def refused(self, launch: Launch, reason: str) -> None:
        """The task can never be launched: its executor_config, or its workload, is wrong."""
        self._sending -= 1
        self._fail(launch, reason)

    def not_ready(self, launch: Launch, reason: str, now: float) -> None:
        """Its request could not be made now: that is tried again."""
        self._sending -= 1
        self.counters.api_errors += 1
        self._discard(launch)
        self._wait_for_answer(launch, reason, now)

    def not_placed(self, launch: Launch, answer: NotStarted, now: float) -> None:
        """ECS answered that it did not start the task (``failures[]``, or an answer with nothing in it)."""
        self._sending -= 1
        if answer.temporary:
            self._wait_for_room(launch, answer.explanation, now)
        else:
            self._attempt_failed(launch, answer.explanation, now)

    def rejected(self, launch: Launch, error: ApiError, now: float) -> None:
        """The call failed: decide by its kind."""
        kind = error.kind
        if kind is ErrorKind.CONFLICT and error.resource_ids:
            self.counters.api_errors += 1
            self.launched(launch, error.resource_ids[0], now)
            return
        self._sending -= 1
        launch.uncertain |= error.outcome_unknown
        # What AWS has turned away was not carried out: a new request may go out, with a token that is still fresh.
        if kind is ErrorKind.THROTTLED:
            self.counters.throttled += 1
            pauses = (self.policy.throttled_base, self.policy.throttled_cap)
            self._wait(launch, error.explanation, now, pauses, self.policy.note_delay, same_request=launch.uncertain)
            return
        if kind is not ErrorKind.CAPACITY:
            self.counters.api_errors += 1
        if kind is ErrorKind.OUTCOME_UNKNOWN:
            self.counters.unanswered += 1
            self._wait_for_answer(launch, error.explanation, now)
        elif kind is ErrorKind.SERVER:
            self.counters.server_errors += 1
            self._wait_for_answer(launch, error.explanation, now)
        elif kind is ErrorKind.CREDENTIALS:
            self._again(launch, now, same_request=launch.uncertain)
        elif kind in (ErrorKind.TAGGING_DENIED, ErrorKind.REVISION_GONE):
            self._again(launch, now, same_request=False)
        elif kind is ErrorKind.CAPACITY:
            self._wait_for_room(launch, error.explanation, now)
        elif kind is ErrorKind.CONFLICT:
            self._attempt_failed(launch, error.explanation, now)
        else:
            self._give_up(launch, error.explanation, now)

    def pause(self, until: float) -> None:
        """Send nothing before a time: there are no credentials now."""
        self.paused_until = max(self.paused_until, until)

    def _wait_for_answer(self, launch: Launch, reason: str, now: float) -> None:
        """Send the same request again: it is not known what became of it."""
        pauses = (self.policy.unanswered_base, self.policy.unanswered_cap)
        self._wait(launch, reason, now, pauses, self.policy.note_delay, same_request=True)

    def _wait_for_room(self, launch: Launch, reason: str, now: float) -> None:
        """Launch it again when there may be room for it: in time, or as soon as another task has ended."""
        self.counters.no_capacity += 1
        self._without_room[id(launch)] = launch
        pauses = (self.policy.room_base, self.policy.room_cap)
        self._wait(launch, reason, now, pauses, 0.0, same_request=False)

    def _wait(
        self,
        launch: Launch,
        reason: str,
        now: float,
        pauses: tuple[float, float],
        note_delay: float,
        same_request: bool,
    ) -> None:
        """Try it again after a pause, which begins with the first of ``pauses`` and doubles up to the second."""
        policy = self.policy
        wait = launch.wait = launch.wait or Wait(now)
        if policy.wait_limit is not None and now - wait.since >= policy.wait_limit:
            self._give_up(
                launch, f"No container could be started within {policy.wait_limit:.0f} s. Last: {reason}", now
            )
            return
        due = wait.since + note_delay if wait.noted is None else wait.noted + policy.note_interval
        if now >= due and not launch.revoked:
            wait.noted = now
            text = f"Waiting to be launched, for {now - wait.since:.0f} s so far; no attempt is used up. {reason}"
            self.events.append(Event("wait", launch, text))
        base, cap = pauses
        pause = _jittered(min(base * 2.0 ** min(wait.pauses, 30), cap))
        wait.pauses += 1
        self._again(launch, now + pause, same_request)

    def _room_made(self, now: float) -> None:
        """Launch one that waits for room now, each in its turn: a task has ended."""
        for launch in self._without_room.values():
            if launch.step is Step.PENDING and launch.not_before > now:
                launch.not_before = now
                if launch.wait is not None:
                    launch.wait.pauses = 0
                self._push(launch)
                return

    def _attempt_failed(self, launch: Launch, reason: str, now: float) -> None:
        launch.attempts += 1
        launch.wait = None
        limit = self.policy.max_attempts
        if launch.attempts >= limit:
            self._give_up(launch, f"No container could be started in {launch.attempts} attempts. Last: {reason}", now)
            return
        if not launch.revoked:
            text = f"Attempt {launch.attempts} of {limit} to start a container failed: {reason}"
            self.events.append(Event("note", launch, text))
        self._again(launch, now + self.policy.backoff(launch.attempts), same_request=False)

    def _give_up(self, launch: Launch, reason: str, now: float) -> None:
        if launch.uncertain:
            launch.reason, launch.relocate = reason, False
            self._locate(launch, now)
        else:
            self._fail(launch, reason)

    def _again(self, launch: Launch, not_before: float, same_request: bool) -> None:
        """Send a launch again: the same request, or, for a new attempt, a new one with a new client token."""
        unwanted = self.closing or launch.revoked or launch.quiet
        # An unanswered request of an unwanted launch is resolved before it is forgotten: its container has to be
        # stopped. When this executor closes, that is left to the next scheduler.
        if unwanted and (self.closing or not launch.uncertain):
            if self.closing or launch.quiet:
                self._end(launch)
            else:
                self._fail(launch, launch.reason)
            return
        if launch.uncertain:
            # A new token must not go out while the old one may have started a container.
            age = not_before - launch.first_sent if launch.first_sent is not None else 0.0
            if launch.unlocatable and age > _TOKEN_LIFE:
                self._fail(launch, "ECS did not answer for an hour; whether a container was started is not known.")
                return
            if not launch.unlocatable and (age > self.policy.resend_limit or not same_request):
                launch.relocate = True
                self._locate(launch, not_before)
                return
        elif not same_request:
            launch.request = launch.first_sent = None
            self._discard(launch)
        launch.step = Step.PENDING
        launch.arn = None
        launch.not_before = not_before
        self._pending += 1
        if launch.after is None:
            self._push(launch)

    def _push(self, launch: Launch) -> None:
        self._order += 1
        heapq.heappush(self._due, (launch.not_before, self._order, launch))
        self.work.notify()

    # Following

    def _follow(self, launch: Launch, arn: str, now: float) -> None:
        launch.step = Step.RUNNING
        launch.arn = arn
        launch.request = launch.first_sent = None
        launch.uncertain = False
        launch.missing_since = None
        launch.looks_missing = 0
        self._followed[arn] = launch
        self._looked[arn] = now
        self.watch.notify()

    def next_batch(self, now: float) -> tuple[list[str], float | None]:
        """Return the tasks to describe now, longest unseen first, or the seconds until there are any (None: unknown).

        A batch waits until the longest unseen task is due, and is then filled up with those that are due soon: few
        full calls cost less than many small ones.
        """
        batch: list[str] = []
        while self._hurried and len(batch) < DESCRIBE_LIMIT:
            arn = self._hurried.popleft()
            if arn in self._followed and arn not in batch:
                batch.append(arn)
        if not self._followed:
            return batch, None
        if not batch:
            oldest = next(iter(self._looked))
            due = self._looked[oldest] + self.policy.poll_interval
            if due > now:
                return [], due - now
        soon = now - self.policy.poll_interval / 2
        chosen = set(batch)
        for arn, looked in self._looked.items():
            if len(batch) >= DESCRIBE_LIMIT or looked > soon:
                break
            if arn not in chosen:
                batch.append(arn)
        for arn in batch:
            self._mark_looked(arn, now)
        return batch, None

    def _mark_looked(self, arn: str, now: float) -> None:
        self._looked.pop(arn, None)
        self._looked[arn] = now

    def hurry(self, arns: Iterable[str]) -> None:
        """Look at these tasks first."""
        self._hurried.extend(arns)
        self.watch.notify()

    def launch_of(self, arn: str) -> Launch | None:
        """The launch that a followed task belongs to."""
        return self._followed.get(arn)

    def seen(self, arn: str, now: float) -> None:
        """The task goes on; or ECS says so, long after it was stopped, since its host is lost."""
        launch = self._followed.get(arn)
        if launch is None:
            return
        launch.missing_since, launch.looks_missing = None, 0
        if launch.stopped_at is not None and now - launch.stopped_at > self.policy.stop_grace:
            self._release(launch)

    def not_this_run(self, arn: str, now: float) -> None:
        """An adopted task's ARN is that of an earlier run: look for the container of this one."""
        launch = self._followed.get(arn)
        if launch is not None:
            self._unfollow(arn)
            launch.arn, launch.relocate = None, True
            self._locate(launch, now)

    def missing(self, arn: str, now: float) -> None:
        """ECS does not know the task: it may not know it yet, or have forgotten it."""
        launch = self._followed.get(arn)
        if launch is None:
            return
        launch.looks_missing += 1
        if launch.missing_since is None:
            launch.missing_since = now
        patient = now - launch.missing_since < self.policy.missing_grace or launch.looks_missing < _MISSING_LOOKS
        if patient:
            return
        self._unfollow(arn)
        self._fail(
            launch,
            f"{arn}: ECS has not known this task for {now - launch.missing_since:.0f} s. It forgets tasks about an "
            "hour after they have stopped; whether this one ran to its end is not known.",
        )

    def ended(self, arn: str, outcome_of: Outcome, now: float, relaunch: bool = True) -> None:
        """The task has ended. ``relaunch`` False: its task instance has reported itself, or cannot run again."""
        launch = self._followed.get(arn)
        if launch is None:
            return
        self._unfollow(arn)
        if not outcome_of.temporary:
            self._room_made(now)
        ending, reason = outcome_of.kind, outcome_of.explanation
        if outcome_of.has_reason and not launch.revoked:
            self.events.append(Event("remark", launch, reason))
        if launch.quiet:
            self._end(launch)
        elif ending is OutcomeKind.SUCCEEDED:
            self.counters.succeeded += 1
            launch.stored = None  # read, and removed, by the container
            self._report(launch, "succeeded", arn)
        elif ending is OutcomeKind.NEVER_STARTED:
            self.counters.never_started += 1
            if outcome_of.temporary:
                self._wait_for_room(launch, reason, now)
            else:
                self._attempt_failed(launch, reason, now)
        elif ending is OutcomeKind.SPOT:
            self.counters.spot_interruptions += 1
            self._interrupted(launch, "Interrupted: AWS took the Spot capacity back", reason, now, relaunch)
        elif ending is OutcomeKind.INFRASTRUCTURE:
            self.counters.infrastructure_interruptions += 1
            self._interrupted(launch, "Interrupted: AWS took the host of the ECS task away", reason, now, relaunch)
        elif ending is OutcomeKind.STOPPED_BY_USER:
            self._fail(launch, f"Stopped before it ran. {reason}")
        else:
            self._fail(launch, reason)

    def logged(self, launch: Launch, text: str) -> None:
        """What a container that failed has logged last has become known, some time after its end."""
        self.events.append(Event("log", launch, text))

    def _interrupted(self, launch: Launch, what: str, reason: str, now: float, relaunch: bool) -> None:
        limit = self.policy.max_relaunches
        if not self.policy.relaunch or not relaunch:
            self._fail(launch, f"{what}. {reason}")
        elif launch.relaunches >= limit:
            self._fail(launch, f"{what}, after relaunch {launch.relaunches} of {limit}. {reason}")
        else:
            launch.relaunches += 1
            launch.wait = None
            text = f"{what}; launching again ({launch.relaunches} of {limit}). {reason}"
            self.events.append(Event("note", launch, text))
            self._again(launch, now + _jittered(1.0), same_request=False)

    def _unfollow(self, arn: str) -> None:
        del self._followed[arn]
        self._looked.pop(arn, None)

    # Looking for containers whose ARN is not known

    def _locate(self, launch: Launch, now: float) -> None:
        launch.step = Step.LOCATING
        launch.not_before = now + self.policy.locate_delay
        self._locating[id(launch)] = launch
        self.watch.notify()

    def seconds_to_locate(self, now: float) -> float | None:
        """Return how long until a container may be looked for, or None."""
        if not self._locating:
            return None
        return max(0.0, min(launch.not_before for launch in self._locating.values()) - now)

    def to_locate(self, now: float) -> list[Launch]:
        """The launches whose container may be looked for now."""
        return [launch for launch in self._locating.values() if launch.not_before <= now]

    def located(self, launch: Launch, arn: str | None, now: float) -> None:
        """The search is over: follow the container, launch one, or fail."""
        if self._locating.pop(id(launch), None) is None:
            return
        if arn is not None and arn not in self._followed:
            self._follow(launch, arn, now)
            self.announce(arn)
            if launch.revoked:
                self._request_stop(arn, launch.reason, now)
            self.hurry([arn])
            return
        launch.uncertain = False
        if launch.relocate and not launch.quiet:
            self._again(launch, now, same_request=False)
        else:
            self._fail(launch, launch.reason or "No container of this task was found.")

    def cannot_locate(self, launch: Launch, now: float) -> None:
        """The search is not permitted. An unanswered request goes out again, which shows what has become of it."""
        if self._locating.pop(id(launch), None) is None:
            return
        launch.unlocatable = True
        if launch.request is not None and (launch.relocate or launch.revoked):
            self._again(launch, now, same_request=True)
        else:
            known = " Whether a container was started is not known." if launch.uncertain else ""
            self._fail(launch, (launch.reason or "No container of this task is known.") + known)

    def locate_later(self, launch: Launch, now: float) -> None:
        """The search could not be made."""
        launch.not_before = now + _jittered(self.policy.locate_delay)

    # Stopping

    def _request_stop(self, arn: str, reason: str, due: float) -> None:
        self._order += 1
        heapq.heappush(self._stops, (due, self._order, arn, reason))
        self.work.notify()

    def next_stop(self, now: float) -> tuple[str, str] | None:
        """Take the next container to stop: its ARN and the reason; ``stopped`` or ``stop_failed`` has to follow."""
        while self._stops and self._stops[0][0] <= now:
            _, _, arn, reason = heapq.heappop(self._stops)
            if arn in self._followed:
                self._stopping += 1
                return arn, reason
        return None

    def seconds_to_next_stop(self, now: float) -> float | None:
        """Return how long until a container is to be stopped, or None."""
        return max(0.0, self._stops[0][0] - now) if self._stops else None

    def stopped(self, arn: str, now: float) -> None:
        """It was stopped, or nothing helps."""
        self._stopping -= 1
        launch = self._followed.get(arn)
        if launch is not None and launch.revoked:
            launch.stopped_at = now
            if launch.abandoned:
                self._release(launch)

    def _release(self, launch: Launch) -> None:
        """Follow a stopped container no longer, unless another launch of its task instance waits for its end."""
        if launch.arn is not None and self._live.get(launch.key) is launch:
            self._unfollow(launch.arn)
            self._fail(launch, launch.reason)

    def stop_failed(self, arn: str, reason: str, now: float) -> None:
        """The container could not be stopped now: try again, as long as it is followed."""
        self._stopping -= 1
        if arn in self._followed:
            self._request_stop(arn, reason, now + self.policy.backoff(1))

    # Ends

    def _fail(self, launch: Launch, reason: str) -> None:
        if not launch.quiet:
            self.counters.failed += 1
        self._report(launch, "failed", reason)

    def _report(self, launch: Launch, kind: str, info: str) -> None:
        self.events.append(Event(kind, launch, info))
        self._end(launch)

    def _end(self, launch: Launch) -> None:
        if launch.step is Step.PENDING:
            self._pending -= 1
        launch.step = Step.DONE
        launch.request = launch.workload = None
        if not launch.uncertain:  # else a container may be about to read them
            self._discard(launch)
        self._locating.pop(id(launch), None)
        self._without_room.pop(id(launch), None)
        successor = self._live.get(launch.key)
        if successor is launch:
            if launch.after is None:
                del self._live[launch.key]
            else:
                self._live[launch.key] = launch.after
            return
        while successor is not None and successor.after is not launch:
            successor = successor.after
        if successor is not None:
            successor.after = launch.after
            launch.after = None
            if successor.after is None and successor.step is Step.PENDING:
                self._push(successor)

    def _discard(self, launch: Launch) -> None:
        if launch.stored is not None:
            self._push_discard(launch.stored, 0.0)
            launch.stored = None

    def _push_discard(self, uri: str, due: float, tries: int = 0) -> None:
        self._order += 1
        heapq.heappush(self._discards, Discard(due, self._order, uri, tries))
        self.work.notify()

    @property
    def discards_outstanding(self) -> int:
        """Stored arguments that are still to be removed."""
        return len(self._discards) + self._discarding

    def next_discard(self, now: float) -> Discard | None:
        """Take what is to be removed next; ``discarded`` or ``discard_failed`` has to follow."""
        if not self._discards or self._discards[0].due > now:
            return None
        self._discarding += 1
        return heapq.heappop(self._discards)

    def seconds_to_next_discard(self, now: float) -> float | None:
        """Return how long until something is to be removed, or None."""
        return max(0.0, self._discards[0].due - now) if self._discards else None

    def discarded(self) -> None:
        """It was removed, or nothing helps."""
        self._discarding -= 1

    def discard_failed(self, discard: Discard, now: float) -> bool:
        """It could not be removed now: try again, a few times; False when that has been done."""
        self._discarding -= 1
        tries = discard.tries + 1
        if tries == self.policy.discard_tries:
            return False
        self._push_discard(discard.uri, now + self.policy.backoff(tries), tries)
        return True
