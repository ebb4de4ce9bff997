"""The image check (docs/image-check.md) on real images in a real registry: what is found, and how little is asked for.

A `FakeRegistry` in front of the real one keeps what was asked for, wants logins, and speaks Amazon ECR's API.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from images.check import is_task_definition
from local.fake_registry import DOCKER_MANIFEST, FakeRegistry, RealRegistry, entry, put_image, put_index
from local.stack import Stack
from tests.images.product import PRODUCTS, build_py

REPOSITORY = "lookup/worker"
ECR_NAME = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/{REPOSITORY}"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_MAX_ATTEMPTS": "1",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}
OTHER = {"amd64": "arm64", "arm64": "amd64"}

Versions = tuple[str, str]
Check = Callable[..., subprocess.CompletedProcess[str]]


def run_docker(*arguments: str, **options: Any) -> str:
    """The output of docker's command line."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def versions(worker: str) -> Versions:
    """Airflow and Python of the built image."""
    airflow, python, _ = PRODUCTS[worker].base
    return airflow, python


@pytest.fixture
def check(versions: Versions) -> Check:
    """Run `build.py check` in a process of its own, for the built image's versions unless others are given."""

    def run(
        target: str, *flags: str, airflow: str = "", python: str = "", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        pair = ("--airflow", airflow or versions[0], "--python", python or versions[1])
        done = build_py("check", target, *pair, *flags, environment={**ENVIRONMENT, **(environment or {})})
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


@dataclass(frozen=True)
class Pushed:
    """The built image in the registry, under a tag that says nothing."""

    name: str
    config: str
    """The digest of its configuration."""
    digest: str
    """The digest of its manifest."""
    architecture: str


@pytest.fixture(scope="module")
def pushed(worker: str, registry: str, client: docker.DockerClient) -> Iterator[Pushed]:
    """The image that `build.py` built, pushed as ``stable``."""
    name = f"{registry}/{REPOSITORY}:stable"
    image = client.images.get(worker)
    image.tag(name)
    run_docker("push", "--quiet", name)
    image.reload()
    digests = dict(name.split("@") for name in image.attrs["RepoDigests"])
    digest = digests[f"{registry}/{REPOSITORY}"]
    yield Pushed(name, str(image.id), digest, image.attrs["Architecture"])
    client.images.remove(name)


@pytest.fixture(scope="module")
def scratch(
    registry: str, client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., str]]:
    """Build an image from scratch that is nothing but its configuration, and push it under a tag; returns its name."""
    names = []

    def make(tag: str, instructions: str, architecture: str = "amd64") -> str:
        folder = tmp_path_factory.mktemp("scratch")
        (folder / "Dockerfile").write_text(f"FROM scratch\n{instructions}\n")
        names.append(f"{registry}/{REPOSITORY}:{tag}")
        platform = ("--platform", f"linux/{architecture}")
        run_docker("buildx", "build", "--load", "--provenance=false", *platform, "--tag", names[-1], str(folder))
        run_docker("push", "--quiet", names[-1])
        return names[-1]

    yield make
    for name in names:
        client.images.remove(name)


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

    def test_another_airflow_is_told_with_the_command_that_builds_it(
        self, pushed: Pushed, check: Check, versions: Versions
    ) -> None:
        done = check(pushed.name, airflow="3.3.2", python="3.12")
        assert done.returncode == 18
        assert f"{versions[0]}  <- needed is 3.3.2" in done.stdout
        repository = pushed.name.rpartition(":")[0]
        command = f"python build.py --airflow 3.3.2 --python 3.12 --dags s3 --repository {repository} --push"
        assert done.stderr.rstrip().endswith(command)

    def test_the_image_on_the_engine_needs_no_registry(self, worker: str, check: Check, versions: Versions) -> None:
        assert not is_task_definition(worker)
        done = check(worker, "--json")
        assert done.returncode == 0 and json.loads(done.stdout)["outcome"] == "fits"
        done = check(worker, python="3.12")
        assert done.returncode == 18 and f"{versions[1]}  <- needed is 3.12" in done.stdout
        assert f"--airflow {versions[0]} --python 3.12" in done.stderr

    def test_a_tag_that_is_not_there(self, pushed: Pushed, check: Check) -> None:
        done = check(f"{pushed.name}-er")
        assert done.returncode == 19 and "push it, or correct the name" in done.stderr


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

    def test_attestations_and_lazy_loading_siblings_are_passed_over(
        self, pushed: Pushed, index: str, registry: str, front: FakeRegistry, check: Check
    ) -> None:
        real, platform = RealRegistry(registry), f"linux/{pushed.architecture}"
        siblings = {
            name: put_image(
                real, REPOSITORY, "", {"architecture": "unknown", "os": "unknown", "config": {"User": name}}
            )
            for name in ("attestation", "soci", "nydus")
        }
        attested = {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": pushed.digest,
        }
        entries = [
            entry(siblings["attestation"], "unknown/unknown", annotations=attested),
            entry(siblings["soci"], platform, artifactType="application/vnd.amazon.soci.index.v2+json"),
            entry(siblings["nydus"], platform, features=["nydus.remoteimage.v1"]),
            entry(pushed.digest, platform, DOCKER_MANIFEST),
            entry(index, f"linux/{OTHER[pushed.architecture]}", DOCKER_MANIFEST),
        ]
        digest = put_index(real, REPOSITORY, "attested", entries)
        done = check(f"{front.host}/{REPOSITORY}:attested", "--json", "--platform", platform)
        assert done.returncode == 0
        assert json.loads(done.stdout)["digests"] == sorted([digest, pushed.digest])
        assert front.requests == ["manifests/attested", f"manifests/{pushed.digest}", f"blobs/{pushed.config}"]

    def test_one_without_the_platform_does_not_fit(
        self, index: str, registry: str, pushed: Pushed, check: Check
    ) -> None:
        other = OTHER[pushed.architecture]
        put_index(RealRegistry(registry), REPOSITORY, "lacking", [entry(index, f"linux/{other}", DOCKER_MANIFEST)])
        done = check(f"{registry}/{REPOSITORY}:lacking", "--platform", f"linux/{pushed.architecture}")
        assert done.returncode == 18
        assert f"linux/{other}  <- needed is {pushed.architecture}" in done.stdout


