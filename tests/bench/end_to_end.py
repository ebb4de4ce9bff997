"""Executor and image together, beside the reference's, from queued to the task's first line: make bench-e2e.

    .venv/bin/python tests/bench/end_to_end.py [--only NAME] [--airflow VERSION] [--contender NAME] [--tasks N]
                                               [--results FILE] [--quick] [--write]

Prints a table, and exits with 1 when ours misses a target. What is measured, and how: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run by its path

from local.airflow import scheduler_image
from local.airflow.ecs_deployment import EcsDeployment
from local.machine.bases import Base
from local.machine.console import guarded, say
from tests.bench.circumstances import load
from tests.bench.end_to_end_figures import RunTimes, burst_figures, start_figures
from tests.bench.end_to_end_runs import CONTENDERS, FARGATE, ONE, OURS, deployed, digest_of, run
from tests.bench.end_to_end_store import Part, Store
from tests.bench.image_contenders import AIRFLOWS, base_of, described, ours, reference
from tests.bench.report import Figure
from tests.bench.runner import Benchmarks

_ROUNDS = 5
_BURSTS = (5, 25, 100)
"""Tasks of a burst: there is a DAG of each size. The first is that of ``--quick``, the last is the table's."""


@dataclass
class Bench:
    """What a benchmark is given."""

    airflows: tuple[str, ...]
    contenders: tuple[str, ...]
    quick: bool
    tasks: int
    """Of a burst."""
    store: Store
    _images: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        """Runs of single tasks, of which the figures are medians."""
        return 1 if self.quick else _ROUNDS

    def base(self, airflow: str) -> Base:
        """The base image of an Airflow."""
        return base_of(airflow)

    def images(self, airflow: str, contender: str) -> dict[str, str]:
        """What a contender needs; built, each once, where it is not in the build cache."""
        images = self._images.setdefault(airflow, {})
        for name, build in ((OURS, ours), (contender, reference)):
            if name not in images:
                images[name] = build(self.base(airflow)).image
        return images

    def runs(self, name: str, airflow: str, contender: str) -> Sequence[RunTimes]:
        """What the store holds of a benchmark, unless it was measured with an older image."""
        part = key(name, airflow, contender)
        if part not in self.store.parts:
            return ()
        return self.store.runs(part, self.digests(airflow, contender))

    def digests(self, airflow: str, contender: str) -> tuple[str, ...]:
        """Of what a contender is measured with: its tasks' image, and the two that the scheduler's side is made of."""
        images = self.images(airflow, contender)
        return digest_of(images[contender]), digest_of(images[OURS]), scheduler_image.digest()


def measure(
    bench: Bench, airflow: str, name: str, what: Callable[[EcsDeployment], dict[str, tuple[RunTimes, ...]]]
) -> None:
    """Add to the store what is not there yet of a benchmark, one contender after the other."""
    for contender in bench.contenders:
        if bench.runs(name, airflow, contender):
            continue
        again = (
            ", anew: it was measured with other images" if key(name, airflow, contender) in bench.store.parts else ""
        )
        say(f"{name}: Airflow {airflow}, {contender}{again}")
        before, day = load(), f"{datetime.date.today():%Y-%m-%d}"
        digests = bench.digests(airflow, contender)
        with deployed(bench.images(airflow, contender), contender) as deployment:
            found = what(deployment)
        for part, runs in found.items():
            bench.store.add(key(part, airflow, contender), Part(runs, day, before, digests))
            say(f"    {part}: {' '.join(f'{run.seconds:.2f}' for run in runs)}")


def key(name: str, airflow: str, contender: str) -> str:
    """Of a part in the store."""
    return f"{name}, Airflow {airflow}, {contender}"


def start(bench: Bench) -> list[Figure]:
    """Single tasks, one after the other; once with the latency of Fargate."""

    def runs(deployment: EcsDeployment) -> dict[str, tuple[RunTimes, ...]]:
        found = {"start": tuple(run(deployment, ONE) for _ in range(bench.rounds))}
        if not bench.quick:
            deployment.aws.ecs.configure(**FARGATE)
            found = {"fargate": (run(deployment, ONE),), **found}  # "start" last: it says that all is there
        return found

    figures = []
    for airflow in bench.airflows:
        measure(bench, airflow, "start", runs)
        for name, title in (("start", "one task"), ("fargate", "one task, latency as of Fargate")):
            own, other = (bench.runs(name, airflow, contender) for contender in CONTENDERS)
            if own:
                figures += start_figures(f"Airflow {airflow}: {title}", own, other, judged=name == "start")
    return figures


def burst(bench: Bench) -> list[Figure]:
    """Many tasks at once."""
    name, dag_id = f"burst of {bench.tasks}", f"bench_{bench.tasks}"
    figures = []
    for airflow in bench.airflows:
        measure(bench, airflow, name, lambda deployment: {name: (run(deployment, dag_id),)})
        own, other = (bench.runs(name, airflow, contender) for contender in CONTENDERS)
        if own:
            title = f"Airflow {airflow}: {bench.tasks} tasks at once"
            figures += burst_figures(title, own[0], other[0] if other else None)
    return figures


def prepare(options: argparse.Namespace) -> Bench:
    """What is measured; images are built when they are needed."""
    return Bench(
        airflows=tuple(options.airflow or AIRFLOWS),
        contenders=(OURS,) if options.quick else tuple(options.contender or CONTENDERS),
        quick=options.quick,
        tasks=_BURSTS[0] if options.quick else options.tasks or _BURSTS[-1],
        store=Store.at(None if options.quick else options.results),
    )


def details(bench: Bench) -> list[str]:
    """The base images, and when the parts were measured."""
    bases = "; ".join(described(bench.base(airflow)) for airflow in bench.airflows)
    return [f"on {bases}; single tasks: medians of {bench.rounds}", bench.store.circumstances()]


def add_options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Those of this benchmark alone."""
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="keep what is measured in this file, and measure nothing that it holds already of the same images: a"
        " measurement in parts",
    )
    return [
        parser.add_argument("--airflow", action="append", choices=AIRFLOWS, help="an Airflow; may be given repeatedly"),
        parser.add_argument("--contender", action="append", choices=CONTENDERS, help="one of the two"),
        parser.add_argument("--tasks", type=int, choices=_BURSTS, help=f"of a burst (default: {_BURSTS[-1]})"),
    ]


BENCHMARKS = Benchmarks(
    target="bench-e2e",
    description=__doc__,
    quick="few tasks",
    used_for="Airflow, its database, the local AWS and the tasks' containers together",
    scenarios={"start": start, "burst": burst},
    prepare=prepare,
    details=details,
    add_options=add_options,
    shares=True,
)


if __name__ == "__main__":
    sys.exit(guarded(BENCHMARKS.run))
