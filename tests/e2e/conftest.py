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
from tests.e2e.runs import Runs
from tests.images.product import EVERY_AIRFLOW, REPOSITORY, build_flags, build_py

OWN_DAGS = Path(__file__).parent / "dags"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which Airflow, and how much."""
    parser.addoption("--airflow", default="3.3.2", help="an Airflow version of the matrix")
    parser.addoption("--full", action="store_true", help="also what takes minutes")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "full: takes minutes, so it runs with --full alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for the full run."""
    if not config.getoption("--full"):
        left_out = [item for item in items if item.get_closest_marker("full")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


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
        deployment = EcsDeployment(stack, worker_image, dags=[DAGS, OWN_DAGS, Path(examples)])
        deployment.start()
        yield deployment


@pytest.fixture(scope="session")
def runs(deployment: EcsDeployment) -> Runs:
    """Starts runs of DAGs and looks at what becomes of them."""
    return Runs(deployment)
