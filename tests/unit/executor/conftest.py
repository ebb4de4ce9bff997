from __future__ import annotations

from typing import Iterator

import pytest
from airflow_ecs_executor.aws import errors

from tests.unit.executor.cloudformation import CloudFormation
from tests.unit.executor.fixtures import *  # noqa: F403  # the fixtures
from tests.unit.executor.fixtures import AWS


@pytest.fixture(autouse=True)
def every_defect_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback is logged once a minute; what another test has logged does not count."""
    monkeypatch.setattr(errors, "_logged", {})


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFormation]:
    """CloudFormation, which boto3 finds by the environment."""
    with CloudFormation() as service:
        for name, value in {**AWS, "AWS_ENDPOINT_URL": service.url, "AWS_DEFAULT_REGION": "eu-west-1"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_REGION", raising=False)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        yield service
