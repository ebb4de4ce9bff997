"""The end of a failed container's log, fetched a little after its end, by a thread that nothing waits for."""

from __future__ import annotations

import heapq
import logging
import os
import threading
import time
from typing import Any, Callable, NamedTuple, Sequence

from airflow_ecs_executor.aws.container_logs import ContainerLogs, NoContainerLog, explain, tail_text
from airflow_ecs_executor.aws.errors import ApiError, ErrorKind, classify
from airflow_ecs_executor.aws.rates import RateLimiter

log = logging.getLogger("airflow_ecs_executor")

_RATE, _BURST = 2.0, 5.0
"""GetLogEvents calls a second: few, since the quota of the account and region cannot be raised, and is the UI's, too
(Amazon CloudWatch Logs User Guide, "CloudWatch Logs quotas")."""
_MOST_WAITING = 200
"""Failed containers that may wait: at the rate above, the last of them is told of within two minutes."""


class Wanted(NamedTuple):
    """A log whose end is to be read; ordered by when that is due."""

    due: float
    order: int
    look: int
    """How often it was looked for already."""
    subject: Any
    arn: str
    definition: str


class LogTails:
    """Reads the ends of logs, one after the other, and delivers them."""

    def __init__(
        self,
        logs: ContainerLogs,
        lines: int,
        deliver: Callable[[Any, str], None],
        delays: Sequence[float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start no thread yet. ``lines``: how many to read; 0 reads nothing. ``deliver`` takes subject and text.

        ``delays`` are the seconds before each look.
        """
        self._logs = logs
        self._lines = lines
        self._deliver = deliver
        self._delays = delays
        self._clock = clock
        self._pid = 0
        self._warned: set[str] = set()

    def want(self, subject: Any, arn: str, definition: str) -> None:
        """Have the end of a container's log delivered, if there is one. Never waits."""
        if not self._lines:
            return
        if self._pid != os.getpid():
            self._start()
        with self._wake:
            if len(self._waiting) < _MOST_WAITING:
                self._push(0, subject, arn, definition)
                self._wake.notify()
                return
        self._warn(f"More than {_MOST_WAITING} containers failed at once: not all ends of their logs are fetched")

    def leave(self, timeout: float) -> None:
        """End the thread, waiting ``timeout`` seconds at most for the call that is under way."""
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
        self._waiting: list[Wanted] = []
        self._order = 0
        self._leaving = False
        self._limiter = RateLimiter(_RATE, _BURST)
        self._thread = threading.Thread(target=self._run, name="airflow-ecs-log-tails", daemon=True)
        self._thread.start()

    def _push(self, look: int, subject: Any, arn: str, definition: str) -> None:
        self._order += 1
        due = self._clock() + self._delays[look]
        heapq.heappush(self._waiting, Wanted(due, self._order, look, subject, arn, definition))

    def _run(self) -> None:
        while True:
            wanted = self._next()
            if wanted is None:
                return
            try:
                self._look(wanted)
            except Exception:  # a defect of ours must not end the thread
                log.exception("Unexpected error in reading the end of a container's log")

    def _next(self) -> Wanted | None:
        """Wait until a log is due and a call is free; None: leave."""
        with self._wake:
            while not self._leaving:
                now = self._clock()
                pause = max(self._waiting[0].due - now, self._limiter.wait(now)) if self._waiting else None
                if pause is not None and pause <= 0:
                    self._limiter.take(now)
                    return heapq.heappop(self._waiting)
                self._wake.wait(pause)
            return None

    def _look(self, wanted: Wanted) -> None:
        action, stream = "ecs:DescribeTaskDefinition", None
        try:
            stream = self._logs.stream(wanted.arn, wanted.definition)
            action = "logs:GetLogEvents"
            lines = self._logs.tail(stream, self._lines)
        except NoContainerLog:
            return  # so it was configured
        except Exception as exception:
            error = classify(exception)
            if not self._may_look_again(error):
                self._warn(f"The ends of failed containers' logs are not read: {explain(error, action, stream)}")
                return
            lines = []
        if lines and stream is not None:
            self._deliver(wanted.subject, tail_text(stream, lines))
        elif wanted.look + 1 < len(self._delays):
            with self._wake:
                self._push(wanted.look + 1, wanted.subject, wanted.arn, wanted.definition)

    def _may_look_again(self, error: ApiError) -> bool:
        if error.denied:
            self._lines = 0  # until the scheduler is started anew
            return False
        if error.kind is ErrorKind.THROTTLED:
            self._limiter.throttled(self._clock())
        elif error.kind is ErrorKind.CREDENTIALS:
            self._logs.renew()
        missing = error.code == "ResourceNotFoundException"  # of a container that has printed nothing
        return missing or error.kind is not ErrorKind.PERMANENT

    def _warn(self, message: str) -> None:
        """Say a thing once."""
        topic = message.split(":")[0]
        if topic not in self._warned:
            self._warned.add(topic)
            log.warning("%s", message)
