"""One Airflow on the local ECS for all tests of a session; what a test changes, it sets back.

What mostly waits goes on side by side: every run of a DAG that a selected test looks at is started before the first.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.bases import ensure_base
from local.demo import DAGS, EXAMPLES
from local.deployment import copy_examples
from local.ecs_deployment import EcsDeployment
from local.errors import BuildError
from local.image_build import docker_build
from local.stack import Stack
from local.waiting import until
from tests.docs.pages import DOCS, ROOT, blocks, run_shell
from tests.e2e.runs import Run, Runs
from tests.images.product import EVERY_AIRFLOW, REPOSITORY, build_py
from tests.releases import NEWEST_3

OWN_DAGS = Path(__file__).parent / "dags"
DEMO_RUNS = tuple(sorted(path.stem for path in DAGS.glob("demo_*.py") if path.stem != "demo_long"))
EXAMPLE = "example_short_circuit_decorator"
"""The one of Airflow's own DAGs that has no schedule, which would start a second run; the others run with --full."""
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
# A busy machine's API server may take longer than the 5 s that a task gives it.
PATIENCE = {"AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30"}
UNREACHABLE_S3 = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "DAGS_TIMEOUT": "3"}
# On a machine without it.
CURL = """curl() { python3 -c 'import sys, urllib.request
print(urllib.request.urlopen(sys.argv[3], sys.argv[2].encode()).read().decode())' "$@"; }
"""
Try = Callable[[str], str]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which Airflow."""
    parser.addoption("--airflow", default=NEWEST_3.version, help="an Airflow version of the matrix")


@pytest.hookimpl(tryfirst=True)  # before tests marked `full` are left out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On other Airflows than the newest, what is the same there is for the full run."""
    if config.getoption("--airflow") != NEWEST_3.version:
        for item in items:
            if item.get_closest_marker("newest"):
                item.add_marker("full")


@pytest.fixture(scope="session")
def worker_image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image that tasks run in, by the build tool's Dockerfile: the tests of images verify the same layers."""
    product = EVERY_AIRFLOW[request.config.getoption("--airflow")]
    ensure_base(*product.base)
    airflow, python, _ = product.base
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
        deployment = EcsDeployment(stack, worker_image, dags=dags, settings=settings, task_environment=PATIENCE)
        deployment.start()
        yield deployment


@pytest.fixture(scope="session")
def runs(deployment: EcsDeployment) -> Runs:
    """Starts runs of DAGs and looks at what becomes of them."""
    return Runs(deployment)


@pytest.fixture(scope="session")
def started(request: pytest.FixtureRequest, deployment: EcsDeployment, runs: Runs) -> dict[str, Run]:
    """The runs that the selected tests look at, by what they are for: a DAG of the demo, or what happens to them."""
    found: dict[str, Run] = {}
    selected = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    if "demo" in selected:
        # A busy machine takes long for a first look at a sensor, so nothing else is started before it.
        found["demo_sensors"] = runs.start("demo_sensors", seconds=SENSORS_SECONDS)
        found["demo_sensors"].until("rescheduled", "up_for_reschedule", "success")
    if "elsewhere" in selected:
        for family in ("never-reaches-s3", LATER):
            deployment.register(deployment.image, family, environment=UNREACHABLE_S3)
        found["elsewhere"] = runs.start("e2e_elsewhere")
    if "happened" in selected:
        found["interrupted"] = runs.start("e2e_wait")
        found["stopped from outside"] = runs.start("e2e_wait")
        found["stopped in the UI"] = runs.start("demo_long")
    if "demo" in selected:
        examples = EXAMPLES if request.config.getoption("--full") else (EXAMPLE,)
        configured = {"demo_fan_out": {"partitions": PARTITIONS}}
        others = [dag_id for dag_id in (*DEMO_RUNS, *examples) if dag_id not in found]
        found |= {dag_id: runs.start(dag_id, **configured.get(dag_id, {})) for dag_id in others}
    if "elsewhere" in selected:
        # Before the next attempt.
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
