"""The benchmarks of the images: cold starts and memory, sizes, rebuilds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local.airflow.control_plane import Dags
from local.airflow.deployment import Deployment
from local.aws_services.fake_s3 import FakeS3Service
from local.aws_services.stack import Stack
from local.machine.bases import Base
from tests.bench.cold_start import DEPLOYMENT_ENVIRONMENT, Case, Results, measure, turns
from tests.bench.dag_files import archive, dag_files, write_files
from tests.bench.image_contenders import Contender, bare, base_of, ours, reference
from tests.bench.image_layers import BYTECODE, MODES, PURPOSES, Rebuilds, added_layers, differing
from tests.bench.report import Figure
from tests.releases import NEWEST_3, OLDEST

LATENCY = 0.02
"""Seconds before each response of S3."""
FEW, MANY = 10, 1000
"""Numbers of DAG files."""
CPUS = 0.5
_REBUILDS = 3
_BUCKET = "s3://cold-start"
_PLAIN = {"AIRFLOW_ECS_START": "plain"}


@dataclass(frozen=True)
class Targets:
    """The allowed shares of our cold start in the reference's, on one Airflow."""

    few: float
    few_slow: float
    many: float
    archive: float | None = None
    """None: the target of the archive is our own time for few files."""


TARGETS = {
    OLDEST.version: Targets(few=0.22, few_slow=0.18, many=0.30),
    NEWEST_3.version: Targets(few=0.35, few_slow=0.35, many=0.35, archive=0.35),
}
_ARCHIVE_OF_FEW = 1.1
"""The allowed share of an archive of many files in our time for few."""
_BEYOND_BARE = 0.5
_MEMORY_BEYOND_BARE = 100.0
_REBUILD = 5.0


@dataclass
class Bench:
    """What a benchmark gets. Images are built when they are first used."""

    airflows: tuple[str, ...]
    rounds: int
    alone: bool
    """Whether the reference and the floor are left out."""
    say: Callable[[str], None]
    _bases: dict[str, Base] = field(default_factory=dict)
    _built: dict[str, Contender] = field(default_factory=dict)

    def base(self, airflow: str) -> Base:
        """Return the base image of an Airflow version."""
        if airflow not in self._bases:
            self._bases[airflow] = base_of(airflow)
        return self._bases[airflow]

    @property
    def bases(self) -> list[Base]:
        """The base images that have been used."""
        return [*self._bases.values()]

    def ours(self, airflow: str) -> Contender:
        """Return our image."""
        return self._build("ours", ours, airflow)

    def reference(self, airflow: str) -> Contender:
        """Return the reference image."""
        return self._build("reference", reference, airflow)

    def _build(self, name: str, build: Callable[[Base], Contender], airflow: str) -> Contender:
        key = f"{name}, Airflow {airflow}"
        if key not in self._built:
            base = self.base(airflow)
            self.say(f"building {key}")
            self._built[key] = build(base)
        return self._built[key]


def start(bench: Bench) -> list[Figure]:
    """Measure cold starts of all contenders, and the memory of ours."""
    with Stack() as stack:
        s3 = stack.start_fake_s3(LATENCY)
        return [figure for airflow in bench.airflows for figure in _starts(bench, airflow, stack, s3)]


def _starts(bench: Bench, airflow: str, stack: Stack, s3: FakeS3Service) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder:
        few, many = Path(folder, "few"), Path(folder, "many")
        cases = _cases(bench, airflow, few)
        planned = turns(cases, bench.rounds)
        write_files(few, dag_files(FEW, len(planned)))
        write_files(many, dag_files(MANY, len(planned)))
        s3.put_folder(few, f"{_BUCKET}/{airflow}/few")
        s3.put_folder(many, f"{_BUCKET}/{airflow}/many")
        s3.put(f"{_BUCKET}/{airflow}/many.tar.gz", archive(dag_files(MANY, len(planned))))
        deployment = Deployment(stack, bench.ours(airflow).image, DEPLOYMENT_ENVIRONMENT)
        bench.say(f"start: Airflow {airflow}, {len(planned)} containers")
        # Only what a user would set: the base image checks the database as usual.
        environment = {"AWS_ENDPOINT_URL": s3.container_endpoint, "CONNECTION_CHECK_MAX_COUNT": None}
        results = measure(deployment, cases, planned, environment, few)
    bench.say(results.described())
    return start_figures(airflow, results)


def _cases(bench: Bench, airflow: str, few: Path) -> dict[str, Case]:
    """Return the cases that take turns."""
    prefix = f"{_BUCKET}/{airflow}"
    contender = bench.ours(airflow)
    cases = {
        "ours, few": Case(contender, Dags(s3_uri=f"{prefix}/few")),
        "ours, few, slow": Case(contender, Dags(s3_uri=f"{prefix}/few"), cpus=CPUS),
        "ours, few, plain": Case(contender, Dags(s3_uri=f"{prefix}/few"), environment=_PLAIN),
        "ours, many": Case(contender, Dags(s3_uri=f"{prefix}/many")),
        "ours, archive": Case(contender, Dags(s3_uri=f"{prefix}/many.tar.gz")),
    }
    if not bench.alone:
        other, floor = bench.reference(airflow), bare(contender)
        cases |= {
            "reference, few": Case(other, Dags(s3_uri=f"{prefix}/few")),
            "reference, few, slow": Case(other, Dags(s3_uri=f"{prefix}/few"), cpus=CPUS),
            "reference, many": Case(other, Dags(s3_uri=f"{prefix}/many")),
            "bare, few": Case(floor, Dags(folder=few)),
            "ours, few, memory": Case(contender, Dags(s3_uri=f"{prefix}/few"), with_memory=True),
            "bare, few, memory": Case(floor, Dags(folder=few), with_memory=True),
        }
    return cases


