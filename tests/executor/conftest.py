"""What every test inside Airflow gets: no real AWS, an Airflow home of its own, and the ECS API of `local.ecs`.

The environment is set before anything imports Airflow, which reads it once.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import pytest

from tests.unit.conftest import clients_are_made_quickly  # noqa: F401  # every test uses this fixture
from tests.unit.executor.fixtures import *  # noqa: F403  # the fixtures
from tests.unit.executor.fixtures import AWS

# What tests/executor/run.py says.
_TOLD = ("AIRFLOW_WITHOUT_AMAZON_PYTHON",)


def _isolate() -> None:
    """Take this machine's settings of Airflow and AWS away, and set those of the tests."""
    for name in list(os.environ):
        if name.startswith(("AIRFLOW", "AWS_")) and name not in _TOLD:
            del os.environ[name]
    home = tempfile.mkdtemp(prefix="airflow-ecs-")
    owner = os.getpid()
    # Children that Airflow forks end with the same functions registered.
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(home, ignore_errors=True))
    os.environ.update(
        {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__DAGS_FOLDER": f"{home}/dags",
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **AWS,
        }
    )


_isolate()


def _told(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        pytest.fail(f"{variable} is not set: run the tests by `python -m tests.executor.run`")
    return value


@pytest.fixture(scope="session")
def python_without_amazon() -> str:
    """A Python with the same Airflow, without the Amazon provider."""
    return _told("AIRFLOW_WITHOUT_AMAZON_PYTHON")


@pytest.fixture(scope="session")
def reference_python() -> str:
    """The Python of the reference executor's environment."""
    return _told("REFERENCE_PYTHON")


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """A PostgreSQL whose user may create databases: make one of your own in it."""
    return _told("TEST_POSTGRES_URL")


def pytest_configure(config: pytest.Config) -> None:
    """Let workers take the files in the order below; an older pytest-xdist has an order of its own."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what takes longest, so that nothing is waited for at the end."""
    order = ["scenario", "differential"]
    items.sort(key=lambda item: next((order.index(part) for part in item.path.parts if part in order), len(order)))
