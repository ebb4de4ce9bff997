"""Cold starts: a new container for each task, measured from before its creation to the first line of the task."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.airflow.control_plane import Dags
from local.airflow.deployment import Deployment, PreparedTask
from local.airflow.task_run import start_task
from local.errors import ServiceError
from local.machine.containers import read_files, wait
from tests.bench.dag_files import DAG_ID, FIRST_LINE, task_ids
from tests.bench.image_contenders import Contender
from tests.bench.memory import MemorySampler

_TIMEOUT = 600.0
# Tasks of Airflow 3 wait for hours in this benchmark, with the tokens that they were queued with.
DEPLOYMENT_ENVIRONMENT = {"AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "86400"}


@dataclass(frozen=True)
class Case:
    """A repeated measurement: a contender with its DAGs, its share of the processor and its own variables."""

    contender: Contender
    dags: Dags
    cpus: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    with_memory: bool = False
    """Whether memory is sampled. Its time is not used then, because sampling needs some CPU time."""


@dataclass(frozen=True)
class ColdStart:
    """One container: the seconds to the first line and, if it was sampled, the peak of its memory until then."""

    seconds: float
    peak_bytes: int = 0


@dataclass(frozen=True)
class Results:
    """The cold starts of each case, by name."""

    starts: Mapping[str, Sequence[ColdStart]] = field(default_factory=dict)

    def seconds(self, case: str) -> float:
        """Return the median time of a case."""
        return statistics.median(start.seconds for start in self.starts[case])

    def peak_bytes(self, case: str) -> float:
        """Return the median of the memory peaks of a case."""
        return statistics.median(start.peak_bytes for start in self.starts[case])

    def described(self) -> str:
        """Return all times as text. A wide spread shows that a case was disturbed."""
        lines = []
        for name, starts in self.starts.items():
            times = " ".join(f"{start.seconds:.2f}" for start in starts)
            lines.append(f"    {name}: {times}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Turn:
    """The turn of a case. The first one of each contender only warms the disk cache."""

    case: str
    counts: bool = True


def turns(cases: Mapping[str, Case], rounds: int) -> list[Turn]:
    """Return the turns: each case once a round. Each round begins with another case, so that disturbances even out."""
    first_of: dict[str, str] = {}
    for name, case in cases.items():
        first_of.setdefault(case.contender.name, name)
    planned = [Turn(name, counts=False) for name in first_of.values()]
    names = [*cases]
    for number in range(rounds):
        first = number % len(names)
        planned += [Turn(name) for name in (*names[first:], *names[:first])]
    return planned


def measure(
    deployment: Deployment,
    cases: Mapping[str, Case],
    planned: Sequence[Turn],
    environment: Mapping[str, str | None],
    dag_folder: Path,
) -> Results:
    """Take all turns, one after the other.

    ``dag_folder`` contains the DAGs as a scheduler knows them; its DAG has a task for each turn. Raises
    TaskFailedError.
    """
    tasks = [(DAG_ID, name) for name in task_ids(len(planned))]
    prepared = deployment.prepare(tasks, dags=Dags(folder=dag_folder))
    found: dict[str, list[ColdStart]] = {name: [] for name in cases}
    for task, turn in zip(prepared, planned, strict=True):
        start = _start(deployment, task, cases[turn.case], environment)
        if turn.counts:
            found[turn.case].append(start)
    return Results(found)


def _start(deployment: Deployment, task: PreparedTask, case: Case, environment: Mapping[str, str | None]) -> ColdStart:
    """Run one container from its creation to its end."""
    options: dict[str, Any] = dict(case.contender.options)
    if case.cpus is not None:
        options["nano_cpus"] = int(case.cpus * 1e9)
    variables = {**environment, **case.environment}
    running = start_task(deployment, task, image=case.contender.image, dags=case.dags, environment=variables, **options)
    with ExitStack() as stack:
        sampler = stack.enter_context(MemorySampler(running.container)) if case.with_memory else None
        wait(running.container, f"{case.contender.name}: task {task.task_id}", _TIMEOUT)
    written = read_files(running.container, FIRST_LINE, lambda _: True)
    # Kept, because ext4 without a journal skips inodes that were freed in the last minute one by one, which would slow
    # down later containers.
    result = running.wait(keep=True).require_success()
    if not written:
        raise ServiceError(f"The task wrote no time: {result.describe()}")
    moment = float(next(iter(written.values())))
    return ColdStart(moment - running.launched_at, sampler.peak_until(moment) if sampler is not None else 0)
