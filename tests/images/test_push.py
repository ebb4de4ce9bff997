"""`--push` pushes what was verified, under every tag; a push that fails says so and leaves the image here."""

from __future__ import annotations

import docker
import pytest

from tests.images.conftest import SMALL, in_registry
from tests.images.product import build_py

pytestmark = pytest.mark.usefixtures("small_base")

AIRFLOW, PYTHON = SMALL[3], SMALL[5]
IDENTIFIER = f"{AIRFLOW}-python{PYTHON}-s3"


def test_every_tag_is_in_the_registry_and_can_be_built_on_by_digest(
    registry: str, client: docker.DockerClient, scratch_tag: str
) -> None:
    repository = f"{registry}/team/worker"
    done = build_py(*SMALL, "--dags", "s3", "--repository", repository, "--push")
    assert done.returncode == 0, done.stderr
    named = f"{repository}:{IDENTIFIER}"
    local = client.images.get(named)
    tags = build_py("tags", *SMALL[:7], "--dags", "s3", "--repository", repository).stdout.split()
    assert len(tags) > 1 and sorted(tags) == sorted(name for name in local.tags if name.startswith(repository))
    for tag in tags:
        digest, configuration = in_registry(registry, "team/worker", tag.rpartition(":")[2])
        assert configuration == local.id
        client.images.remove(tag)

    done = build_py(*SMALL, "--dags", "none", "--base", named, "--base-digest", digest, "--tag", scratch_tag)
    assert done.returncode == 0, done.stderr
    labels = client.images.get(scratch_tag).labels
    assert labels["org.opencontainers.image.base.digest"] == digest
    assert labels["org.opencontainers.image.base.name"] == named


def test_a_push_that_fails(client: docker.DockerClient) -> None:
    target = "127.0.0.1:9/team/worker:1"
    done = build_py(*SMALL, "--dags", "s3", "--tag", target, "--push")
    assert done.returncode == 15, done.stderr
    last = done.stderr[done.stderr.index("build.py: error:") :]
    assert target in last and "Check the registry's name and the engine's way to it" in last
    assert "docker login" not in last, "nobody answers there"
    assert "Traceback" not in done.stderr
    client.images.remove(target)
