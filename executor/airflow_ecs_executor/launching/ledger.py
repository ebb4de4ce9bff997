"""In-memory state of every task this executor owns, and its transitions. No I/O.

No threads, no AWS, no Airflow: each method takes the time and what was observed, and records what follows from it.
Whoever calls a method holds ``lock``. Only the scheduler's thread takes events from the queue, and it does so, and
reads properties and counters, without the lock: each is a single operation of the interpreter. Waiting (for capacity,
a quota, or an API that answers) never uses up an attempt.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Collection, Iterable, Iterator, NamedTuple

from airflow_ecs_executor.airflow_side import QueuedWorkload
from airflow_ecs_executor.aws.errors import ApiError, ErrorKind, NotStarted
from airflow_ecs_executor.aws.identity import TaskKey
from airflow_ecs_executor.aws.task_outcome import Outcome, OutcomeKind
from airflow_ecs_executor.launching.launch import Absence, Counters, Event, EventKind, Launch, Step, StopOrder, Wait
from airflow_ecs_executor.launching.policy import Policy, jittered
from airflow_ecs_executor.launching.queues import Discards, DueQueue, PollQueue

_TOKEN_LIFE = 3600.0
"""Seconds for which a client token surely stands for the task that it started. AWS keeps it for 24 hours at most, or
for less if the task ends sooner (Amazon ECS API Reference, "Ensuring idempotency")."""
_NOT_FOUND = "No container of this task was found."


class StopCall(NamedTuple):
    """A container to be stopped."""

    arn: str
    reason: str


class Ledger:
    """All launches of one executor. The caller holds ``lock`` around each method."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget everything, including the locks, as a forked process has to."""
        self.lock = threading.Lock()
        self.work = threading.Condition(self.lock)
        """Notified when there is something to launch, to stop or to remove."""
        self.watch = threading.Condition(self.lock)
        """Notified when there is something to poll or to search for."""
        self.events: deque[Event] = deque()
        self.counters = Counters()
        self.closing = False
        """Whether nothing is launched any more."""
        self.paused_until = 0.0
        """Until then there are no valid credentials, and no call is made."""
        self.discards = Discards(self.policy, self.work.notify)
        self._live: dict[TaskKey, Launch] = {}
        """The newest launch of each task instance; older ones follow by ``waits_for``."""
        self._steps: Counter[Step] = Counter()
        self._due: DueQueue[Launch] = DueQueue(_is_due)
        self._without_room: dict[Launch, None] = {}
        """Those that wait for capacity, in the order in which they were last refused."""
        self._followed: dict[str, Launch] = {}
        self._polls = PollQueue(self.policy.poll_interval)
        self._locating: dict[Launch, None] = {}
        self._stops: DueQueue[StopCall] = DueQueue(lambda due, stop: stop.arn in self._followed)
        self._stopping = 0
        self._reviewed: float | None = None

    @property
    def pending(self) -> int:
        """Tasks without a container, as far as is known."""
        return self._steps[Step.PENDING] + self._steps[Step.LOCATING]

    @property
    def running(self) -> int:
        """Tasks whose container is followed."""
        return len(self._followed)

    @property
    def waiting(self) -> int:
        """Tasks that wait for capacity or for a quota."""
        return len(self._without_room)

    @property
    def in_flight(self) -> int:
        """RunTask calls that wait for their answer."""
        return self._steps[Step.SENDING]

    @property
    def stops_outstanding(self) -> int:
        """Containers that are still to be stopped."""
        return len(self._stops) + self._stopping

    def owns(self, key: TaskKey) -> bool:
        """Whether this scheduler launches or follows a task, and reports its end to Airflow."""
        launch = self._live.get(key)
        return launch is not None and launch.awaited

    # Queued tasks

    def submit(self, arrivals: Collection[QueuedWorkload], now: float) -> None:
        """Take over queued workloads.

        A deferred task instance and a rescheduled sensor return with the same key, perhaps before their former
        container was seen to end; the new launch waits until that container is gone. The former container must not
        change the task's state any more, not even by a success: Airflow fails a task that is queued and that no
        executor has.
        """
        if self.closing:
            return
        keys = {arrival.key for arrival in arrivals}
        for event in self.events:
            if event.launch.key in keys:
                event.launch.awaited = False
        for arrival in arrivals:
            launch = Launch(arrival.key, arrival, now, not_before=now)
            self._add(launch)
            if launch.waits_for is None:
                self._push(launch)

    def _add(self, launch: Launch) -> None:
        """Make a launch the newest of its task instance; an older one that has no container yet is dropped."""
        former = self._live.get(launch.key)
        if former is not None:
            former.awaited = False
            if former.step is Step.PENDING and not former.may_have_started:
                self._end(former)
            elif former.arn is not None and former.step is Step.RUNNING:
                self.poll_first([former.arn])
        launch.waits_for = self._live.get(launch.key)
        self._live[launch.key] = launch
        self._steps[launch.step] += 1

    def close(self) -> None:
        """Launch nothing any more; pending tasks stay queued in Airflow's database, for the next scheduler."""
        self.closing = True
        for launch in self._all():
            if launch.step is Step.PENDING:
                self._end(launch)
        self.work.notify()

    def _all(self) -> list[Launch]:
        return [launch for newest in self._live.values() for launch in _chain(newest)]

    # Tasks that are not to run any more

    def revoke(self, key: TaskKey, reason: str, now: float) -> None:
        """Give up a task without an event: a pending launch is dropped, and a container is stopped."""
        self._give_up_task(key, reason, now, release=False)

    def let_go(self, key: TaskKey, reason: str, now: float) -> None:
        """Give up a task that Airflow itself has ended: its container is stopped, and not followed any longer."""
        self._give_up_task(key, reason, now, release=True)

    def _give_up_task(self, key: TaskKey, reason: str, now: float, release: bool) -> None:
        for launch in list(_chain(self._live.get(key))):
            launch.awaited = False
            self._drop(launch, reason, now, release)

    def _drop(self, launch: Launch, reason: str, now: float, release: bool) -> None:
        self._order_stop(launch, reason, release)
        if launch.step is Step.RUNNING and launch.arn is not None:
            self._request_stop(launch.arn, reason, now)
        elif launch.step is Step.PENDING and not launch.may_have_started:
            self._fail(launch, reason)

    def _order_stop(self, launch: Launch, reason: str, release: bool = False) -> None:
        former = launch.stop or StopOrder(reason)
        launch.stop = StopOrder(reason, release or former.release, former.stopped_at)

    def stop_all(self, reason: str, now: float) -> None:
        """Close, and stop every container."""
        self.close()
        for arn in self._followed:
            self._request_stop(arn, reason, now)
        for launch in self._all():
            self._order_stop(launch, reason)

    def seconds_to_review(self, now: float) -> float:
        """Return the seconds until Airflow's database is to be asked which tasks are still wanted."""
        if self._reviewed is None:
            self._reviewed = now
        return max(0.0, self._reviewed + self.policy.review_interval - now)

    def review(self, now: float) -> list[TaskKey]:
        """Return the tasks to ask for; `reviewed` has to follow."""
        self._reviewed = now
        return [key for key in self._live if self.owns(key)]

    def reviewed(self, unwanted: Collection[TaskKey], now: float) -> None:
        """Give up tasks that Airflow has not wanted for a while; before that, a container may end by itself."""
        for key, launch in list(self._live.items()):
            if key not in unwanted or not launch.awaited:
                launch.unwanted_since = None
            elif launch.unwanted_since is None:
                launch.unwanted_since = now
            elif launch.arn is None or now - launch.unwanted_since >= self.policy.unwanted_grace:
                self._drop(launch, "Airflow had ended the task, or started another try of it", now, release=True)

    # Adoption

    def adopt(
        self, key: TaskKey, arn: str | None, now: float, *, created_after: float | None, launch_if_missing: bool
    ) -> bool:
        """Follow a task that another scheduler launched; without an ARN, search for its container first.

        Return False if its container is one that this scheduler stops: the task has to be queued again.
        """
        if self.owns(key):
            return True  # this scheduler was taken for dead, and has the task still
        if arn in self._followed:
            return False
        launch = Launch(key, None, now, created_after, adopted=True)
        self._add(launch)
        if arn is not None:
            self._follow(launch, arn, now)
        else:
            self._locate(launch, now, fail_with=None if launch_if_missing else _NOT_FOUND)
        return True

    def report_launched(self, arn: str) -> None:
        """Have the ARN of an adopted task saved."""
        launch = self._followed.get(arn)
        if launch is not None:
            self.events.append(Event(EventKind.LAUNCHED, launch, arn))

    # Launching

    def seconds_to_next_launch(self, now: float) -> float | None:
        """Return the seconds until a request is to be sent, or None if none is pending."""
        return self._unless_paused(self._due.wait(now), now)

    def next_launch(self, now: float) -> Launch | None:
        """Return a launch whose request is to be sent now, if there is one; the result of the call has to follow."""
        launch = self._due.pop(now) if now >= self.paused_until else None
        if launch is not None:
            self._without_room.pop(launch, None)
            self._move(launch, Step.SENDING)
        return launch

    def launched(self, launch: Launch, arn: str, now: float) -> None:
        """ECS has accepted the task."""
        self.counters.launched += 1
        launch.adopted = False
        self._follow(launch, arn, now)
        self.events.append(Event(EventKind.LAUNCHED, launch, arn, now - launch.created))

    def refused(self, launch: Launch, reason: str) -> None:
        """The task can never be launched: its ``executor_config`` or its workload is wrong."""
        self._fail(launch, reason)

    def not_ready(self, launch: Launch, reason: str, now: float, arguments_uri: str | None) -> None:
        """The request could not be made now: try again. ``arguments_uri`` was stored for it, or may have been."""
        self.counters.api_errors += 1
        if arguments_uri is not None:
            self.discards.add(arguments_uri)
        self._wait_for_answer(launch, reason, now)

    def not_placed(self, launch: Launch, answer: NotStarted, now: float) -> None:
        """ECS answered that it did not start the task (``failures[]``, or an empty answer)."""
        if answer.temporary:
            self._wait_for_room(launch, answer.explanation, now)
        else:
            self._attempt_failed(launch, answer.explanation, now)

    def rejected(self, launch: Launch, error: ApiError, now: float) -> None:
        """The call failed: decide by the kind of the error."""
        kind, counters = error.kind, self.counters
        if kind not in (ErrorKind.THROTTLED, ErrorKind.CAPACITY):
            counters.api_errors += 1
        if kind is ErrorKind.CONFLICT and error.resource_ids:
            self.launched(launch, error.resource_ids[0], now)
            return
        if launch.request is not None:
            launch.request.may_have_started |= error.outcome_unknown
        if kind is ErrorKind.THROTTLED:
            counters.throttled += 1
            # AWS has not carried out what it throttled: a new request may go out, whose token is still fresh.
            pauses = (self.policy.throttled_base, self.policy.throttled_cap)
            self._launch_later(launch, error.explanation, now, pauses, same_request=launch.may_have_started)
        elif kind is ErrorKind.OUTCOME_UNKNOWN:
            counters.unanswered += 1
            self._wait_for_answer(launch, error.explanation, now)
        elif kind is ErrorKind.SERVER:
            counters.server_errors += 1
            self._wait_for_answer(launch, error.explanation, now)
        elif kind is ErrorKind.CREDENTIALS:
            self._launch_again(launch, now, same_request=launch.may_have_started)
        elif kind in (ErrorKind.TAGGING_DENIED, ErrorKind.REVISION_GONE):
            self._launch_again(launch, now, same_request=False)
        elif kind is ErrorKind.CAPACITY:
            self._wait_for_room(launch, error.explanation, now)
        elif kind is ErrorKind.CONFLICT:
            self._attempt_failed(launch, error.explanation, now)
        else:
            self._fail_unless_started(launch, error.explanation, now)

    def pause(self, until: float) -> None:
        """Make no call before a time: there are no valid credentials."""
        self.paused_until = max(self.paused_until, until)

    def _unless_paused(self, wait: float | None, now: float) -> float | None:
        return None if wait is None else max(wait, self.paused_until - now)

    def _wait_for_answer(self, launch: Launch, reason: str, now: float) -> None:
        """Send the same request again: its outcome is not known."""
        pauses = (self.policy.unanswered_base, self.policy.unanswered_cap)
        self._launch_later(launch, reason, now, pauses, same_request=True)

    def _wait_for_room(self, launch: Launch, reason: str, now: float) -> None:
        """Launch again when there may be capacity: after a pause, or as soon as another task has ended."""
        self.counters.no_capacity += 1
        self._without_room[launch] = None
        pauses = (self.policy.room_base, self.policy.room_cap)
        self._launch_later(launch, reason, now, pauses, same_request=False, note_delay=0.0)

    def _launch_later(
        self,
        launch: Launch,
        reason: str,
        now: float,
        pauses: tuple[float, float],
        same_request: bool,
        note_delay: float | None = None,
    ) -> None:
        """Launch again after a pause, which starts with the first of ``pauses`` and doubles up to the second."""
        policy = self.policy
        wait = launch.wait = launch.wait or Wait(now)
        if policy.wait_limit is not None and now - wait.since >= policy.wait_limit:
            text = f"No container could be started within {policy.wait_limit:.0f} s. Last: {reason}"
            self._fail_unless_started(launch, text, now)
            return
        if wait.noted is None:
            due = wait.since + (policy.note_delay if note_delay is None else note_delay)
        else:
            due = wait.noted + policy.note_interval
        if now >= due and launch.stop is None:
            wait.noted = now
            text = f"Waiting to be launched, for {now - wait.since:.0f} s so far; no attempt is used up. {reason}"
            self.events.append(Event(EventKind.WAITING, launch, text))
        base, cap = pauses
        pause = jittered(min(base * 2.0 ** min(wait.pauses, 30), cap))
        wait.pauses += 1
        self._launch_again(launch, now + pause, same_request)

    def _room_made(self, now: float) -> None:
        """Launch the first of those that wait for capacity now: a task has ended."""
        for launch in self._without_room:
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
            text = f"No container could be started in {launch.attempts} attempts. Last: {reason}"
            self._fail_unless_started(launch, text, now)
            return
        if launch.stop is None:
            text = f"Attempt {launch.attempts} of {limit} to start a container failed: {reason}"
            self.events.append(Event(EventKind.ATTEMPT_FAILED, launch, text))
        self._launch_again(launch, now + self.policy.backoff(launch.attempts), same_request=False)

    def _fail_unless_started(self, launch: Launch, reason: str, now: float) -> None:
        """Fail a task; if a request may have started a container, search for it first."""
        if launch.may_have_started:
            self._locate(launch, now, fail_with=reason)
        else:
            self._fail(launch, reason)

    def _launch_again(self, launch: Launch, not_before: float, same_request: bool) -> None:
        """Launch again: with the same request, or, for a new attempt, with a new one and a new client token."""
        request = launch.request
        # The outcome of an unanswered request is found out even if nobody wants the launch any more: its container has
        # to be stopped. When this executor closes, that is left to the next scheduler.
        if self.closing or (not launch.awaited and not launch.may_have_started):
            self._end(launch)
            return
        if launch.stop is not None and not launch.may_have_started:
            self._fail(launch, launch.stop.reason)
            return
        if request is not None and request.may_have_started:
            # A new token must not be sent while the old one may have started a container.
            age = not_before - request.first_sent
            if request.search_denied and age > _TOKEN_LIFE:
                self._fail(launch, "ECS did not answer for an hour; whether a container was started is not known.")
                return
            if not request.search_denied and (age > self.policy.resend_limit or not same_request):
                self._locate(launch, not_before, fail_with=None)
                return
        elif not same_request:
            launch.request = None
            self._discard_arguments(launch)
        self._move(launch, Step.PENDING)
        launch.arn = None
        launch.not_before = not_before
        if launch.waits_for is None:
            self._push(launch)

    def _push(self, launch: Launch) -> None:
        self._due.push(launch.not_before, launch)
        self.work.notify()

    def _move(self, launch: Launch, step: Step) -> None:
        self._steps[launch.step] -= 1
        self._steps[step] += 1
        launch.step = step

    # Running tasks

    def _follow(self, launch: Launch, arn: str, now: float) -> None:
        self._move(launch, Step.RUNNING)
        launch.arn = arn
        launch.request = launch.absence = None
        self._followed[arn] = launch
        self._polls.add(arn, now)
        self.watch.notify()
        if launch.stop is not None:
            self._request_stop(arn, launch.stop.reason, now)

    def _unfollow(self, arn: str) -> None:
        del self._followed[arn]
        self._polls.remove(arn)

    def next_batch(self, now: float) -> tuple[list[str], float | None]:
        """Return the tasks to describe now, or the seconds until a task is due (None: there is no task)."""
        return self._polls.next_batch(now)

    def poll_first(self, arns: Iterable[str]) -> None:
        """Poll these tasks before the others."""
        self._polls.poll_first(arns)
        self.watch.notify()

    def launch_of(self, arn: str) -> Launch | None:
        """Return the launch that a followed task belongs to."""
        return self._followed.get(arn)

    def seen(self, arn: str, now: float) -> None:
        """ECS says that the task runs; if it says so long after StopTask, the task's host is lost."""
        launch = self._followed.get(arn)
        if launch is None:
            return
        launch.absence = None
        stopped_at = launch.stop.stopped_at if launch.stop else None
        if stopped_at is not None and now - stopped_at > self.policy.stop_grace:
            self._release(launch)

    def not_this_run(self, arn: str, now: float) -> None:
        """The ARN of an adopted task is that of an earlier run: search for the container of this run."""
        launch = self._followed.get(arn)
        if launch is not None:
            self._unfollow(arn)
            launch.arn = None
            self._locate(launch, now, fail_with=None)

    def missing(self, arn: str, now: float) -> None:
        """ECS does not know the task: either not yet, or it has forgotten it."""
        launch = self._followed.get(arn)
        if launch is None:
            return
        absence = launch.absence = launch.absence or Absence(now)
        absence.polls += 1
        seconds = now - absence.since
        if seconds < self.policy.missing_grace or absence.polls < self.policy.missing_polls:
            return
        self._unfollow(arn)
        self._fail(
            launch,
            f"{arn}: ECS has not known this task for {seconds:.0f} s. ECS forgets tasks about an hour after they have "
            "stopped; whether this task ran to its end is not known.",
        )

    def ended(self, arn: str, outcome: Outcome, now: float, relaunch: bool = True) -> None:
        """The task has ended. ``relaunch`` False: its task instance has reported its end, or cannot run again."""
        launch = self._followed.get(arn)
        if launch is None:
            return
        self._unfollow(arn)
        if not outcome.temporary:
            self._room_made(now)
        kind, reason, counters = outcome.kind, outcome.explanation, self.counters
        # Airflow may have failed the task, so that its container was to be stopped, after the container had ended.
        if outcome.has_reason and not (launch.stop and outcome.by_stop_task):
            self.events.append(Event(EventKind.CONTAINER_REASON, launch, reason))
        if not launch.awaited:
            self._end(launch)
        elif kind is OutcomeKind.SUCCEEDED:
            counters.succeeded += 1
            launch.arguments_uri = None  # the container has read them, and removes them
            self.events.append(Event(EventKind.SUCCEEDED, launch, arn))
            self._end(launch)
        elif kind is OutcomeKind.NEVER_STARTED:
            counters.never_started += 1
            if outcome.temporary:
                self._wait_for_room(launch, reason, now)
            else:
                self._attempt_failed(launch, reason, now)
        elif kind is OutcomeKind.SPOT:
            counters.spot_interruptions += 1
            self._interrupted(launch, "Interrupted: AWS took the Spot capacity back", reason, now, relaunch)
        elif kind is OutcomeKind.INFRASTRUCTURE:
            counters.infrastructure_interruptions += 1
            self._interrupted(launch, "Interrupted: AWS took the host of the ECS task away", reason, now, relaunch)
        elif kind is OutcomeKind.STOPPED_BY_USER:
            self._fail(launch, f"Stopped before it ran. {reason}")
        else:
            self._fail(launch, reason)

    def logged(self, launch: Launch, text: str) -> None:
        """The last lines of a failed container's log were read, some time after its end."""
        self.events.append(Event(EventKind.CONTAINER_LOG, launch, text))

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
            self.events.append(Event(EventKind.ATTEMPT_FAILED, launch, text))
            self._launch_again(launch, now + jittered(1.0), same_request=False)

    # The search for containers whose ARN is not known

    def _locate(self, launch: Launch, now: float, fail_with: str | None) -> None:
        """Search for a launch's container; without one, fail with a reason, or launch it if that is None."""
        self._move(launch, Step.LOCATING)
        launch.not_before = now + self.policy.locate_delay
        launch.fail_with = fail_with
        self._locating[launch] = None
        self.watch.notify()

    def seconds_to_locate(self, now: float) -> float | None:
        """Return the seconds until a container is to be searched for, or None."""
        if not self._locating:
            return None
        return max(0.0, min(launch.not_before for launch in self._locating) - now)

    def to_locate(self, now: float) -> list[Launch]:
        """Return the launches whose container is to be searched for now."""
        return [launch for launch in self._locating if launch.not_before <= now]

    def located(self, launch: Launch, arn: str | None, now: float) -> None:
        """The search is complete: follow the container, launch a new one, or fail."""
        if not self._end_search(launch):
            return
        if arn is not None and arn not in self._followed:
            self._follow(launch, arn, now)
            self.report_launched(arn)
            self.poll_first([arn])
            return
        if launch.request is not None:
            launch.request.may_have_started = False
        if launch.fail_with is None:
            self._launch_again(launch, now, same_request=False)
        else:
            self._fail(launch, launch.fail_with)

    def cannot_locate(self, launch: Launch, now: float) -> None:
        """The search is not permitted. Sending an unanswered request again shows what has become of it."""
        if not self._end_search(launch):
            return
        request = launch.request
        if request is not None:
            request.search_denied = True
        if request is not None and (launch.fail_with is None or launch.stop is not None):
            self._launch_again(launch, now, same_request=True)
        else:
            unknown = " Whether a container was started is not known." if launch.may_have_started else ""
            gives_no_reason = launch.fail_with in (None, _NOT_FOUND)
            reason = "No container of this task is known." if gives_no_reason else launch.fail_with
            self._fail(launch, f"{reason}{unknown}")

    def _end_search(self, launch: Launch) -> bool:
        """Return whether a launch was still searched for."""
        if launch not in self._locating:
            return False
        del self._locating[launch]
        return True

    def locate_later(self, launch: Launch, now: float) -> None:
        """The search failed: repeat it later."""
        launch.not_before = now + jittered(self.policy.locate_delay)

    # Stopping containers

    def _request_stop(self, arn: str, reason: str, due: float) -> None:
        self._stops.push(due, StopCall(arn, reason))
        self.work.notify()

    def seconds_to_next_stop(self, now: float) -> float | None:
        """Return the seconds until a container is to be stopped, or None."""
        return self._unless_paused(self._stops.wait(now), now)

    def next_stop(self, now: float) -> StopCall | None:
        """Return a container to be stopped now, if there is one; `stopped` or `stop_failed` has to follow."""
        stop = self._stops.pop(now)
        if stop is not None:
            self._stopping += 1
        return stop

    def stopped(self, arn: str, now: float) -> None:
        """The container was stopped, or cannot be."""
        self._stopping -= 1
        launch = self._followed.get(arn)
        if launch is not None and launch.stop is not None:
            launch.stop.stopped_at = now
            if launch.stop.release:
                self._release(launch)

    def stop_failed(self, stop: StopCall, now: float) -> None:
        """The container could not be stopped now: try again, as long as it is followed."""
        self._stopping -= 1
        if stop.arn in self._followed:
            self._request_stop(stop.arn, stop.reason, now + self.policy.backoff(1))

    def _release(self, launch: Launch) -> None:
        """Stop following a stopped container, unless a newer launch of its task instance waits for its end."""
        if launch.arn is not None and launch.stop is not None and self._live.get(launch.key) is launch:
            self._unfollow(launch.arn)
            self._fail(launch, launch.stop.reason)

    # The end of a launch

    def _fail(self, launch: Launch, reason: str) -> None:
        if launch.awaited:
            self.counters.failed += 1
        self.events.append(Event(EventKind.FAILED, launch, reason))
        self._end(launch)

    def _end(self, launch: Launch) -> None:
        if not launch.may_have_started:  # otherwise a container may be about to read them
            self._discard_arguments(launch)
        self._move(launch, Step.DONE)
        launch.request = launch.workload = None
        self._locating.pop(launch, None)
        self._without_room.pop(launch, None)
        self._unchain(launch)

    def _unchain(self, launch: Launch) -> None:
        """Take a launch out of the chain of its task instance; a newer one may be the next to be launched."""
        former, launch.waits_for = launch.waits_for, None
        newest = self._live.get(launch.key)
        if newest is not launch:
            for newer in _chain(newest):
                if newer.waits_for is launch:
                    newer.waits_for = former
                    if former is None and newer.step is Step.PENDING:
                        self._push(newer)
        elif former is None:
            del self._live[launch.key]
        else:
            self._live[launch.key] = former

    def _discard_arguments(self, launch: Launch) -> None:
        if launch.arguments_uri is not None:
            self.discards.add(launch.arguments_uri)
            launch.arguments_uri = None


def _is_due(due: float, launch: Launch) -> bool:
    """Whether an entry of the queue still stands: the launch may have ended, or may be due at another time by now."""
    return launch.step is Step.PENDING and launch.not_before == due


def _chain(launch: Launch | None) -> Iterator[Launch]:
    """Yield a launch, and the older ones that it waits for."""
    while launch is not None:
        yield launch
        launch = launch.waits_for
