"""What an Airflow's runs on ECS took, as figures: pure, from the moments that Airflow, ECS and the tasks have told.

All moments are epoch seconds of one machine's clock.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tests.bench.report import Figure

START_SHARE = 0.5
"""What ours may take of the reference's time from queued to the first line."""
BURST_SHARE = 0.6
"""What ours may take of the reference's time for many tasks at once."""


@dataclass(frozen=True)
class TaskTimes:
    """A task instance, as Airflow knows it, and its own first line."""

    queued: float
    """When the scheduler queued it."""
    first_line: float | None
    """None: the task has not told it."""
    ended: float | None
    state: str
    try_number: int


@dataclass(frozen=True)
class ContainerTimes:
    """A task of ECS."""

    created: float
    """RunTask was called."""
    started: float | None
    """Its containers run: it has been placed, and its image pulled."""
    ended: float | None
    """Its container has ended."""


@dataclass(frozen=True)
class RunTimes:
    """A run of a DAG: its tasks, and all that ECS has launched meanwhile."""

    ended: float
    tasks: tuple[TaskTimes, ...]
    containers: tuple[ContainerTimes, ...]

    @property
    def began(self) -> float:
        """When the first task was queued."""
        return min(task.queued for task in self.tasks)

    @property
    def seconds(self) -> float:
        """From the first task queued until the run has ended."""
        return self.ended - self.began

    @property
    def failures(self) -> int:
        """Task instances that have not succeeded by their first try."""
        return sum(task.state != "success" or task.try_number != 1 for task in self.tasks)

    @property
    def surplus(self) -> int:
        """How many ECS tasks there were more, or fewer, than task instances."""
        return abs(len(self.containers) - len(self.tasks))

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> RunTimes:
        """From what ``to_json`` has made. Raises KeyError or TypeError for something else."""
        return cls(
            document["ended"],
            tuple(TaskTimes(**item) for item in document["tasks"]),
            tuple(ContainerTimes(**item) for item in document["containers"]),
        )


@dataclass(frozen=True)
class Alone:
    """The parts of the time of a task that was alone in its run; NaN for what did not happen."""

    queued_to_created: float
    created_to_started: float
    started_to_first_line: float
    queued_to_first_line: float
    ended_to_container_ended: float


def alone(run: RunTimes) -> Alone:
    """The parts of a run of one task; of several ECS tasks (a second launch) the last one counts."""
    task, container = run.tasks[0], run.containers[-1]
    return Alone(
        _between(task.queued, container.created),
        _between(container.created, container.started),
        _between(container.started, task.first_line),
        _between(task.queued, task.first_line),
        _between(task.ended, container.ended),
    )


def most_at_once(containers: Sequence[ContainerTimes]) -> int:
    """How many containers ran at the same time at most; one that ends as another begins is not counted with it."""
    changes = [(item.started, 1) for item in containers if item.started is not None]
    changes += [(item.ended, -1) for item in containers if item.started is not None and item.ended is not None]
    most = running = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most


def start_figures(title: str, ours: Sequence[RunTimes], reference: Sequence[RunTimes], *, judged: bool) -> list[Figure]:
    """The rows of single tasks, as medians.

    ``reference`` is empty if it was not measured. ``judged`` is whether the targets on the time hold; those of
    correctness always do.
    """

    def row(what: str, part: Callable[[Alone], float]) -> Figure:
        own, other = ([part(alone(run)) for run in runs] for runs in (ours, reference))
        return Figure(title, what, statistics.median(own), statistics.median(other) if other else None)

    figures = [
        row("queued to the task's first line", lambda parts: parts.queued_to_first_line),
        row("of it: until RunTask is called", lambda parts: parts.queued_to_created),
        row("of it: until the container runs", lambda parts: parts.created_to_started),
        row("of it: until the first line", lambda parts: parts.started_to_first_line),
        row("the task's end to its container's", lambda parts: parts.ended_to_container_ended),
        *_correctness(title, ours, reference),
    ]
    if judged:
        figures[0] = replace(figures[0], share_at_most=START_SHARE)
    return figures


def burst_figures(title: str, ours: RunTimes, reference: RunTimes | None) -> list[Figure]:
    """The rows of many tasks at once."""

    def row(what: str, value: Callable[[RunTimes], float], unit: str = "s") -> Figure:
        return Figure(title, what, value(ours), None if reference is None else value(reference), unit=unit)

    return [
        replace(row("the first one queued to the run's end", lambda run: run.seconds), share_at_most=BURST_SHARE),
        row("of it: until all are queued", lambda run: max(task.queued for task in run.tasks) - run.began),
        row("of it: until RunTask is called for the last one", _last_created),
        row("queued to the first line, median", _median_to_first_line),
        row("the last task's end to the run's", lambda run: run.ended - _last(task.ended for task in run.tasks)),
        row("the last task's end to the last container's", _last_end_to_last_container),
        row("containers at once, at most", lambda run: most_at_once(run.containers), unit=""),
        *_correctness(title, [ours], [reference] if reference is not None else []),
    ]


def _correctness(title: str, ours: Sequence[RunTimes], reference: Sequence[RunTimes]) -> list[Figure]:
    def row(what: str, value: Callable[[RunTimes], int]) -> Figure:
        theirs = sum(map(value, reference)) if reference else None
        return Figure(title, what, sum(map(value, ours)), theirs, unit="", at_most=0, correctness=True)

    launched = Figure(title, "ECS tasks launched", _launched(ours), _launched(reference) or None, unit="")
    return [
        launched,
        row("ECS tasks more or fewer than tasks", lambda run: run.surplus),
        row("tasks without success by their first try", lambda run: run.failures),
    ]


def _launched(runs: Sequence[RunTimes]) -> int:
    return sum(len(run.containers) for run in runs)


def _last_created(run: RunTimes) -> float:
    return _last(item.created for item in run.containers) - run.began


def _median_to_first_line(run: RunTimes) -> float:
    return statistics.median(_between(task.queued, task.first_line) for task in run.tasks)


def _last_end_to_last_container(run: RunTimes) -> float:
    return _last(item.ended for item in run.containers) - _last(task.ended for task in run.tasks)


def _last(moments: Iterable[float | None]) -> float:
    """The latest of moments; NaN when one is missing, or there is none."""
    found = [*moments]
    known = [moment for moment in found if moment is not None]
    return max(known) if known and len(known) == len(found) else math.nan


def _between(earlier: float | None, later: float | None) -> float:
    return math.nan if earlier is None or later is None else later - earlier
