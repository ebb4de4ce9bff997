"""One Airflow on the local ECS for all tests of a version; what a test changes, it sets back.

What mostly waits goes on side by side: every run of a DAG that a selected test looks at is started before the first
test. With several processes (`-n`), each Airflow runs in its own process.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer

from local.airflow.deployment import copy_examples
from local.airflow.ecs_deployment import EcsDeployment
from local.aws_services.stack import Stack
from local.demo import DAGS, EXAMPLES
from local.errors import BuildError
from local.machine.bases import ensure_base
from local.machine.image_build import docker_build
from local.machine.waiting import until
from tests.docs.pages import blocks, run_shell
from tests.e2e.runs import Run, Runs
from tests.images.product import EVERY_AIRFLOW, REPOSITORY, build_py
from tests.paths import DOCS, ROOT
from tests.releases import NEWEST_2, NEWEST_3
from tests.side_by_side import SideBySide

OWN_DAGS = Path(__file__).parent / "dags"
DEMO_RUNS = tuple(sorted(path.stem for path in DAGS.glob("demo_*.py") if path.stem != "demo_long"))
EXAMPLE = "example_short_circuit_decorator"
"""The one of Airflow's own DAGs that has no schedule, which would start a second run; the others run with --full."""
ON_NEWEST = ("demo_memory", "demo_retries", "demo_sizes", EXAMPLE)
"""DAGs that other Airflows run with `--full` only: what the executor does about them is the same."""
PARTITIONS = 3
SENSORS_SECONDS = 60
LATER = "reaches-s3-later"
LOAD_FAILED = 84
"""The exit code of a container whose DAGs could not be loaded for a reason that may pass."""
# By default a scheduler looks every five minutes whether another one is gone, which it is after half a minute.
SOON = {
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "12",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    "AIRFLOW__AIRFLOW_ECS_EXECUTOR__POLL_INTERVAL": "1",
}
# As many containers as two processors bear beside an Airflow; what takes minutes is about more.
FEW = {"AIRFLOW__CORE__PARALLELISM": "10"}
UNREACHABLE_S3 = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "DAGS_TIMEOUT": "3"}
# On a machine without it.
CURL = """curl() { python3 -c 'import sys, urllib.request
print(urllib.request.urlopen(sys.argv[3], sys.argv[2].encode()).read().decode())' "$@"; }
"""
_VERSION = re.compile(r"\d+\.\d+\.\d+")
Try = Callable[[str], str]


def has_in_common(test: str) -> str:
    """The Airflow of a test; a test of another folder, which runs in the same session, shares nothing with others."""
    airflow = _VERSION.search(test)
    return airflow[0] if airflow and test.startswith("tests/e2e/") else test


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SideBySide:
    """Which tests one process gets together."""
    return SideBySide(config, log, has_in_common)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which Airflows."""
    parser.addoption("--airflow", action="append", help="an Airflow version; default: the newest Airflow 2 and 3")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test on each Airflow."""
    if "airflow" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--airflow") or [NEWEST_3.version, NEWEST_2.version]
        metafunc.parametrize("airflow", chosen, indirect=True, scope="session")


def airflow_of(item: pytest.Item) -> str | None:
    """The Airflow of a test."""
    spec = getattr(item, "callspec", None)
    return spec and spec.params.get("airflow")


@pytest.hookimpl(tryfirst=True)  # before tests marked `full` are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On other Airflows than the newest, what is the same there is for the full run."""
    for item in items:
        if item.get_closest_marker("newest") and airflow_of(item) != NEWEST_3.version:
            item.add_marker("full")


@pytest.fixture(scope="session")
def airflow(request: pytest.FixtureRequest) -> str:
    """The version under test."""
    version: str = request.param
    return version


