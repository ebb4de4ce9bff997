"""`build.py push` with a real engine and a real registry, behind a login and the API of Amazon ECR."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest
from airflow_ecs_executor.image_check.reference import parse

from images.registry.docker_config import with_logins
from images.registry.ecr import TAGS, log_in
from local.fakes.registry import FakeRegistry
from tests.aws_environment import AWS_ENVIRONMENT
from tests.images.conftest import docker_build, in_registry
from tests.images.product import build_py

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@dataclass
class Pushes:
    """Runs `build.py push` as somebody with AWS credentials, no docker login, and nothing else."""

    environment: dict[str, str]

    def __call__(self, *flags: str) -> subprocess.CompletedProcess[str]:
        done = build_py("push", *flags, environment=self.environment)
        assert "Traceback" not in done.stderr, done.stderr
        return done


@dataclass
class Small:
    """Small images of the engine, each with a content of its own."""

    folder: Path
    client: docker.DockerClient
    identities: list[str] = field(default_factory=list)

    def build(self, name: str, instructions: str = "LABEL io.airflow-ecs.contract=1", size: int = 3_000_000) -> str:
        """Build one, and return its id."""
        (self.folder / "content").write_bytes(os.urandom(size))
        (self.folder / "Dockerfile").write_text(f"FROM scratch\nCOPY content /\n{instructions}\n")
        docker_build(self.folder, name)
        self.identities.append(str(self.client.images.get(name).id))
        return self.identities[-1]

    def name(self, name: str) -> str:
        """Give a further name to one whose content does not matter, and return its id."""
        self.client.images.get(self.identities[0]).tag(name)
        return self.identities[0]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, client: docker.DockerClient) -> Iterator[Small]:
    images = Small(tmp_path_factory.mktemp("context"), client)
    images.build("push-test:any", size=1000)
    yield images
    for identity in images.identities:
        client.images.remove(identity, force=True)


@pytest.fixture
def ecr(registry: str) -> Iterator[FakeRegistry]:
    """Amazon ECR: nobody gets in without its token."""
    with FakeRegistry(upstream=registry, login="ecr") as fake:
        yield fake


@pytest.fixture
def push(ecr: FakeRegistry, tmp_path: Path) -> Pushes:
    home = tmp_path / "docker"
    home.mkdir()
    return Pushes(
        {**AWS_ENVIRONMENT, "AWS_MAX_ATTEMPTS": "1", "AWS_ENDPOINT_URL_ECR": ecr.url, "DOCKER_CONFIG": str(home)}
    )


class TestAmazonEcr:
    def test_a_new_repository_gets_the_image_by_a_login_that_docker_does_not_have(
        self, small: Small, push: Pushes, ecr: FakeRegistry, registry: str, client: docker.DockerClient
    ) -> None:
        identity = small.build("push-test:1.0")
        done = push("push-test:1.0", "--to", f"{ECR}/team/new", "--create-repository")
        assert done.returncode == 0, done.stderr
        digest, config = in_registry(registry, "team/new", "1.0")
        assert config == identity
        assert done.stdout == f"{ECR}/team/new:1.0\n{ECR}/team/new@{digest}\n"
        assert f"created the repository {ECR}/team/new" in done.stderr and "Pushed" in done.stderr
        made = ecr.repositories["team/new"]
        assert made["imageTagMutability"] == "IMMUTABLE" and made["tags"] == TAGS
        assert made["imageScanningConfiguration"] == {"scanOnPush": True}
        assert made["encryptionConfiguration"] == {"encryptionType": "AES256"}
        assert not list(Path(push.environment["DOCKER_CONFIG"]).iterdir()), "nothing is written beside docker's logins"
        assert client.images.get("push-test:1.0").tags == ["push-test:1.0"], "the engine's names are as they were"

    def test_what_is_there_is_not_pushed_again_and_a_tag_is_not_given_another_content(
        self, small: Small, push: Pushes, ecr: FakeRegistry, registry: str
    ) -> None:
        target = f"{ECR}/team/immutable"
        first = small.build("push-test:2.0")
        once = push("push-test:2.0", "--to", target, "--create-repository")
        assert once.returncode == 0, once.stderr
        ecr.requests.clear()
        again = push("push-test:2.0", "--to", target, "--create-repository")
        assert (again.returncode, again.stdout) == (0, once.stdout)
        assert "exists already, with the same content" in again.stderr
        assert ecr.requests == ["DescribeRepositories", "BatchGetImage"]

        second = small.build("push-test:2.0")
        refused = push("push-test:2.0", "--to", target)
        assert refused.returncode == 15 and "--content-tag" in refused.stderr and refused.stdout == ""
        assert in_registry(registry, "team/immutable", "2.0")[1] == first
        done = push("push-test:2.0", "--to", target, "--content-tag")
        tag = f"2.0-{second.partition(':')[2][:12]}"
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{target}:{tag}\n")
        assert in_registry(registry, "team/immutable", tag)[1] == second

    def test_a_repository_that_is_missing(self, small: Small, push: Pushes, ecr: FakeRegistry) -> None:
        small.name("push-test:4.0")
        done = push("push-test:4.0", "--to", f"{ECR}/team/missing")
        assert done.returncode == 15
        assert f"There is no repository {ECR}/team/missing." in done.stderr and "--create-repository" in done.stderr
        ecr.denied.append("DescribeRepositories")  # then it is the registry that says so
        done = push("push-test:4.0", "--to", f"{ECR}/team/missing")
        assert done.returncode == 15 and "--create-repository" in done.stderr
        assert not ecr.repositories

    def test_a_dry_run_changes_nothing(
        self, small: Small, push: Pushes, ecr: FakeRegistry, client: docker.DockerClient
    ) -> None:
        small.build("push-test:6.0", size=1000)
        flags = ("push-test:6.0", "--to", f"{ECR}/team/dry", "--create-repository")
        done = push(*flags, "--dry-run")
        assert (done.returncode, done.stdout) == (0, f"{ECR}/team/dry:6.0\n")
        assert "would create the repository" in done.stderr and "would push" in done.stderr
        assert not ecr.repositories and ecr.requests == ["DescribeRepositories"]
        assert push(*flags).returncode == 0
        assert "exists already" in push(*flags, "--dry-run").stderr
        assert client.images.get("push-test:6.0").tags == ["push-test:6.0"]

    def test_a_name_that_is_the_target_s_already_stays(
        self, small: Small, push: Pushes, ecr: FakeRegistry, client: docker.DockerClient
    ) -> None:
        """`build --repository ECR` has named the image so; another image's name is given back."""
        identity = small.build(f"{ecr.host}/team/named:1")
        ecr.repositories["team/named"] = {"imageTagMutability": "MUTABLE"}
        other = small.build("push-test:7.0")
        done = push("push-test:7.0", "--to", f"{ECR}/team/named", "--tag", "1")
        assert done.returncode == 0, done.stderr
        assert client.images.get(f"{ecr.host}/team/named:1").id == identity
        moved = push(identity, "--to", f"{ECR}/team/named", "--tag", "1")
        assert moved.returncode == 0 and "exists with another content" in moved.stderr
        assert client.images.get("push-test:7.0").id == other


