"""What every test inside Airflow gets: no real AWS, an Airflow home of its own, and the ECS API of `local.ecs`.

The environment is set before anything imports Airflow, which reads it once.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from local.ecs.control import EcsApi
from local.fake_registry import FakeRegistry

# What tests/executor/run.py says.
_TOLD = ("AIRFLOW_WITHOUT_AMAZON_PYTHON",)
_NOWHERE = "http://127.0.0.1:9"


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
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": _NOWHERE,  # a call that no test meant to make fails at once
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
    )


_isolate()


def _told(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        pytest.fail(f"{variable} is not set: run the tests by `python -m tests.executor.run AIRFLOW`")
    return value


@pytest.fixture(scope="session")
def ecs_server() -> Iterator[EcsApi]:
    """The ECS API, started once. Tests take `ecs`."""
    with EcsApi() as server:
        yield server


@pytest.fixture
def ecs(ecs_server: EcsApi, monkeypatch: pytest.MonkeyPatch) -> EcsApi:
    """The ECS API as new; boto3 finds it by the environment."""
    ecs_server.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", ecs_server.url)
    return ecs_server


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """An image registry with nothing in it."""
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture(autouse=True)
def no_scheduler_survives_its_test() -> Iterator[None]:
    """End the executors that a test has left running."""
    yield
    harness = sys.modules.get("tests.executor.harness")
    while harness is not None and harness.Scheduler.living:
        harness.Scheduler.living.pop().die()


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


@pytest.fixture
def warned() -> Iterator[Callable[[], str]]:
    """Everything that the executor warned about, whatever Airflow's logging does with it."""
    with _messages(logging.WARNING) as messages:
        yield lambda: "\n".join(messages)


@pytest.fixture
def said() -> Iterator[Callable[[], str]]:
    """Everything that the executor logged, warnings and what it only tells."""
    with _messages(logging.INFO) as messages:
        yield lambda: "\n".join(messages)


@contextmanager
def _messages(level: int) -> Iterator[list[str]]:
    messages: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler = Keep(level)
    logger = logging.getLogger("airflow_ecs_executor")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)
