"""The image check (docs/image-check.md) on what engine, Buildx and a real registry make of images.

A `FakeRegistry` in front of the real one keeps what was asked for. Everything else about the check is
tested without an engine: tests/unit/images/test_check.py, tests/unit/executor/image_check.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import docker
import pytest

from images.check import is_task_definition
from local.fakes.registry import FakeRegistry
from tests.images.conftest import docker_build, label_lines
from tests.images.product import CREDENTIALS, build_py
from tests.releases import NEWEST_2, OLDEST

REPOSITORY = "lookup/worker"
OTHER = {"amd64": "arm64", "arm64": "amd64"}

Versions = tuple[str, str]
Check = Callable[..., subprocess.CompletedProcess[str]]


def run_docker(*arguments: str) -> str:
    """The output of docker's command line."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def versions() -> Versions:
    """Airflow and Python of the image."""
    return NEWEST_2.version, NEWEST_2.default_python


@pytest.fixture
def check(versions: Versions) -> Check:
    """Run `build.py check` in a process of its own, for the image's versions unless another Python is given."""

    def run(target: str, *flags: str, python: str = versions[1]) -> subprocess.CompletedProcess[str]:
        pair = ("--airflow", versions[0], "--python", python)
        done = build_py("check", target, *pair, *flags, environment=CREDENTIALS)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


@dataclass(frozen=True)
class Pushed:
    """An image with the labels of a built one, in the registry under a tag that says nothing."""

    name: str
    config: str
    """The digest of its configuration."""
    digest: str
    """The digest of its manifest."""
    architecture: str


@pytest.fixture(scope="module")
def scratch(
    registry: str, client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., str]]:
    """Build an image from scratch, and push it under a tag; returns its name."""
    names = []

    def make(tag: str, instructions: str, architecture: str) -> str:
        folder = tmp_path_factory.mktemp("scratch")
        (folder / "Dockerfile").write_text(f"FROM scratch\n{instructions}\n")
        names.append(f"{registry}/{REPOSITORY}:{tag}")
        docker_build(folder, names[-1], f"--platform=linux/{architecture}")
        run_docker("push", "--quiet", names[-1])
        return names[-1]

    yield make
    for name in names:
        client.images.remove(name)


@pytest.fixture(scope="module")
def pushed(versions: Versions, scratch: Callable[..., str], client: docker.DockerClient) -> Pushed:
    """The image as ``stable``."""
    architecture = str(client.version()["Arch"])
    name = scratch("stable", f"{label_lines(*versions)}\nCOPY Dockerfile /", architecture)
    image = client.images.get(name)
    digests = dict(name.split("@") for name in image.attrs["RepoDigests"])
    return Pushed(name, str(image.id), digests[name.rpartition(":")[0]], architecture)


@pytest.fixture
def front(registry: str) -> Iterator[FakeRegistry]:
    """What stands in front of the registry, and keeps what was asked for."""
    with FakeRegistry(upstream=registry) as fake:
        yield fake


@pytest.fixture(scope="module")
def index(pushed: Pushed, scratch: Callable[..., str], registry: str) -> str:
    """``multi``: an index that Buildx has made of the built image and one for another platform; the other's digest."""
    other = scratch("other", "LABEL io.airflow-ecs.airflow=9.9.9", OTHER[pushed.architecture])
    run_docker("buildx", "imagetools", "create", "--tag", f"{registry}/{REPOSITORY}:multi", pushed.name, other)
    raw = run_docker("buildx", "imagetools", "inspect", "--raw", f"{registry}/{REPOSITORY}:multi")
    digests = {item["platform"]["architecture"]: item["digest"] for item in json.loads(raw)["manifests"]}
    assert digests[pushed.architecture] == pushed.digest
    return str(digests[OTHER[pushed.architecture]])


class TestBuiltImage:
    def test_it_fits_by_its_manifest_and_its_configuration_and_no_layer_is_read(
        self, pushed: Pushed, front: FakeRegistry, check: Check
    ) -> None:
        done = check(f"{front.host}/{REPOSITORY}:stable", "--json", "--platform", f"linux/{pushed.architecture}")
        assert done.returncode == 0 and done.stderr == ""
        document = json.loads(done.stdout)
        assert document["outcome"] == "fits" and document["digests"] == [pushed.digest]
        assert [(item["name"], item["outcome"]) for item in document["comparisons"]] == [
            ("Airflow", "fits"),
            ("Python", "fits"),
            ("CPU architecture", "fits"),
            ("image contract", "fits"),
        ]
        assert front.requests == ["manifests/stable", f"blobs/{pushed.config}"]

    def test_it_fits_by_its_digest(self, pushed: Pushed, check: Check) -> None:
        done = check(f"{pushed.name.rpartition(':')[0]}@{pushed.digest}")
        assert done.returncode == 0 and " fits\n" in done.stdout

    def test_the_image_on_the_engine_needs_no_registry(
        self, pushed: Pushed, check: Check, versions: Versions, scratch_tag: str, client: docker.DockerClient
    ) -> None:
        client.images.get(pushed.name).tag(scratch_tag)
        assert not is_task_definition(scratch_tag)
        done = check(scratch_tag, "--json")
        assert done.returncode == 0 and json.loads(done.stdout)["outcome"] == "fits"
        other = OLDEST.pythons[0]
        done = check(scratch_tag, python=other)
        assert done.returncode == 18 and f"{versions[1]}  <- expected {other}" in done.stdout
        assert f"--airflow {versions[0]} --python {other}" in done.stderr


class TestIndex:
    def test_each_platform_s_own_image_is_read(
        self, pushed: Pushed, index: str, front: FakeRegistry, check: Check
    ) -> None:
        own, other = pushed.architecture, OTHER[pushed.architecture]
        done = check(f"{front.host}/{REPOSITORY}:multi", "--json", "--platform", f"linux/{own}")
        assert done.returncode == 0
        assert pushed.digest in json.loads(done.stdout)["digests"]
        assert front.requests == ["manifests/multi", f"manifests/{pushed.digest}", f"blobs/{pushed.config}"]
        done = check(f"{front.host}/{REPOSITORY}:multi", "--json", "--platform", f"linux/{other}")
        assert done.returncode == 18
        document = json.loads(done.stdout)
        assert index in document["digests"] and document["comparisons"][0]["image"] == "9.9.9"
