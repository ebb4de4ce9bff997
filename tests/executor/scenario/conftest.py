"""One Airflow of real processes for all scenarios; each scenario starts schedulers of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

from tests.executor.scenario.deployment import Deployment
from tests.executor.scenario.sizes import SIZES


@pytest.fixture(scope="session")
def airflow(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An Airflow without a scheduler."""
    with Deployment(postgres_url, Path(tmp_path_factory.mktemp("airflow")), SIZES) as deployment:
        yield deployment


@pytest.fixture
def deployment(airflow: Deployment, request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """The same, with the ECS API as new; when the test fails, the logs are shown."""
    airflow.ecs.reset()
    failed_before = request.session.testsfailed
    yield airflow
    airflow.end_schedulers(show=request.session.testsfailed > failed_before)
