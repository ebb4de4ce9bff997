"""Fixtures of the executor's tests, with and without Airflow: an AWS of this machine, and what was logged."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import Callable, Iterator

import pytest

from local.ecs.control import EcsApi
from local.fakes.logs import FakeLogs
from local.fakes.registry import FakeRegistry
from local.fakes.s3 import FakeS3
from tests.aws_environment import AWS_ENVIRONMENT
from tests.unit.executor.harness import Driver

__all__ = ["ecs", "ecs_server", "logs", "registry", "s3", "said", "warned"]

AWS = {
    **AWS_ENVIRONMENT,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # a call that no test meant to make fails at once
}
"""No settings of this machine."""


@pytest.fixture(scope="session")
def ecs_server() -> Iterator[EcsApi]:
    """The ECS API, started once. Tests take `ecs`."""
    with EcsApi() as server:
        yield server


@pytest.fixture
def ecs(ecs_server: EcsApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[EcsApi]:
    """The ECS API as new; boto3 finds it by the environment. No scheduler survives the test."""
    ecs_server.reset()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**AWS, "AWS_ENDPOINT_URL_ECS": ecs_server.url}.items():
        monkeypatch.setenv(name, value)
    yield ecs_server
    while Driver.living:
        Driver.living.pop().die()


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """An image registry with nothing in it."""
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLogs]:
    """CloudWatch Logs; boto3 finds it by the environment."""
    with FakeLogs() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", server.url)
        yield server


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    """An S3, which boto3 finds by the environment."""
    with FakeS3() as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", fake.url)
        yield fake


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
    former = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)
    logger.setLevel(former)
