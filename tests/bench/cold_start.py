"""Cold starts: a fresh container for each task, from before it is made to the first line of the task."""

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
    """Something that is measured repeatedly: a contender, its DAGs, its share of the processor, its own variables."""

    contender: Contender
    dags: Dags
    cpus: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    with_memory: bool = False
    """Sample its memory. Its time is no figure then: sampling takes a little of the processor."""


@dataclass(frozen=True)
class ColdStart:
    """One container: seconds to the first line, and, where it was sampled, the most memory until then."""

    seconds: float
    peak_bytes: int = 0


@dataclass(frozen=True)
class Results:
    """The cold starts of each case by its name."""

    starts: Mapping[str, Sequence[ColdStart]] = field(default_factory=dict)

    def seconds(self, case: str) -> float:
        """The median time of a case."""
        return statistics.median(start.seconds for start in self.starts[case])

    def peak_bytes(self, case: str) -> float:
        """The median of a case's peaks of memory."""
        return statistics.median(start.peak_bytes for start in self.starts[case])

    def described(self) -> str:
        """Every single time, for the eye: a case with a wide spread was disturbed."""
        lines = []
        for name, starts in self.starts.items():
            times = " ".join(f"{start.seconds:.2f}" for start in starts)
            lines.append(f"    {name}: {times}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Turn:
    """Whose turn it is; the first of a contender only warms the disk's cache."""

    case: str
    counts: bool = True


def turns(cases: Mapping[str, Case], rounds: int) -> list[Turn]:
    """Each case once a round, and each round begins with another: what disturbs a while disturbs all alike."""
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

    :param dag_folder: the DAGs as a scheduler knows them; its DAG has a task for each turn.
    :raises TaskFailedError: a task that did not reach success.
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
    """One container, from its making to its end."""
    options: dict[str, Any] = dict(case.contender.options)
    if case.cpus is not None:
        options["nano_cpus"] = int(case.cpus * 1e9)
    variables = {**environment, **case.environment}
    running = start_task(deployment, task, image=case.contender.image, dags=case.dags, environment=variables, **options)
    with ExitStack() as stack:
        sampler = stack.enter_context(MemorySampler(running.container)) if case.with_memory else None
        wait(running.container, f"{case.contender.name}: task {task.task_id}", _TIMEOUT)
    written = read_files(running.container, FIRST_LINE, lambda _: True)
    # Kept, because ext4 without a journal passes over inodes that were freed in the last minute, one by one: who
    # writes files after others were removed would pay for it.
    result = running.wait(keep=True).require_success()
    if not written:
        raise ServiceError(f"The task wrote no time: {result.describe()}")
    moment = float(next(iter(written.values())))
    return ColdStart(moment - running.launched_at, sampler.peak_until(moment) if sampler is not None else 0)
