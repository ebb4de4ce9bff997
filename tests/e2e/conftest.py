"""One Airflow on the local ECS for all tests of a session; what a test changes, it sets back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.bases import ensure_base
from local.demo import DAGS, EXAMPLES
from local.deployment import copy_examples
from local.ecs_deployment import EcsDeployment
from local.stack import Stack
from local.waiting import until
from tests.e2e.runs import Run, Runs
from tests.images.product import EVERY_AIRFLOW, REPOSITORY, build_flags, build_py
from tests.releases import NEWEST_3

OWN_DAGS = Path(__file__).parent / "dags"
DEMO_RUNS = (
    "demo_sensors",
    *sorted(path.stem for path in DAGS.glob("demo_*.py") if path.stem not in ("demo_sensors", "demo_long")),
    *EXAMPLES,
)
LATER = "reaches-s3-later"
LOAD_FAILED = 84
"""The exit code of a container whose DAGs could not be loaded for a reason that may pass."""
# By default a scheduler looks every five minutes whether another one is gone.
SOON = {"AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5"}
UNREACHABLE_S3 = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "DAGS_TIMEOUT": "3"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which Airflow."""
    parser.addoption("--airflow", default=NEWEST_3.version, help="an Airflow version of the matrix")


@pytest.fixture(scope="session")
def worker_image(request: pytest.FixtureRequest) -> str:
    """The image that tasks run in, as the build tool builds it; the tests of images know it by the same name."""
    product = EVERY_AIRFLOW[request.config.getoption("--airflow")]
    ensure_base(*product.base)
    airflow, python, _ = product.base
    flags = ["--airflow", airflow, "--python", python, "--dags", "s3", "--repository", f"{REPOSITORY}-e2e"]
    done = build_py(*flags, *build_flags())
    assert done.returncode == 0, done.stderr
    return f"{REPOSITORY}-e2e:{airflow}-python{python}-s3"


@pytest.fixture(scope="session")
def deployment(worker_image: str) -> Iterator[EcsDeployment]:
    """Airflow with one scheduler."""
    with Stack() as stack, tempfile.TemporaryDirectory() as examples:
        copy_examples(stack, worker_image, EXAMPLES, Path(examples))
        deployment = EcsDeployment(stack, worker_image, dags=[DAGS, OWN_DAGS, Path(examples)], settings=SOON)
        deployment.start()
        yield deployment


@pytest.fixture(scope="session")
def runs(deployment: EcsDeployment) -> Runs:
    """Starts runs of DAGs and looks at what becomes of them."""
    return Runs(deployment)


@pytest.fixture(scope="session")
def demo(runs: Runs) -> dict[str, Run]:
    """A run of each DAG of the demo but `demo_long`, by its name."""
    # A busy machine takes long for a first look at a sensor, so nothing else is started before it.
    sensors = runs.start("demo_sensors", seconds=60)
    sensors.until("rescheduled", "up_for_reschedule")
    found = {"demo_sensors": sensors}
    return found | {dag_id: runs.start(dag_id) for dag_id in DEMO_RUNS if dag_id not in found}


@pytest.fixture(scope="session")
def trouble(demo: dict[str, Run], deployment: EcsDeployment, runs: Runs) -> dict[str, Run]:
    """A run of each task to which something happens, started together with the demo to save time."""
    for family in ("never-reaches-s3", LATER):
        deployment.register(deployment.image, family, environment=UNREACHABLE_S3)
    found = {
        "elsewhere": runs.start("e2e_elsewhere"),
        "interrupted": runs.start("e2e_wait"),
        "stopped from outside": runs.start("e2e_wait"),
        "stopped in the UI": runs.start("demo_long"),
    }
    # Before the next attempt.
    until(lambda: LOAD_FAILED in found["elsewhere"].exit_codes(LATER), 180, "a container could not load its DAGs")
    deployment.register(deployment.image, LATER)
    return found