class TestForeignImages:
    @pytest.mark.parametrize(
        ("tag", "instructions"),
        [
            ("labels", "LABEL org.apache.airflow.version=2.10.5 org.apache.airflow.python.version=3.11"),
            ("environment", "ENV AIRFLOW_VERSION=2.10.5 PYTHON_VERSION=3.11.12"),
            ("2.10.5-python3.11", "LABEL a=b"),
        ],
        ids=["labels", "environment", "tag"],
    )
    def test_what_they_say_is_compared(
        self, tag: str, instructions: str, scratch: Callable[..., str], check: Check
    ) -> None:
        name = scratch(tag, instructions)
        done = check(name, "--json", airflow="2.10.5", python="3.11")
        assert done.returncode == 0
        assert [item["name"] for item in json.loads(done.stdout)["comparisons"]] == ["Airflow", "Python"]
        done = check(name, airflow="2.10.4", python="3.12")
        assert done.returncode == 18
        assert "2.10.5  <- needed is 2.10.4" in done.stdout and "3.11  <- needed is 3.12" in done.stdout

    def test_one_that_says_nothing_is_not_known(
        self, scratch: Callable[..., str], check: Check, scratch_tag: str, client: docker.DockerClient
    ) -> None:
        name = scratch("silent", "LABEL a=b")
        done = check(name, "--json")
        assert done.returncode == 19 and json.loads(done.stdout)["outcome"] == "unknown"
        assert "nothing in it says which Airflow and Python it has" in done.stderr
        client.images.get(name).tag(scratch_tag)
        assert check(scratch_tag).returncode == 19