def start_figures(airflow: str, results: Results) -> list[Figure]:
    """Return the rows of one Airflow's cold starts."""
    targets, title = TARGETS[airflow], f"Airflow {airflow}: from before the container is made to the task's first line"
    alone = "bare, few" not in results.starts

    def theirs(case: str) -> float | None:
        return None if alone else results.seconds(f"reference, {case}")

    few = results.seconds("ours, few")
    figures = [
        Figure(title, f"{FEW} files", few, theirs("few"), share_at_most=targets.few),
        Figure(
            title,
            f"{FEW} files, half a core",
            results.seconds("ours, few, slow"),
            theirs("few, slow"),
            share_at_most=targets.few_slow,
        ),
        Figure(title, f"{FEW} files, AIRFLOW_ECS_START=plain", results.seconds("ours, few, plain"), theirs("few")),
        Figure(title, f"{MANY:,} files", results.seconds("ours, many"), theirs("many"), share_at_most=targets.many),
        Figure(
            title,
            f"{MANY:,} files, ours as one archive",
            results.seconds("ours, archive"),
            theirs("many"),
            at_most=_ARCHIVE_OF_FEW * few if targets.archive is None else None,
            share_at_most=targets.archive,
        ),
    ]
    if alone:
        return figures
    memory = [results.peak_bytes(f"{name}, few, memory") / 1e6 for name in ("ours", "bare")]
    return [
        *figures,
        Figure(title, f"{FEW} files, the floor: no entrypoint, DAGs in place", results.seconds("bare, few")),
        Figure(title, f"{FEW} files, ours beyond the floor", few - results.seconds("bare, few"), at_most=_BEYOND_BARE),
        Figure(title, "most memory until then", memory[0], unit="MB"),
        Figure(title, "most memory beyond the floor", memory[0] - memory[1], unit="MB", at_most=_MEMORY_BEYOND_BARE),
    ]


def size(bench: Bench) -> list[Figure]:
    """Measure what the images add to their base."""
    figures = []
    for airflow in bench.airflows:
        base = bench.base(airflow)
        own = added_layers(bench.ours(airflow).image, base.image)
        other = None if bench.alone else added_layers(bench.reference(airflow).image, base.image)
        figures += size_figures(airflow, own, other)
    return figures


def size_figures(airflow: str, own: dict[str, float], other: dict[str, float] | None) -> list[Figure]:
    """Return the rows of one Airflow's sizes by purpose of the layers, and their sums."""
    title = f"Airflow {airflow}: size over the base"
    figures = [
        Figure(
            title,
            f"layer: {name}",
            own.get(name, 0.0),
            None if other is None else other.get(name, 0.0),
            unit="MB",
            compared=False,
        )
        for name in PURPOSES
        if name in own or name in (other or {})
    ]
    total, bytecode = sum(own.values()), own.get(BYTECODE, 0.0)
    if other is None:
        return [*figures, Figure(title, "sum", total, unit="MB")]
    theirs = sum(other.values())
    return [*figures, Figure(title, "sum", total, theirs, unit="MB", at_most=theirs + bytecode, correctness=True)]


def rebuild(bench: Bench) -> list[Figure]:
    """Measure what a change of DAGs or of the DAG mode costs."""
    figures = []
    for airflow in bench.airflows:
        bench.ours(airflow)  # everything else is in the build cache then, as on a machine that builds often
        with _folder_of_dags() as dags:
            rebuilds = Rebuilds(bench.base(airflow), dags)
            seconds, changed = rebuilds.after_changes(1 if bench.alone else _REBUILDS)
            by_mode = rebuilds.by_mode()
        figures += rebuild_figures(airflow, seconds, changed, by_mode)
    return figures


@contextmanager
def _folder_of_dags() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder:
        yield write_files(Path(folder, "dags"), dag_files(MANY, 1))


def rebuild_figures(airflow: str, seconds: float, changed: int, by_mode: dict[str, list[str]]) -> list[Figure]:
    """Return the rows of one Airflow's rebuilds."""
    title = f"Airflow {airflow}: building again"
    shared = {mode: found[:-1] if mode == "local" else found for mode, found in by_mode.items()}
    others = max(differing(shared[MODES[0]], shared[mode]) for mode in MODES)
    return [
        Figure(title, "after a change of one of 1,000 DAG files in it", seconds, at_most=_REBUILD),
        Figure(title, "other layers than the last that differ then", changed, unit="", at_most=0, correctness=True),
        Figure(
            title,
            "layers that differ in another DAG mode, besides the DAGs' own",
            others,
            unit="",
            at_most=0,
            correctness=True,
        ),
    ]


SCENARIOS: dict[str, Callable[[Bench], list[Figure]]] = {"size": size, "rebuild": rebuild, "start": start}
