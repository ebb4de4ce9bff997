"""The last lines of failed containers' logs, read by a thread that nothing waits for."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Callable, NamedTuple, Sequence

from airflow_ecs_executor.aws.container_logs import ContainerLogs, NoContainerLog, explain, tail_text
from airflow_ecs_executor.aws.errors import ApiError, ErrorKind, classify
from airflow_ecs_executor.aws.rates import RateLimiter
from airflow_ecs_executor.launching.launch import Launch
from airflow_ecs_executor.launching.queues import DueQueue

log = logging.getLogger("airflow_ecs_executor")

_RATE, _BURST = 2.0, 5.0
"""GetLogEvents calls per second: few, because the quota of account and region cannot be raised, and the UI uses it too
(Amazon CloudWatch Logs User Guide, "CloudWatch Logs quotas")."""
_MOST_WAITING = 200
"""Failed containers that may wait: at the rate above, the last one is reported within two minutes."""


class Wanted(NamedTuple):
    """A log whose last lines are to be read."""

    launch: Launch
    arn: str
    definition: str
    reads: int = 0
    """How often it was read without finding a line."""


class LogTails:
    """Reads the last lines of logs, one log after the other, and delivers them."""

    def __init__(
        self, logs: ContainerLogs, lines: int, deliver: Callable[[Launch, str], None], delays: Sequence[float]
    ) -> None:
        """Start no thread yet. 0 ``lines`` reads nothing; ``delays`` are the seconds before each read of a log."""
        self._logs = logs
        self._lines = lines
        self._deliver = deliver
        self._delays = delays
        self._pid = 0
        self._warned: set[str] = set()

    def want(self, launch: Launch, arn: str, definition: str) -> None:
        """Have the last lines of a container's log delivered, if there are any. Never waits."""
        if not self._lines:
            return
        if self._pid != os.getpid():
            self._start()
        with self._wake:
            if len(self._waiting) < _MOST_WAITING:
                self._push(Wanted(launch, arn, definition))
                self._wake.notify()
                return
        self._warn(f"More than {_MOST_WAITING} containers failed at once: the logs of some of them are not read")

    def leave(self, timeout: float) -> None:
        """End the thread; wait ``timeout`` seconds at most for a call that is under way."""
        if self._pid != os.getpid():
            return
        with self._wake:
            self._leaving = True
            self._wake.notify()
        self._thread.join(timeout)
        self._pid = 0

    def _start(self) -> None:
        self._pid = os.getpid()
        self._wake = threading.Condition()
        self._waiting: DueQueue[Wanted] = DueQueue()
        self._leaving = False
        self._limiter = RateLimiter(_RATE, _BURST)
        self._thread = threading.Thread(target=self._run, name="airflow-ecs-log-tails", daemon=True)
        self._thread.start()

    def _push(self, wanted: Wanted) -> None:
        self._waiting.push(time.monotonic() + self._delays[wanted.reads], wanted)

    def _run(self) -> None:
        while True:
            wanted = self._next()
            if wanted is None:
                return
            try:
                self._read(wanted)
            except Exception:
                log.exception("Unexpected error while reading the last lines of a container's log")

    def _next(self) -> Wanted | None:
        """Wait until a log is due and a call is permitted by the rate; None: leave."""
        with self._wake:
            while not self._leaving:
                now = time.monotonic()
                pause = self._waiting.wait(now)
                if pause is not None:
                    pause = max(pause, self._limiter.wait(now))
                    if pause <= 0:
                        self._limiter.take(now)
                        return self._waiting.pop(now)
                self._wake.wait(pause)
            return None

    def _read(self, wanted: Wanted) -> None:
        action, stream = "ecs:DescribeTaskDefinition", None
        try:
            stream = self._logs.stream(wanted.arn, wanted.definition)
            action = "logs:GetLogEvents"
            lines = self._logs.tail(stream, self._lines)
        except NoContainerLog:
            return  # the task definition is configured that way
        except Exception as exception:  # noqa: BLE001 - classify logs what is a defect
            error = classify(exception)
            if not self._may_read_again(error):
                self._warn(f"The logs of failed containers are not read: {explain(error, action, stream)}")
                return
            lines = []
        if lines and stream is not None:
            self._deliver(wanted.launch, tail_text(stream, lines))
        elif wanted.reads + 1 < len(self._delays):
            with self._wake:
                self._push(wanted._replace(reads=wanted.reads + 1))

    def _may_read_again(self, error: ApiError) -> bool:
        if error.denied:
            self._lines = 0  # until the scheduler is restarted
            return False
        if error.kind is ErrorKind.THROTTLED:
            self._limiter.throttled(time.monotonic())
        elif error.kind is ErrorKind.CREDENTIALS:
            self._logs.renew()
        missing = error.code == "ResourceNotFoundException"  # the container has printed nothing
        return missing or error.kind is not ErrorKind.PERMANENT

    def _warn(self, message: str) -> None:
        """Log a warning once."""
        topic = message.split(":")[0]
        if topic not in self._warned:
            self._warned.add(topic)
            log.warning("%s", message)