@pytest.fixture(scope="session")
def worker_image(airflow: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image that tasks run in, by the build tool's Dockerfile: the tests of images verify the same layers."""
    product = EVERY_AIRFLOW[airflow]
    ensure_base(*product.base)
    _, python, _ = product.base
    context = tmp_path_factory.mktemp("worker") / "context"
    done = build_py("render", "--airflow", airflow, "--python", python, "--dags", "s3", "--output", context)
    assert done.returncode == 0, done.stderr
    image = f"{REPOSITORY}-e2e:{airflow}-python{python}-s3"
    failure = "The worker image could not be built"
    docker_build(context, image, secret="ca-bundle", error=BuildError, failure=failure)
    return image


@pytest.fixture(scope="session")
def deployment(request: pytest.FixtureRequest, worker_image: str) -> Iterator[EcsDeployment]:
    """Airflow with one scheduler."""
    with Stack() as stack, tempfile.TemporaryDirectory() as examples:
        copy_examples(stack, worker_image, EXAMPLES, Path(examples))
        dags = [DAGS, OWN_DAGS, Path(examples)]
        settings = SOON if request.config.getoption("--full") else {**SOON, **FEW}
        deployment = EcsDeployment(stack, worker_image, dags=dags, settings=settings)
        deployment.start()
        yield deployment


@pytest.fixture(scope="session")
def runs(deployment: EcsDeployment) -> Runs:
    """Starts runs of DAGs and looks at what becomes of them."""
    return Runs(deployment)


@pytest.fixture(scope="session")
def started(request: pytest.FixtureRequest, airflow: str, deployment: EcsDeployment, runs: Runs) -> dict[str, Run]:
    """The runs that the selected tests look at, by what they are for: a DAG of the demo, or what happens to them."""
    found: dict[str, Run] = {}
    full = request.config.getoption("--full")
    newest = full or airflow == NEWEST_3.version
    own = [item for item in request.session.items if airflow_of(item) == airflow]
    selected = {name for item in own for name in getattr(item, "fixturenames", ())}
    if "demo" in selected:
        # A busy machine takes long for a first look at a sensor, so nothing else is started before it.
        found["demo_sensors"] = runs.start("demo_sensors", seconds=SENSORS_SECONDS)
        found["demo_sensors"].until("rescheduled", "up_for_reschedule", "success")
    if "happened" in selected:
        found["interrupted"] = runs.start("e2e_wait")
        found["stopped in the UI"] = runs.start("demo_long")
        if newest:
            found["stopped from outside"] = runs.start("e2e_wait")
    if "demo" in selected:
        configured = {"demo_fan_out": {"partitions": PARTITIONS}}
        others = [*DEMO_RUNS, *(EXAMPLES if full else (EXAMPLE,))]
        others = [dag_id for dag_id in others if dag_id not in found and (newest or dag_id not in ON_NEWEST)]
        found |= {dag_id: runs.start(dag_id, **configured.get(dag_id, {})) for dag_id in others}
    if "elsewhere" in selected:
        for family in ("never-reaches-s3", LATER):
            deployment.register(deployment.image, family, environment=UNREACHABLE_S3)
        # Last: the new revision has to be there before the next attempt, and to start a run takes a second or two.
        found["elsewhere"] = runs.start("e2e_elsewhere")
        codes = found["elsewhere"].exit_codes
        until(lambda: LOAD_FAILED in codes(LATER), 180, "a container could not load its DAGs")
        deployment.register(deployment.image, LATER)
    return found


@pytest.fixture(scope="session")
def demo(started: dict[str, Run]) -> dict[str, Run]:
    """A run of each DAG of the demo but `demo_long`, and of Airflow's own, by its name."""
    return {name: run for name, run in started.items() if name == run.dag_id}


@pytest.fixture(scope="session")
def happened(started: dict[str, Run]) -> dict[str, Run]:
    """The runs to whose only task something happens, by what that is."""
    return started


@pytest.fixture(scope="session")
def elsewhere(started: dict[str, Run]) -> Run:
    """A run of two tasks whose containers cannot reach their DAGs; one can after its first attempt."""
    return started["elsewhere"]


@pytest.fixture
def try_it(deployment: EcsDeployment) -> Try:
    """Runs the block of docs/local-ecs.md with a mark, on this Airflow, and returns what the terminal showed."""

    def run(mark: str) -> str:
        (block,) = (block for block in blocks(DOCS / "local-ecs.md") if {"local-ecs", mark} <= block.marks)
        code = block.code.replace("airflow-ecs-demo", deployment.stack.network)
        before = "" if shutil.which("curl") else CURL
        shell = run_shell(f"{before}{code}", ROOT, deployment.aws.local_environment())
        assert shell.code == 0, shell.output
        return shell.output

    return run
