from __future__ import annotations

import boto3
import pytest
from airflow_ecs_executor.aws.task_definition import Platform
from airflow_ecs_executor.image_check.remote import Images

from local.fakes.registry import FakeRegistry, entry, put_image, put_index
from tests.aws_environment import AWS_ENVIRONMENT

ACCOUNT_HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
AMD64, ARM64 = Platform("amd64"), Platform("arm64")


def config_for(architecture, **labels):
    return {"architecture": architecture, "os": "linux", "config": {"Labels": labels, "Env": ["A=1"]}}


@pytest.fixture
def registry(monkeypatch):
    """An empty registry, which boto3's client of Amazon ECR finds as well."""
    for name, value in {**AWS_ENVIRONMENT, "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def images(registry):
    """What looks images up there; ``images.regions`` are those that Amazon ECR was asked in."""
    return LookUps(registry)


class LookUps(Images):
    def __init__(self, registry, timeout=10.0):
        self.regions = []
        self.credentials = None
        super().__init__(self._ecr_of(registry), lambda host: self.credentials, timeout)

    def _ecr_of(self, registry):
        def client(region):
            self.regions.append(region)
            return boto3.session.Session().client("ecr", region_name=region, endpoint_url=registry.url)

        return client


@pytest.fixture
def multi_platform(registry):
    """``team/worker:2``: an index with an attestation and lazy-loading siblings; the digests of all, by name."""
    digests = {name: put_image(registry, "team/worker", "", config_for(name)) for name in ("amd64", "arm64")}
    attestation = put_image(registry, "team/worker", "", {"architecture": "unknown"})
    soci = put_image(registry, "team/worker", "", {"soci": True})
    nydus = put_image(registry, "team/worker", "", {"architecture": "amd64", "nydus": True})
    entries = [
        entry(
            attestation,
            "unknown/unknown",
            annotations={
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": digests["amd64"],
            },
        ),
        entry(soci, "linux/amd64", artifactType="application/vnd.amazon.soci.index.v2+json"),
        entry(nydus, "linux/amd64", features=["nydus.remoteimage.v1"]),
        entry(digests["amd64"], "linux/amd64"),
        entry(digests["arm64"], "linux/arm64"),
    ]
    digests["index"] = put_index(registry, "team/worker", "2", entries)
    return digests