class TestPrivateImages:
    @pytest.mark.parametrize("login", ["bearer", "basic"])
    def test_what_docker_login_has_stored_opens_them(
        self, login: str, pushed: Pushed, index: str, front: FakeRegistry, check: Check, tmp_path: Path
    ) -> None:
        front.login = login
        environment = {"DOCKER_CONFIG": str(tmp_path)}
        target, platform = f"{front.host}/{REPOSITORY}:multi", ("--platform", f"linux/{pushed.architecture}")
        done = check(target, *platform, environment=environment)
        assert done.returncode == 19 and f"`docker login {front.host}`" in done.stderr
        user, password = front.user
        log_in = ("login", "--username", user, "--password-stdin", front.host)
        run_docker("--config", str(tmp_path), *log_in, input=password)
        front.requests.clear()
        done = check(target, *platform, environment=environment)
        assert done.returncode == 0, done.stderr
        assert password not in done.stdout
        first = ["manifests/multi", *(["token"] if login == "bearer" else []), "manifests/multi"]
        assert front.requests == [*first, f"manifests/{pushed.digest}", f"blobs/{pushed.config}"]


class TestAmazonEcr:
    @pytest.fixture
    def environment(self, front: FakeRegistry) -> dict[str, str]:
        """AWS's API is in front of the registry."""
        return {"AWS_ENDPOINT_URL_ECR": front.url}

    def test_the_image_is_read_by_aws_s_api(
        self, pushed: Pushed, front: FakeRegistry, environment: dict[str, str], check: Check
    ) -> None:
        done = check(f"{ECR_NAME}:stable", "--json", environment=environment)
        assert done.returncode == 0 and json.loads(done.stdout)["digests"] == [pushed.digest]
        assert front.requests == ["BatchGetImage", "GetDownloadUrlForLayer", f"blobs/{pushed.config}"]

    def test_of_an_index_the_platform_s_image_is_read(
        self, pushed: Pushed, index: str, front: FakeRegistry, environment: dict[str, str], check: Check
    ) -> None:
        platform = ("--platform", f"linux/{pushed.architecture}")
        done = check(f"{ECR_NAME}:multi", *platform, "--json", environment=environment)
        assert done.returncode == 0 and pushed.digest in json.loads(done.stdout)["digests"]
        assert front.requests == ["BatchGetImage"] * 2 + ["GetDownloadUrlForLayer", f"blobs/{pushed.config}"]

    def test_a_permission_that_is_missing_is_named(
        self, pushed: Pushed, front: FakeRegistry, environment: dict[str, str], check: Check
    ) -> None:
        front.denied.append("GetDownloadUrlForLayer")
        done = check(f"{ECR_NAME}:stable", environment=environment)
        assert done.returncode == 19 and "ecr:GetDownloadUrlForLayer" in done.stderr

    @pytest.mark.parametrize("fits", [True, False])
    def test_the_image_of_a_task_definition_is_compared_with_its_platform(
        self, fits: bool, pushed: Pushed, stack: Stack, environment: dict[str, str], check: Check
    ) -> None:
        architecture = pushed.architecture if fits else OTHER[pushed.architecture]
        ecs = stack.aws_client("ecs")
        ecs.register_task_definition(
            family="lookup",
            containerDefinitions=[{"name": "airflow", "image": f"{ECR_NAME}:stable", "memory": 512}],
            runtimePlatform={
                "cpuArchitecture": {"amd64": "X86_64", "arm64": "ARM64"}[architecture],
                "operatingSystemFamily": "LINUX",
            },
        )
        ecs.close()
        environment = {**environment, "AWS_ENDPOINT_URL_ECS": stack.aws_endpoint}
        done = check("lookup", "--region", "us-east-1", environment=environment)
        assert done.returncode == (0 if fits else 18), done.stderr
        assert "container airflow" in done.stdout
        if not fits:
            assert f"{pushed.architecture}  <- needed is {architecture}" in done.stdout
            assert f"--platform linux/{architecture} --repository {ECR_NAME} --push" in done.stderr
