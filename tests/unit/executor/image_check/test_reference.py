from __future__ import annotations

import pytest
from airflow_ecs_executor.image_check.reference import DOCKER_HUB, ImageReference, has_registry, parse
from hypothesis import given
from hypothesis import strategies as st

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("postgres", (DOCKER_HUB, "library/postgres", "latest", "")),
        ("postgres:16", (DOCKER_HUB, "library/postgres", "16", "")),
        ("apache/airflow:3.3.2", (DOCKER_HUB, "apache/airflow", "3.3.2", "")),
        ("docker.io/postgres:16", (DOCKER_HUB, "library/postgres", "16", "")),
        ("index.docker.io/apache/airflow", (DOCKER_HUB, "apache/airflow", "latest", "")),
        ("localhost/worker", ("localhost", "worker", "latest", "")),
        ("localhost:5000/team/worker:1", ("localhost:5000", "team/worker", "1", "")),
        ("registry:5000/worker", ("registry:5000", "worker", "latest", "")),
        ("[::1]:5000/worker:1", ("[::1]:5000", "worker", "1", "")),
        ("ghcr.io/acme/team/worker:1.0_a-b", ("ghcr.io", "acme/team/worker", "1.0_a-b", "")),
        (f"ghcr.io/acme/worker@{DIGEST}", ("ghcr.io", "acme/worker", "", DIGEST)),
        (f"ghcr.io/acme/worker:1@{DIGEST}", ("ghcr.io", "acme/worker", "1", DIGEST)),
    ],
)
def test_names_are_read_as_docker_reads_them(name, expected):
    assert parse(name) == ImageReference(*expected)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":1",
        "a b",
        "Worker",
        "ghcr.io/",
        "worker:",
        "worker:a b",
        "worker@sha256:1",
        "http://ghcr.io/worker",
        "a//b",
    ],
)
def test_what_is_no_image_is_refused(name):
    with pytest.raises(ValueError, match="is not a valid image name"):
        parse(name)


@given(st.text(max_size=40))
def test_whatever_is_given_it_is_a_reference_or_a_value_error(name):
    try:
        reference = parse(name)
    except ValueError:
        return
    assert reference.registry and reference.repository and reference.version


def test_a_digest_wins_over_the_tag():
    assert parse(f"worker:1@{DIGEST}").version == DIGEST
    assert parse("worker:1").version == "1"


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
        ("123456789012.dkr-ecr-fips.us-east-1.on.aws", "us-east-1"),
        ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
        ("123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
        ("123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
        ("123456789012.dkr.ecr.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1"),
    ],
)
def test_private_registries_of_amazon_ecr_name_account_and_region(host, region):
    assert parse(f"{host}/team/worker:1").ecr == ("123456789012", region)


@pytest.mark.parametrize("host", ["public.ecr.aws", "ghcr.io", "12.dkr.ecr.eu-west-1.amazonaws.com", "localhost"])
def test_others_do_not(host):
    assert parse(f"{host}/worker:1").ecr is None


def test_a_name_with_a_registry_is_told_apart():
    assert has_registry("localhost/worker") and has_registry("a.b/worker") and has_registry("a:1/worker")
    assert not has_registry("worker") and not has_registry("apache/airflow:3.3.2")
