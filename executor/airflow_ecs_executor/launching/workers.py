"""The threads that call ECS, so that the scheduler's thread never waits for it.

Launcher threads call RunTask and StopTask side by side, within their rates. One poller thread calls DescribeTasks and
searches for containers. From the first failure on, one more thread reads the logs of failed containers. The threads
start with the first work, and again in a forked process, where the threads of the parent do not exist.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import replace
from functools import partial
from typing import Any, Callable, Mapping

from airflow_ecs_executor.airflow_side import AirflowSide
from airflow_ecs_executor.aws.ecs import find, is_of_this_run
from airflow_ecs_executor.aws.errors import ApiError, ErrorKind, classify, lacks_definition, not_started
from airflow_ecs_executor.aws.identity import Deployment, TaskKey, new_client_token
from airflow_ecs_executor.aws.rates import RateLimiter
from airflow_ecs_executor.aws.task_outcome import Outcome, OutcomeKind, has_started, outcome_of
from airflow_ecs_executor.config.settings import Settings
from airflow_ecs_executor.launching.launch import FrozenRequest, Launch
from airflow_ecs_executor.launching.ledger import Ledger, StopCall
from airflow_ecs_executor.launching.log_tails import LogTails
from airflow_ecs_executor.launching.queues import Discard
from airflow_ecs_executor.launching.request_builder import RequestBuilder, UnlaunchableError
from airflow_ecs_executor.services import Services

log = logging.getLogger("airflow_ecs_executor")

_STOP_RATE, _STOP_BURST = 10.0, 40.0
"""StopTask calls per second: half of what AWS permits, which leaves the rest to other schedulers."""
_LOCATE_TIMEOUT = 60.0
_WARNING_INTERVAL = 60.0


class Workers:
    """The launcher threads and the poller thread of one ledger."""

    def __init__(
        self,
        ledger: Ledger,
        services: Services,
        requests: RequestBuilder,
        airflow: AirflowSide,
        settings: Settings,
        deployment: Deployment,
    ) -> None:
        self._ledger = ledger
        self._ecs = services.ecs
        self._services = services
        self._image_checks = services.image_checks
        self._requests = requests
        self._airflow = airflow
        self._deployment = deployment
        self._launch_limiter = RateLimiter(settings.run_task_rate, settings.run_task_burst)
        self._describe_limiter = RateLimiter(settings.describe_tasks_rate, max(1.0, settings.describe_tasks_rate))
        self._stop_limiter = RateLimiter(_STOP_RATE, _STOP_BURST)
        self._concurrency = settings.launch_concurrency
        self._tails = LogTails(services.logs, settings.container_log_lines, self._logged, ledger.policy.log_delays)
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
        """Start the poller thread and the first launcher thread, unless they run in this process."""
        if self._pid == os.getpid():
            return
        if self._pid is not None:
            # After a fork, the tasks are the parent's, and locks may be held by threads that exist only there.
            self._ledger.start_afresh()
            self._idle = threading.Condition(self._ledger.lock)
        self._pid = os.getpid()
        self._threads, self._idlers, self._leader, self._leaving = [], 0, False, False
        self._start("airflow-ecs-poller", self._poll)
        self._start("airflow-ecs-launcher", self._launch_and_stop)

    def _start(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def leave(self, timeout: float) -> None:
        """End the threads; wait ``timeout`` seconds at most for calls that are under way."""
        with self._ledger.lock:
            self._leaving = True
            self._ledger.work.notify_all()
            self._ledger.watch.notify_all()
            self._idle.notify_all()
        deadline = time.monotonic() + timeout
        if self._pid == os.getpid():
            for thread in self._threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        self._tails.leave(max(0.0, deadline - time.monotonic()))
        self._pid = None

    # Launching and stopping

    def _launch_and_stop(self) -> None:
        while True:
            try:
                with self._ledger.lock:
                    job = self._next_job()
                    grow = job is not None and self._promote()
                if job is None:
                    return
                if grow:
                    self._start("airflow-ecs-launcher", self._launch_and_stop)
                job()
            except Exception:
                log.exception("Unexpected error in a launcher thread of the ECS executor")
                time.sleep(1.0)

    def _next_job(self) -> Callable[[], None] | None:
        """Wait for something to do. One thread, the leader, waits for what is due; the others wait to become leader."""
        while self._leader and not self._leaving:
            self._idlers += 1
            self._idle.wait()
            self._idlers -= 1
        self._leader = True
        try:
            while not self._leaving:
                now = time.monotonic()
                job, pause = self._job_now(now)
                if job is not None:
                    return job
                self._ledger.work.wait(pause)
            return None
        finally:
            self._leader = False

    def _promote(self) -> bool:
        """Let another thread lead while this one works; return whether one has to be started for that."""
        if self._idlers:
            self._idle.notify()
            return False
        launchers = len(self._threads) - 1
        return launchers < self._concurrency

    def _job_now(self, now: float) -> tuple[Callable[[], None] | None, float]:
        """Return what can be done now, or else the seconds until something may be due."""
        ledger = self._ledger
        review_in = ledger.seconds_to_review(now)
        pauses = [review_in]
        stop_in = ledger.seconds_to_next_stop(now)
        if stop_in is not None:
            stop_in = max(stop_in, self._stop_limiter.wait(now))
            stop = ledger.next_stop(now) if stop_in <= 0 else None
            if stop is not None:
                self._stop_limiter.take(now)
                return partial(self._stop, stop), 0.0
            pauses.append(stop_in)
        launch_in = ledger.seconds_to_next_launch(now)
        if launch_in is not None:
            launch_in = max(launch_in, self._launch_limiter.wait(now))
            launch = ledger.next_launch(now) if launch_in <= 0 else None
            if launch is not None:
                self._launch_limiter.take(now)
                return partial(self._launch, launch), 0.0
            pauses.append(launch_in)
        if review_in <= 0:
            return partial(self._review, ledger.review(now)), 0.0
        discard = ledger.discards.next(now)
        if discard is not None:
            return partial(self._discard, discard), 0.0
        discard_in = ledger.discards.wait(now)
        if discard_in is not None:
            pauses.append(discard_in)
        return None, min(pauses)

    def _launch(self, launch: Launch) -> None:
        ledger, request = self._ledger, launch.request or self._freeze_request(launch)
        if request is None:
            return
        try:
            answer = self._ecs.run_task({**request.parameters, "clientToken": request.client_token})
        except Exception as exception:  # noqa: BLE001 - classify logs what is a defect
            self._launch_failed(launch, request, classify(exception))
            return
        tasks = answer.get("tasks") or ()
        with ledger.lock:
            self._credential_failures = 0
            if tasks and tasks[0].get("taskArn"):
                ledger.launched(launch, tasks[0]["taskArn"], time.monotonic())
            else:
                ledger.not_placed(launch, not_started(answer.get("failures") or ()), time.monotonic())

    def _freeze_request(self, launch: Launch) -> FrozenRequest | None:
        """Make the request of a launch and store its arguments; None if the ledger was told that this is impossible."""
        ledger, arguments_uri = self._ledger, None
        try:
            parameters, arguments = self._requests.build(launch, self._tags)
            if arguments is not None:
                arguments_uri = arguments.uri
                self._requests.store(arguments)
        except UnlaunchableError as unlaunchable:
            with ledger.lock:
                ledger.refused(launch, str(unlaunchable))
        except Exception as exception:  # noqa: BLE001 - of any service that the request depends on, or of the database
            error = classify(exception)
            if error.kind is ErrorKind.PERMANENT:
                with ledger.lock:
                    ledger.refused(launch, f"The RunTask request could not be made: {error.reason}")
            else:
                self._not_ready(launch, error, str(getattr(exception, "operation_name", "")), arguments_uri)
        else:
            launch.request = FrozenRequest(parameters, new_client_token(), time.monotonic())
            launch.arguments_uri = arguments_uri
            launch.created_after = time.time() - ledger.policy.clock_skew
            return launch.request
        return None

    def _not_ready(self, launch: Launch, error: ApiError, operation: str, arguments_uri: str | None) -> None:
        called = f" ({operation})" if operation else ""
        message = f"A task cannot be launched yet{called}: {error.reason}"
        with self._ledger.lock:
            now = time.monotonic()
            self._slow_down(error, None, now)  # the rate of launches did not cause it
            self._ledger.not_ready(launch, message, now, arguments_uri)
        self._warn(f"build {error.code}", message)

    def _launch_failed(self, launch: Launch, request: FrozenRequest, error: ApiError) -> None:
        tagged = bool(request.parameters.get("tags") or request.parameters.get("propagateTags"))
        if error.kind is ErrorKind.TAGGING_DENIED and not tagged:
            error = replace(error, kind=ErrorKind.PERMANENT)
        definition = request.parameters.get("taskDefinition", "")
        if lacks_definition(error) and self._image_checks.mark_inactive(definition):
            error = replace(error, kind=ErrorKind.REVISION_GONE)
        with self._ledger.lock:
            now = time.monotonic()
            self._slow_down(error, self._launch_limiter, now)
            if error.kind is ErrorKind.TAGGING_DENIED:
                self._tags = False
            self._ledger.rejected(launch, error, now)
            rate = self._launch_limiter.rate
        if error.kind is ErrorKind.TAGGING_DENIED:
            self._warn("tags", f"Tasks are launched without tags. Allow ecs:TagResource: {error.reason}", once=True)
        elif error.kind is ErrorKind.THROTTLED:
            self._warn("throttled", f"RunTask is throttled; the rate is now {rate:.1f} per second. {error.reason}")
        elif error.kind is ErrorKind.REVISION_GONE:
            self._warn(definition, f"{definition} is not active any more: another revision is chosen. {error.reason}")
        else:
            self._warn_of(error, "RunTask", f"RunTask: {error.explanation}")

    def _stop(self, stop: StopCall) -> None:
        error = None
        try:
            self._ecs.stop(stop.arn, stop.reason)
        except Exception as exception:  # noqa: BLE001 - classify logs what is a defect
            error = classify(exception)
        with self._ledger.lock:
            now = time.monotonic()
            if error is None or error.kind is ErrorKind.PERMANENT:
                self._ledger.stopped(stop.arn, now)
            else:
                self._ledger.stop_failed(stop, now)
                self._slow_down(error, self._stop_limiter, now)
                if error.kind is ErrorKind.THROTTLED:
                    self._ledger.counters.throttled += 1
        if error is not None:
            self._warn_of(error, "StopTask", f"StopTask {stop.arn}: {error.reason}")

    def _review(self, keys: list[TaskKey]) -> None:
        """Ask Airflow's database which tasks are still wanted: Airflow does not report that a task was cleared."""
        try:
            unwanted = self._airflow.unwanted(keys)
        except Exception as exception:  # noqa: BLE001 - of the database; classify logs what is a defect
            error = classify(exception)
            self._warn_of(error, "review", f"Airflow's database did not say which tasks are wanted: {error.reason}")
            return
        with self._ledger.lock:
            self._ledger.reviewed(unwanted, time.monotonic())

    def _discard(self, discard: Discard) -> None:
        error = None
        try:
            self._requests.discard(discard.uri)
        except Exception as exception:  # noqa: BLE001 - classify logs what is a defect
            error = classify(exception)
        with self._ledger.lock:
            now, discards = time.monotonic(), self._ledger.discards
            if error is None or error.kind is ErrorKind.PERMANENT:
                discards.removed()
            else:
                self._slow_down(error, None, now)
                if discards.failed(discard, now):
                    return
        if error is not None:
            self._warn_of(
                error, "discard", f"Arguments that no container has read stay at {discard.uri}: {error.reason}"
            )

    def _slow_down(self, error: ApiError, limiter: RateLimiter | None, now: float) -> None:
        """Adapt the rate of such calls, or renew the credentials. The caller holds the lock."""
        if error.kind is ErrorKind.THROTTLED and limiter is not None:
            limiter.throttled(now)
        elif error.kind is ErrorKind.CREDENTIALS:
            self._renew_credentials(now)

    def _renew_credentials(self, now: float) -> None:
        """Make new clients, and wait longer each time that this does not help. The caller holds the lock."""
        if now < self._ledger.paused_until:
            return  # another thread has done it
        policy = self._ledger.policy
        pause = min(policy.credentials_base * 2.0**self._credential_failures, policy.credentials_cap)
        self._ledger.pause(now + pause)
        self._credential_failures += 1
        self._services.renew()

    def _warn_of(self, error: ApiError, topic: str, message: str) -> None:
        """Log a warning of a failed call; for a defect, the traceback says all."""
        if not error.defect:
            self._warn(f"{topic} {error.code}", message)

    def _warn(self, topic: str, message: str, once: bool = False) -> None:
        """Log a warning, and warnings of the same topic at most once a minute."""
        now = time.monotonic()
        last = self._warned.get(topic)
        if last is None or (not once and now - last > _WARNING_INTERVAL):
            self._warned[topic] = now
            log.warning("%s", message)

    # Polling

    def _poll(self) -> None:
        while True:
            try:
                with self._ledger.lock:
                    arns = self._next_batch()
                if arns is None:
                    return
                if arns:
                    self._describe(arns)
                else:
                    self._locate()
            except Exception:
                log.exception("Unexpected error in the poller thread of the ECS executor")
                time.sleep(1.0)

    def _next_batch(self) -> list[str] | None:
        """Wait for tasks to describe. An empty list: containers are to be searched for; None: leave."""
        ledger = self._ledger
        while not self._leaving:
            now = time.monotonic()
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
            described = self._ecs.describe(arns)
        except Exception as exception:  # noqa: BLE001 - classify logs what is a defect
            error = classify(exception)
            if error.code == "InvalidParameterException" and error.kind is ErrorKind.PERMANENT:
                self._describe_apart(arns)
                return
            with self._ledger.lock:
                now = time.monotonic()
                self._slow_down(error, self._describe_limiter, now)
                if error.kind is ErrorKind.THROTTLED:
                    self._ledger.counters.throttled += 1
                else:
                    self._ledger.counters.api_errors += 1
            self._warn_of(error, "DescribeTasks", f"DescribeTasks: {error.reason}")
            return
        for task in described.tasks.values():
            self._image_checks.observe(task)
        other_runs = self._of_other_runs(described.tasks)
        outcomes = self._outcomes({arn: task for arn, task in described.tasks.items() if arn not in other_runs})
        failed = self._failed_after_start(described.tasks, outcomes)
        with self._ledger.lock:
            self._credential_failures = 0
            now = time.monotonic()
            for arn in described.tasks:
                self._ledger.seen(arn, now)
            for arn in described.missing:
                self._ledger.missing(arn, now)
            for arn in other_runs:
                self._ledger.not_this_run(arn, now)
            for arn, (outcome, relaunch) in outcomes.items():
                self._ledger.ended(arn, outcome, now, relaunch)
        for arn, launch in failed.items():
            self._tails.want(launch, arn, str(described.tasks[arn]["taskDefinitionArn"]))

    def _describe_apart(self, arns: list[str]) -> None:
        """Find the ARN for which ECS refuses the whole call: only that one counts as missing."""
        if len(arns) == 1:
            with self._ledger.lock:
                self._ledger.missing(arns[0], time.monotonic())
            return
        middle = len(arns) // 2
        self._describe(arns[:middle])
        self._describe(arns[middle:])

    def _of_other_runs(self, tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Return the adopted tasks whose ARN turns out to be that of an earlier run."""
        found = []
        for arn, task in tasks.items():
            launch = self._ledger.launch_of(arn)
            if launch is None or not launch.adopted:
                continue
            if not is_of_this_run(task, self._deployment.identity_of(launch.key), launch.created_after):
                found.append(arn)
        return found

    def _outcomes(self, tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[Outcome, bool]]:
        """Return the outcomes of the tasks that have ended, and whether an interrupted one may be launched again."""
        outcomes: dict[str, tuple[Outcome, bool]] = {}
        for arn, task in tasks.items():
            foreign_image = self._image_checks.is_foreign(str(task.get("taskDefinitionArn")))
            outcome = outcome_of(task, self._deployment.container_name, foreign_image)
            if outcome is None:
                continue
            relaunch = True
            launch = self._ledger.launch_of(arn)
            interrupted = outcome.kind in (OutcomeKind.SPOT, OutcomeKind.INFRASTRUCTURE) and has_started(task)
            if interrupted and launch is not None and launch.awaited and self._ledger.policy.relaunch:
                relaunch = self._airflow.back_to_queued(launch.key)
            outcomes[arn] = (outcome, relaunch)
        return outcomes

    def _failed_after_start(
        self, tasks: Mapping[str, Mapping[str, Any]], outcomes: Mapping[str, tuple[Outcome, bool]]
    ) -> dict[str, Launch]:
        """Return the launches whose container started and failed: its log may say why."""
        found = {}
        for arn, (outcome, _) in outcomes.items():
            launch = self._ledger.launch_of(arn)
            started = outcome.exit_code is not None or has_started(tasks[arn])
            if started and outcome.kind is not OutcomeKind.SUCCEEDED and launch is not None and launch.awaited:
                found[arn] = launch
        return found

    def _logged(self, launch: Launch, text: str) -> None:
        redacted = self._airflow.redact(text)
        with self._ledger.lock:
            self._ledger.logged(launch, redacted)

    def _locate(self) -> None:
        """Search for the containers of launches whose ARN is not known."""
        ledger = self._ledger
        with ledger.lock:
            launches = {
                self._deployment.identity_of(launch.key): launch for launch in ledger.to_locate(time.monotonic())
            }
        wanted = {identity: launch.created_after for identity, launch in launches.items()}
        try:
            found = find(self._ecs, self._deployment.started_by, wanted, self._concurrency, _LOCATE_TIMEOUT)
        except Exception as exception:  # noqa: BLE001 - classify logs what is a defect
            error = classify(exception)
            self._warn_of(error, "ListTasks", f"The search for containers of earlier launches failed: {error.reason}")
            with ledger.lock:
                for launch in launches.values():
                    if error.denied:
                        ledger.cannot_locate(launch, time.monotonic())
                    else:
                        ledger.locate_later(launch, time.monotonic())
            return
        with ledger.lock:
            for identity, launch in launches.items():
                sighting = found.get(identity)
                ledger.located(launch, sighting.arn if sighting else None, time.monotonic())
