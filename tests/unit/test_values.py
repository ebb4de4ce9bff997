"""What is a valid S3 URI, image name, tag and region: one table for all functions that judge them.

What the build tool accepts, the container and the executor have to accept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from airflow_ecs_entrypoint.s3_uri import parse_s3_uri
from airflow_ecs_executor.aws.names import REGION
from airflow_ecs_executor.image_check.comparison import repository_of
from airflow_ecs_executor.image_check.reference import parse

from images import inputs
from images.dags.plan import ARCHIVES, destination_of
from images.errors import RequestError
from local.ecs.containers import engine
from local.ecs.notation import path_in_ecr
from tests.unit import s3_uris

SHA256, SHA512 = f"sha256:{'0123456789abcdef' * 4}", f"sha512:{'0123456789abcdef' * 8}"
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
REPOSITORIES = [
    *("airflow-ecs-worker", "team/worker", "a__b/c.d/e-f", "localhost:5000/worker", "[::1]:5000/worker"),
    *("registry.example.com/team/worker", "Registry.Example.com/worker", f"{ECR}/team/worker"),
]
NO_REPOSITORIES = [
    *("", " ", "Worker", "Foo/bar", "a_b.c/x", "-x/y", "a//b", "/a", "a/", "a b", "ghcr.io/", "http://ghcr.io/worker"),
    *("team/Worker", "host:port/worker", "worker\n"),
]
TAGS = ["1", "latest", "1.0_a-B", "_x", "a" * 128]
NO_TAGS = ["", " ", "-1", ".1", "a b", "a/b", "a:b", "a" * 129, "é", "1\n"]
REGIONS = ["eu-west-1", "us-gov-west-1", "us-isob-east-1", "cn-northwest-1", "ap-southeast-12", "eusc-de-east-1"]
NO_REGIONS = ["Frankfurt", "EU-WEST-1", "eu west 1", "eu-west-1 ", "eu_west_1", "-"]


def refuses(judge: Callable[..., Any], *arguments: str) -> bool:
    try:
        judge(*arguments)
    except (ValueError, RequestError):
        return True
    return False


@pytest.mark.parametrize("accepted", s3_uris.ACCEPTED)
def test_s3_uris_that_the_container_accepts(accepted: s3_uris.Accepted) -> None:
    inputs.check_s3_uri(accepted.uri, "--s3-uri")
    if accepted.archive == "tar.zst":
        assert refuses(destination_of, accepted.uri), "it is not written"
        return
    destination = destination_of(accepted.uri)
    assert (destination.bucket, destination.path) == (accepted.bucket, accepted.path)
    assert parse_s3_uri("S3_URI", str(destination)).path == accepted.path
    assert (destination.ending in ARCHIVES) == bool(accepted.archive)


@pytest.mark.parametrize("refused", s3_uris.REFUSED)
def test_s3_uris_that_the_container_refuses(refused: s3_uris.Refused) -> None:
    for judge in (lambda uri: inputs.check_s3_uri(uri, "--s3-uri"), destination_of):
        with pytest.raises(RequestError) as raised:
            judge(refused.uri)
        assert refused.reason in str(raised.value) and s3_uris.SECRET not in str(raised.value)


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_names_of_repositories(repository: str) -> None:
    inputs.check_repository(repository)
    inputs.check_base(repository, "")
    inputs.check_base(repository, SHA256)
    for tag in TAGS:
        name = f"{repository}:{tag}"
        inputs.check_tag(name)
        assert parse(name).tag == tag
        assert refuses(inputs.check_repository, name) and refuses(inputs.check_tag, f"{name}@{SHA256}")
        for digest in (SHA256, SHA512):
            inputs.check_base(f"{name}@{digest}", "")
            assert refuses(inputs.check_base, f"{name}@{digest}", SHA256)
            for full in (name, f"{name}@{digest}", f"{repository}@{digest}", repository):
                assert repository_of(full) == engine.repository_of(full) == repository
    assert refuses(inputs.check_tag, repository), "it has no tag"
    assert (path_in_ecr(f"{repository}:1") is not None) == (parse(repository).ecr is not None)


@pytest.mark.parametrize("name", NO_REPOSITORIES)
def test_what_is_not_a_name(name: str) -> None:
    assert refuses(parse, f"{name}:1")
    assert refuses(inputs.check_repository, name)
    assert refuses(inputs.check_tag, f"{name}:1")
    assert refuses(inputs.check_base, name, "")


@pytest.mark.parametrize("tag", TAGS)
def test_tags(tag: str) -> None:
    inputs.check_tag_name(tag)


@pytest.mark.parametrize("tag", NO_TAGS)
def test_what_is_not_a_tag(tag: str) -> None:
    assert refuses(inputs.check_tag_name, tag) and refuses(inputs.check_tag, f"worker:{tag}")


@pytest.mark.parametrize("digest", ["sha256:1", f"{SHA256}0", "md5:0", SHA256.upper(), SHA256.partition(":")[2]])
def test_what_is_not_a_digest(digest: str) -> None:
    assert refuses(parse, f"worker@{digest}") and refuses(inputs.check_base, "worker", digest)


@pytest.mark.parametrize("region", REGIONS)
def test_regions(region: str) -> None:
    inputs.check_region(region)
    assert re.fullmatch(REGION, region)


@pytest.mark.parametrize("region", NO_REGIONS)
def test_what_is_not_a_region(region: str) -> None:
    assert refuses(inputs.check_region, region) and not re.fullmatch(REGION, region)


def test_no_value_is_the_default() -> None:
    inputs.check_region("")
    inputs.check_s3_uri("", "--s3-uri")
