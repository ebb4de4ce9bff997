"""The fake registry, asked as clients ask: by the OCI distribution API, and by the API of Amazon ECR with boto3."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

from local.fakes.registry import FakeRegistry, put_image

CONFIG = {"architecture": "amd64", "config": {"Labels": {"a": "b"}}}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def image(registry: FakeRegistry) -> str:
    """The digest of ``team/worker:1``."""
    return put_image(registry, "team/worker", "1", CONFIG)


@pytest.fixture
def ecr(registry: FakeRegistry) -> Iterator[Any]:
    client = ecr_client(registry)
    yield client
    client.close()


def ecr_client(registry: FakeRegistry) -> Any:
    """A client that asks once."""
    return boto3.client(
        "ecr",
        endpoint_url=registry.url,
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=5, proxies={}),
    )


def get(registry: FakeRegistry, path: str, **options: Any) -> requests.Response:
    """Ask without the proxies and the logins of this machine."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"{registry.url}{path}", timeout=5, **options)


class TestEcr:
    def test_its_login_opens_it_and_no_other_does(self, registry: FakeRegistry, ecr: Any, image: str) -> None:
        registry.login = "ecr"
        (data,) = ecr.get_authorization_token()["authorizationData"]
        user, password = base64.b64decode(data["authorizationToken"]).decode().split(":")
        assert (data["proxyEndpoint"], user) == (registry.url, "AWS")
        assert get(registry, "/v2/team/worker/manifests/1", auth=(user, password)).ok
        assert get(registry, "/v2/team/worker/manifests/1", auth=registry.user).status_code == 401

    def test_repositories_are_made_once(self, registry: FakeRegistry, ecr: Any) -> None:
        with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
            ecr.describe_repositories(repositoryNames=["team/worker"])
        ecr.create_repository(repositoryName="team/worker", imageTagMutability="IMMUTABLE")
        (found,) = ecr.describe_repositories(repositoryNames=["team/worker"])["repositories"]
        assert found["imageTagMutability"] == registry.repositories["team/worker"]["imageTagMutability"] == "IMMUTABLE"
        with pytest.raises(ecr.exceptions.RepositoryAlreadyExistsException):
            ecr.create_repository(repositoryName="team/worker")

    def test_repositories_may_be_elsewhere(self, registry: FakeRegistry, ecr: Any) -> None:
        """moto's, say, which its CloudFormation has made."""
        ecr.create_repository(repositoryName="team/worker", imageTagMutability="IMMUTABLE")
        with FakeRegistry(aws=registry.host) as front:
            client = ecr_client(front)
            (found,) = client.describe_repositories(repositoryNames=["team/worker"])["repositories"]
            assert found["imageTagMutability"] == "IMMUTABLE" and not front.repositories
            with pytest.raises(client.exceptions.RepositoryNotFoundException):
                client.describe_repositories(repositoryNames=["other"])
            client.close()


class TestUpstream:
    """Another registry behind it; tests/images has a real one there."""

    @pytest.fixture
    def front(self, registry: FakeRegistry, image: str) -> Iterator[FakeRegistry]:
        with FakeRegistry(upstream=registry.host) as fake:
            yield fake

    def test_logins_and_faults_are_its_own(self, registry: FakeRegistry, front: FakeRegistry) -> None:
        front.login = "basic"
        assert get(front, "/v2/team/worker/manifests/1").status_code == 401
        assert get(front, "/v2/team/worker/manifests/1", auth=front.user).ok
        front.faults["manifests"] = 503
        assert get(front, "/v2/team/worker/manifests/1", auth=front.user).status_code == 503
        assert registry.authorizations == [""]
