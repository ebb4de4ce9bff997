"""By boto3 against an API of Amazon ECR, in front of the same images."""

from __future__ import annotations

import pytest
from airflow_ecs_executor.image_check.ecr import EcrRegistry
from airflow_ecs_executor.image_check.errors import RegistryError
from airflow_ecs_executor.image_check.http import Http
from airflow_ecs_executor.image_check.reference import parse

from local.fakes.registry import put_image
from tests.unit.executor.image_check.conftest import ACCOUNT_HOST, AMD64, ARM64, config_for

NAME = f"{ACCOUNT_HOST}/team/worker"


@pytest.fixture
def one(registry):
    return put_image(registry, "team/worker", "1", config_for("amd64", a="b"))


def test_an_image_is_read_in_three_requests_in_the_region_of_its_name(registry, images, one):
    found = images.look_up(f"{NAME}:1", AMD64)
    assert found.config == config_for("amd64", a="b") and found.digests == {one}
    assert registry.requests[:2] == ["BatchGetImage", "GetDownloadUrlForLayer"] and len(registry.requests) == 3
    assert images.regions == ["eu-west-1"]


def test_an_image_by_its_digest(images, one):
    assert images.look_up(f"{NAME}@{one}", AMD64).digests == {one}


def test_of_an_index_the_image_for_the_platform_is_read_in_four(registry, images, multi_platform):
    found = images.look_up(f"{NAME}:2", ARM64)
    assert found.config["architecture"] == "arm64"
    assert found.digests == {multi_platform["index"], multi_platform["arm64"]}
    assert len(registry.requests) == 4


def test_an_image_that_is_not_there(images, one):
    with pytest.raises(RegistryError, match="has no image team/worker:3"):
        images.look_up(f"{NAME}:3", AMD64)


def test_a_repository_that_is_not_there(registry, images):
    registry.faults["BatchGetImage"] = "RepositoryNotFoundException"
    with pytest.raises(RegistryError, match="push it, or correct the name"):
        images.look_up(f"{NAME}:1", AMD64)


@pytest.mark.parametrize("action", ["BatchGetImage", "GetDownloadUrlForLayer"])
def test_a_denied_action_is_named(registry, images, one, action):
    registry.denied.append(action)
    with pytest.raises(RegistryError, match="123456789012") as caught:
        images.look_up(f"{NAME}:1", AMD64)
    assert caught.value.action == f"ecr:{action}"


@pytest.mark.parametrize(
    "code, remedy",
    [
        ("ImageInaccessible", "restore it"),
        ("KmsError", "KMS key of the repository"),
        ("UpstreamAccessDenied", "pull through cache rule"),
        ("UpstreamTooManyRequests", "try again later"),
        ("UpstreamUnavailable", "try again later"),
        ("SomethingNew", "because"),
    ],
)
def test_why_there_is_no_manifest_is_told_and_what_to_do(code, remedy):
    class Client:
        def batch_get_image(self, **_):
            return {"images": [], "failures": [{"failureCode": code, "failureReason": "because"}]}

    with pytest.raises(RegistryError, match=f"returned no manifest: .*{remedy}"):
        EcrRegistry(Http(1), parse(f"{NAME}:1"), Client()).manifest("1")


@pytest.mark.parametrize(
    "code, remedy",
    [
        ("UnableToGetUpstreamImageException", "pull through cache rule"),
        ("RequestTimeTooSkewed", "set the clock of this machine"),
        ("ExpiredTokenException", "valid AWS credentials"),
        ("ServerException", "try again later"),
        ("ThrottlingException", "try again later"),
    ],
)
def test_an_error_is_told_with_what_to_do(registry, images, one, code, remedy):
    registry.faults["BatchGetImage"] = code
    with pytest.raises(RegistryError, match=f"Amazon ECR: {code}: .*{remedy}"):
        images.look_up(f"{NAME}:1", AMD64)


def test_storage_that_fails_is_told(registry, images, one):
    registry.faults["blobs"] = 403
    with pytest.raises(RegistryError, match="storage answers with HTTP status 403"):
        images.look_up(f"{NAME}:1", AMD64)


def test_without_credentials_the_reason_is_told(registry, images, one, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(RegistryError, match="NoCredentialsError"):
        images.look_up(f"{NAME}:1", AMD64)
