"""`--push` pushes what was verified, under every tag; a push that fails says so and leaves the image here."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import docker

from tests.images.product import build_flags, build_py

PAIR = ("--airflow", "2.10.5", "--python", "3.11")


def manifest(registry: str, repository: str, tag: str) -> tuple[str, dict[str, Any]]:
    """An image's manifest as a registry has it, and its digest."""
    request = urllib.request.Request(
        f"http://{registry}/v2/{repository}/manifests/{tag}",
        headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return answer.headers["Docker-Content-Digest"], json.load(answer)


def test_every_tag_is_in_the_registry_and_can_be_built_on_by_digest(
    worker: str, registry: str, client: docker.DockerClient, scratch_tag: str
) -> None:
    repository = f"{registry}/team/worker"
    done = build_py(*PAIR, "--dags", "s3", "--repository", repository, "--push", *build_flags())
    assert done.returncode == 0, done.stderr
    local = client.images.get(f"{repository}:2.10.5-python3.11-s3")
    tags = [name.rpartition(":")[2] for name in local.tags if name.startswith(repository)]
    assert sorted(tags) == ["2.10-python3.11-s3", "2.10.5-python3.11-s3"]
    for tag in tags:
        digest, found = manifest(registry, "team/worker", tag)
        assert found["config"]["digest"] == local.id
        client.images.remove(f"{repository}:{tag}")

    base = ("--base", f"{repository}:2.10.5-python3.11-s3", "--base-digest", digest)
    done = build_py(*PAIR, "--dags", "none", *base, "--no-aws-cli", "--tag", scratch_tag, *build_flags())
    assert done.returncode == 14, "the base brings an AWS CLI that the flags leave out: " + done.stderr
    done = build_py(*PAIR, "--dags", "none", *base, "--tag", scratch_tag, *build_flags())
    assert done.returncode == 0, done.stderr
    labels = client.images.get(scratch_tag).labels
    assert labels["org.opencontainers.image.base.digest"] == digest
    assert labels["org.opencontainers.image.base.name"] == f"{repository}:2.10.5-python3.11-s3"


def test_a_push_that_fails(worker: str, scratch_tag: str, client: docker.DockerClient) -> None:
    target = "127.0.0.1:9/team/worker:1"
    done = build_py(*PAIR, "--dags", "s3", "--tag", target, "--push", *build_flags())
    assert done.returncode == 15, done.stderr
    last = done.stderr[done.stderr.index("build.py: error:") :]
    assert target in last and "docker login" in last and "Traceback" not in done.stderr
    client.images.remove(target)
