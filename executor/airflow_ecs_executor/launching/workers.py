"""The threads that talk to ECS, so that the scheduler's thread never waits for it.

Launchers send RunTask and StopTask side by side, within their rates; one poller describes what runs; one more thread,
from the first failure on, reads what failed containers have logged. They start with the first work, and anew in a
forked process, where the threads of the parent do not exist.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import replace
from typing import Any, Callable, Mapping

from airflow_ecs_executor.airflow_side import AirflowSide
from airflow_ecs_executor.aws.ecs import find, is_of_this_run
from airflow_ecs_executor.aws.errors import ApiError, ErrorKind, classify, lacks_definition, not_started
from airflow_ecs_executor.aws.identity import identity_of, new_client_token
from airflow_ecs_executor.aws.rates import RateLimiter
from airflow_ecs_executor.aws.task_outcome import Outcome, OutcomeKind, has_started, outcome_of
from airflow_ecs_executor.config.settings import Settings
from airflow_ecs_executor.launching.ledger import Discard, Launch, Ledger
from airflow_ecs_executor.launching.log_tails import LogTails
from airflow_ecs_executor.launching.request_builder import RequestBuilder, Unlaunchable
from airflow_ecs_executor.services import Services

log = logging.getLogger("airflow_ecs_executor")

_STOP_RATE, _STOP_BURST = 10.0, 40.0
"""StopTask calls a second: half of what AWS allows, for the other schedulers' sake."""
_LOCATE_TIMEOUT = 60.0


