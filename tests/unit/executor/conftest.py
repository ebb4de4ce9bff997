from __future__ import annotations

import os
from typing import Iterator

import pytest

from tests.unit.executor.cloudformation import CloudFormation
from tests.unit.executor.fixtures import *  # noqa: F403  # the fixtures


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFormation]:
    """CloudFormation, which boto3 finds by the environment."""
    with CloudFormation() as service:
        for name, value in {
            "AWS_ENDPOINT_URL": service.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_REGION", raising=False)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        yield service