class TestOtherRegistries:
    def test_docker_s_own_login_is_used_and_its_lack_is_said(self, small: Small, push: Pushes, registry: str) -> None:
        small.name("push-test:9.0")
        with FakeRegistry(upstream=registry, login="basic") as private:
            target = f"{private.host}/team/private"
            done = push("push-test:9.0", "--to", target)
            assert done.returncode == 15 and f"`docker login {private.host}`" in done.stderr
            user, password = private.user
            command = ["docker", "login", "--username", user, "--password-stdin", private.host]
            environment = {**os.environ, **push.environment}
            subprocess.run(command, input=password, env=environment, check=True, text=True, capture_output=True)
            done = push("push-test:9.0", "--to", target)
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith(f"{target}:9.0\n") and password not in done.stdout + done.stderr
            again = push("push-test:9.0", "--to", target)
            assert (again.stdout, "exists already" in again.stderr) == (done.stdout, True)

    def test_an_image_that_is_not_ours_is_pushed_with_a_note(self, small: Small, push: Pushes, registry: str) -> None:
        small.build(f"{registry}/team/foreign:1", instructions="LABEL a=b", size=1000)
        done = push(f"{registry}/team/foreign:1")
        assert done.returncode == 0 and "was not built by build.py" in done.stderr

    def test_an_image_that_is_not_there(self, push: Pushes) -> None:
        done = push("push-test:none", "--to", "127.0.0.1:9/team/worker")
        assert done.returncode == 17 and "push-test:none" in done.stderr


def test_buildx_pushes_by_a_login_of_its_environment_alone(
    small: Small, push: Pushes, ecr: FakeRegistry, registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `build --push` does for several platforms: the user's builders and plugins are found, his logins kept."""
    ecr.repositories["team/baked"] = {}
    home = Path(push.environment["DOCKER_CONFIG"])
    (home / "config.json").write_text('{"auths": {"example.com": {"auth": "YTpi"}}, "credsStore": "none-such"}')
    small.build("push-test:11.0", size=1000)
    definition = {
        "target": {
            "default": {
                "context": str(small.folder),
                "tags": [f"{ecr.host}/team/baked:1"],
                "output": ["type=registry"],
                "attest": ["type=provenance,disabled=true"],
            }
        }
    }
    (tmp_path / "bake.json").write_text(json.dumps(definition))
    command = ["docker", "buildx", "bake", "--file", str(tmp_path / "bake.json")]
    environment = {**os.environ, **push.environment, "BUILDX_BAKE_ENTITLEMENTS_FS": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with with_logins([log_in(parse(f"{ECR}/team/baked:1"))], environment) as added:
        folder = Path(added["DOCKER_CONFIG"])
        done = subprocess.run(command, env={**environment, **added}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads((folder / "config.json").read_text())["auths"].keys() > {"example.com"}
    assert not folder.exists()
    assert in_registry(registry, "team/baked", "1")