class Workers:
    """The launchers and the poller of one ledger."""

    def __init__(
        self,
        ledger: Ledger,
        services: Services,
        requests: RequestBuilder,
        airflow: AirflowSide,
        settings: Settings,
        *,
        deployment: str,
        started_by: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start no thread yet."""
        self.ledger = ledger
        self.ecs = services.ecs
        self._services = services
        self._image_checks = services.image_checks
        self._requests = requests
        self._airflow = airflow
        self._container_name = settings.container_name
        self._deployment = deployment
        self._started_by = started_by
        self._launch_limiter = RateLimiter(settings.run_task_rate, settings.run_task_burst)
        self._describe_limiter = RateLimiter(settings.describe_tasks_rate, max(1.0, settings.describe_tasks_rate))
        self._stop_limiter = RateLimiter(_STOP_RATE, _STOP_BURST)
        self._concurrency = settings.launch_concurrency
        self._tails = LogTails(
            services.logs, settings.container_log_lines, self._logged, ledger.policy.log_delays, clock=clock
        )
        self._clock = clock
        self._idle = threading.Condition(ledger.lock)
        self._pid: int | None = None
        self._threads: list[threading.Thread] = []
        self._idlers = 0
        self._leader = False
        self._leaving = False
        self._tags = True
        self._credential_failures = 0
        self._warned: dict[str, float] = {}

    # Threads

    def ensure_running(self) -> None:
        """Start the poller and the first launcher, unless they run in this process."""
        if self._pid == os.getpid():
            return
        if self._pid is not None:
            # A fork: the parent goes on with its tasks, and its locks may be held by threads that are not here.
            self.ledger.start_afresh()
            self._idle = threading.Condition(self.ledger.lock)
        self._pid = os.getpid()
        self._threads, self._idlers, self._leader, self._leaving = [], 0, False, False
        self._start("airflow-ecs-poller", self._poll)
        self._start("airflow-ecs-launcher", self._launch_and_stop)

    def _start(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def leave(self, timeout: float) -> None:
        """End the threads, waiting ``timeout`` seconds at most for calls that are under way."""
        with self.ledger.lock:
            self._leaving = True
            self.ledger.work.notify_all()
            self.ledger.watch.notify_all()
            self._idle.notify_all()
        deadline = self._clock() + timeout
        if self._pid == os.getpid():
            for thread in self._threads:
                thread.join(max(0.0, deadline - self._clock()))
        self._tails.leave(max(0.0, deadline - self._clock()))
        self._pid = None

    # Launching and stopping

    def _launch_and_stop(self) -> None:
        while True:
            try:
                with self.ledger.lock:
                    job = self._next_job()
                    grow = job is not None and self._promote()
                if job is None:
                    return
                if grow:
                    self._start("airflow-ecs-launcher", self._launch_and_stop)
                job()
            except Exception:  # a defect of ours must not end the thread, and with it all launching
                log.exception("Unexpected error in the ECS executor's launcher")
                time.sleep(1.0)

    def _next_job(self) -> Callable[[], None] | None:
        """Wait for something to do. One thread, the leader, waits for the clock; the others wait to become leader."""
        while self._leader and not self._leaving:
            self._idlers += 1
            self._idle.wait()
            self._idlers -= 1
        self._leader = True
        try:
            while not self._leaving:
                now = self._clock()
                job, pause = self._job_now(now)
                if job is not None:
                    return job
                self.ledger.work.wait(pause)
            return None
        finally:
            self._leader = False

    def _promote(self) -> bool:
        """Let another thread lead while this one works; True when one has to be started for that."""
        if self._idlers:
            self._idle.notify()
            return False
        launchers = len(self._threads) - 1
        return launchers < self._concurrency

    def _job_now(self, now: float) -> tuple[Callable[[], None] | None, float]:
        ledger = self.ledger
        pauses = []
        stop_in = ledger.seconds_to_next_stop(now)
        if stop_in is not None:
            stop_in = max(stop_in, self._stop_limiter.wait(now), ledger.paused_until - now)
            if stop_in <= 0:
                order = ledger.next_stop(now)
                if order is not None:
                    self._stop_limiter.take(now)
                    arn, reason = order
                    return lambda: self._stop(arn, reason), 0.0
            pauses.append(stop_in)
        launch, launch_in = ledger.next_launch(now)
        if launch is not None:
            launch_in = self._launch_limiter.wait(now)
            if launch_in <= 0:
                self._launch_limiter.take(now)
                ledger.begin_sending(launch)
                chosen = launch
                return lambda: self._launch(chosen), 0.0
        if launch_in is not None:
            pauses.append(launch_in)
        review_in = ledger.seconds_to_review(now)
        if review_in <= 0:
            keys = ledger.review(now)
            return lambda: self._review(keys), 0.0
        pauses.append(review_in)
        discard = ledger.next_discard(now)
        if discard is not None:
            return lambda: self._discard(discard), 0.0
        discard_in = ledger.seconds_to_next_discard(now)
        if discard_in is not None:
            pauses.append(discard_in)
        return None, min(pauses)

    def _launch(self, launch: Launch) -> None:
        ledger = self.ledger
        try:
            if launch.request is None:
                request = self._requests.build(launch, self._tags)
                request["clientToken"] = new_client_token()
                launch.request, launch.since = request, time.time() - ledger.policy.clock_skew
        except Unlaunchable as unlaunchable:
            with ledger.lock:
                ledger.refused(launch, str(unlaunchable))
            return
        except Exception as exception:
            error = classify(exception)  # of the database, or of a service that knows what the request needs
            if error.kind is not ErrorKind.PERMANENT:
                self._not_ready(launch, error, str(getattr(exception, "operation_name", "")))
                return
            log.exception("Cannot make a RunTask request for %s", launch.key)
            with ledger.lock:
                ledger.refused(launch, f"Cannot make a RunTask request: {error.reason}")
            return
        if launch.first_sent is None:
            launch.first_sent = self._clock()
        try:
            answer = self.ecs.run_task(launch.request)
        except Exception as exception:
            self._launch_failed(launch, classify(exception))
            return
        tasks = answer.get("tasks") or ()
        with ledger.lock:
            self._credential_failures = 0
            if tasks and tasks[0].get("taskArn"):
                ledger.launched(launch, tasks[0]["taskArn"], self._clock())
            else:
                ledger.not_placed(launch, not_started(answer.get("failures") or ()), self._clock())

    def _not_ready(self, launch: Launch, error: ApiError, operation: str) -> None:
        called = f" ({operation})" if operation else ""
        message = f"A task cannot be launched yet{called}: {error.reason}"
        with self.ledger.lock:
            now = self._clock()
            self._give_way(error, None, now)  # the rate of launches is not to blame
            self.ledger.not_ready(launch, message, now)
        self._warn(f"build {error.code}", message)

    def _launch_failed(self, launch: Launch, error: ApiError) -> None:
        request = launch.request or {}
        tagged = bool(request.get("tags") or request.get("propagateTags"))
        if error.kind is ErrorKind.TAGGING_DENIED and not tagged:
            error = replace(error, kind=ErrorKind.PERMANENT)
        definition = request.get("taskDefinition", "")
        if lacks_definition(error) and self._image_checks.mark_inactive(definition):
            error = replace(error, kind=ErrorKind.REVISION_GONE)
        with self.ledger.lock:
            now = self._clock()
            self._give_way(error, self._launch_limiter, now)
            if error.kind is ErrorKind.TAGGING_DENIED:
                self._tags = False
            self.ledger.rejected(launch, error, now)
            rate = self._launch_limiter.rate
        if error.kind is ErrorKind.TAGGING_DENIED:
            self._warn("tags", f"Tasks are launched without tags. Allow ecs:TagResource: {error.reason}", once=True)
        elif error.kind is ErrorKind.THROTTLED:
            self._warn("RunTask throttled", f"RunTask is throttled; going on at {rate:.1f} a second. {error.reason}")
        elif error.kind is ErrorKind.REVISION_GONE:
            self._warn(definition, f"{definition} is not active any more: another revision is chosen. {error.reason}")
        else:
            self._warn(f"RunTask {error.code}", f"RunTask: {error.explanation}")

    def _stop(self, arn: str, reason: str) -> None:
        error = None
        try:
            self.ecs.stop(arn, reason)
        except Exception as exception:
            error = classify(exception)
        with self.ledger.lock:
            now = self._clock()
            if error is None or error.kind is ErrorKind.PERMANENT:
                self.ledger.stopped(arn, now)
            else:
                self.ledger.stop_failed(arn, reason, now)
                self._give_way(error, self._stop_limiter, now)
                if error.kind is ErrorKind.THROTTLED:
                    self.ledger.counters.throttled += 1
        if error is not None:
            self._warn(f"StopTask {error.code}", f"StopTask {arn}: {error.reason}")

    def _review(self, keys: list[Any]) -> None:
        """Ask Airflow's database which tasks are still wanted: nobody says so when somebody clears or fails one."""
        try:
            unwanted = self._airflow.unwanted(keys)
        except Exception as exception:
            error = classify(exception)
            if error.kind is ErrorKind.PERMANENT:
                raise
            self._warn("review", f"Airflow's database could not be asked which tasks are still wanted: {error.reason}")
            return
        with self.ledger.lock:
            self.ledger.reviewed(unwanted, self._clock())

    def _discard(self, discard: Discard) -> None:
        error = None
        try:
            self._requests.discard(discard.uri)
        except Exception as exception:
            error = classify(exception)
        with self.ledger.lock:
            now = self._clock()
            if error is None or error.kind is ErrorKind.PERMANENT:
                self.ledger.discarded()
            else:
                self._give_way(error, None, now)
                if self.ledger.discard_failed(discard, now):
                    return
        if error is not None:
            self._warn("discard", f"Arguments that no container has read stay at {discard.uri}: {error.reason}")

    def _give_way(self, error: ApiError, limiter: RateLimiter | None, now: float) -> None:
        """What a failed call means for those after it; ``limiter`` is that of such calls. The caller holds the lock."""
        if error.kind is ErrorKind.THROTTLED and limiter is not None:
            limiter.throttled(now)
        elif error.kind is ErrorKind.CREDENTIALS:
            self._renew_credentials(now)

    def _renew_credentials(self, now: float) -> None:
        """Make new clients, and wait a little longer each time that it does not help. The caller holds the lock."""
        if now < self.ledger.paused_until:
            return  # another thread has done it
        policy = self.ledger.policy
        pause = min(policy.credentials_base * 2.0**self._credential_failures, policy.credentials_cap)
        self.ledger.pause(now + pause)
        self._credential_failures += 1
        self._services.renew()

    def _warn(self, topic: str, message: str, once: bool = False) -> None:
        """Log a warning, and the same kind of warning at most once a minute."""
        now = self._clock()
        last = self._warned.get(topic)
        if last is None or (not once and now - last > 60.0):
            self._warned[topic] = now
            log.warning("%s", message)

    # Following

    def _poll(self) -> None:
        while True:
            try:
                with self.ledger.lock:
                    arns = self._next_batch()
                if arns is None:
                    return
                if arns:
                    self._describe(arns)
                else:
                    self._locate()
            except Exception:  # as in the launchers
                log.exception("Unexpected error in the ECS executor's poller")
                time.sleep(1.0)

    def _next_batch(self) -> list[str] | None:
        """Wait for tasks to describe; an empty list: containers are to be looked for. None: leave."""
        ledger = self.ledger
        while not self._leaving:
            now = self._clock()
            if ledger.to_locate(now) and now >= ledger.paused_until:
                return []
            pause = max(self._describe_limiter.wait(now), ledger.paused_until - now)
            if pause <= 0:
                arns, until_due = ledger.next_batch(now)
                if arns:
                    self._describe_limiter.take(now)
                    return arns
                locate_in = ledger.seconds_to_locate(now)
                waits = [wait for wait in (until_due, locate_in) if wait is not None]
                ledger.watch.wait(min(waits) if waits else None)
            else:
                ledger.watch.wait(pause)
        return None

    def _describe(self, arns: list[str]) -> None:
        try:
            described = self.ecs.describe(arns)
        except Exception as exception:
            error = classify(exception)
            if error.code == "InvalidParameterException" and error.kind is ErrorKind.PERMANENT:
                self._describe_apart(arns)
                return
            with self.ledger.lock:
                now = self._clock()
                self._give_way(error, self._describe_limiter, now)
                if error.kind is ErrorKind.THROTTLED:
                    self.ledger.counters.throttled += 1
                else:
                    self.ledger.counters.api_errors += 1
            self._warn(f"DescribeTasks {error.code}", f"DescribeTasks: {error.reason}")
            return
        for task in described.tasks.values():
            self._image_checks.observe(task)
        foreign = self._of_other_runs(described.tasks)
        ends = self._judge({arn: task for arn, task in described.tasks.items() if arn not in foreign})
        logging_launches = self._failed_after_logging(described.tasks, ends)
        with self.ledger.lock:
            self._credential_failures = 0
            now = self._clock()
            for arn in described.tasks:
                self.ledger.seen(arn, now)
            for arn in described.missing:
                self.ledger.missing(arn, now)
            for arn in foreign:
                self.ledger.not_this_run(arn, now)
            for arn, (end, relaunch) in ends.items():
                self.ledger.ended(arn, end, now, relaunch)
        for arn, launch in logging_launches.items():
            self._tails.want(launch, arn, str(described.tasks[arn]["taskDefinitionArn"]))

    def _describe_apart(self, arns: list[str]) -> None:
        """Find the ARN that makes ECS refuse all of them: only that one counts as missing."""
        if len(arns) == 1:
            with self.ledger.lock:
                self.ledger.missing(arns[0], self._clock())
            return
        middle = len(arns) // 2
        self._describe(arns[:middle])
        self._describe(arns[middle:])

    def _of_other_runs(self, tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Of tasks that were adopted without a look, those that are not what Airflow takes them for."""
        found = []
        for arn, task in tasks.items():
            launch = self.ledger.launch_of(arn)
            if launch is None or not launch.adopted:
                continue
            if not is_of_this_run(task, identity_of(self._deployment, launch.key), launch.since):
                found.append(arn)
        return found

    def _judge(self, tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[Outcome, bool]]:
        """Judge the tasks that have ended, and whether an interrupted one may be launched again."""
        ends: dict[str, tuple[Outcome, bool]] = {}
        for arn, task in tasks.items():
            foreign_image = self._image_checks.is_foreign(str(task.get("taskDefinitionArn")))
            end = outcome_of(task, self._container_name, foreign_image)
            if end is None:
                continue
            relaunch = True
            launch = self.ledger.launch_of(arn)
            interrupted = end.kind in (OutcomeKind.SPOT, OutcomeKind.INFRASTRUCTURE) and has_started(task)
            if interrupted and launch is not None and not launch.quiet and self.ledger.policy.relaunch:
                relaunch = self._airflow.back_to_queued(launch.key)
            ends[arn] = (end, relaunch)
        return ends

    def _failed_after_logging(
        self, tasks: Mapping[str, Mapping[str, Any]], ends: Mapping[str, tuple[Outcome, bool]]
    ) -> dict[str, Launch]:
        """Of tasks that have ended, the launches whose container failed, and may have said why."""
        found = {}
        for arn, (end, _) in ends.items():
            launch = self.ledger.launch_of(arn)
            failed = end.kind is not OutcomeKind.SUCCEEDED and (end.exit_code is not None or has_started(tasks[arn]))
            if failed and launch is not None and not launch.quiet:
                found[arn] = launch
        return found

    def _logged(self, launch: Launch, text: str) -> None:
        redacted = self._airflow.redact(text)
        with self.ledger.lock:
            self.ledger.logged(launch, redacted)

    def _locate(self) -> None:
        """Look for the containers of launches whose ARN is not known."""
        with self.ledger.lock:
            launches = self.ledger.to_locate(self._clock())
        identities = {identity_of(self._deployment, launch.key): launch for launch in launches}
        wanted = {identity: launch.since for identity, launch in identities.items()}
        try:
            found = find(self.ecs, self._started_by, wanted, self._concurrency, _LOCATE_TIMEOUT)
        except Exception as exception:
            error = classify(exception)
            self._warn(
                f"ListTasks {error.code}", f"Cannot look for containers that were launched before: {error.reason}"
            )
            with self.ledger.lock:
                for launch in launches:
                    if error.denied:
                        self.ledger.cannot_locate(launch, self._clock())
                    else:
                        self.ledger.locate_later(launch, self._clock())
            return
        with self.ledger.lock:
            for identity, launch in identities.items():
                sighting = found.get(identity)
                self.ledger.located(launch, sighting.arn if sighting else None, self._clock())
