"""From the engine to ECS with nothing but a stack's name: push, task-definition, check, on the local AWS.

The stack is deploy/template.yaml's, deployed by CloudFormation; its repository wants Amazon ECR's login, and its tags
are immutable.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from local.aws_services.aws import LocalAws
from local.aws_services.stack import Stack
from tests.deploy.test_stack import Deployed
from tests.images.conftest import docker_build, label_lines
from tests.images.product import build_py
from tests.releases import NEWEST_3

STACK = "airflow-ecs"
AIRFLOW, PYTHON = NEWEST_3.version, NEWEST_3.default_python
TAG = f"{AIRFLOW}-python{PYTHON}-s3"
NAME = f"to-aws-test:{TAG}"
URL = "http://airflow.internal:8080/execution/"


@dataclass
class Account:
    """A deployed stack, and the commands run by somebody with credentials for its account."""

    aws: LocalAws
    stack: Deployed
    environment: dict[str, str]

    def __call__(self, *flags: str) -> subprocess.CompletedProcess[str]:
        done = build_py(*flags, environment=self.environment)
        assert "Traceback" not in done.stderr, done.stderr
        return done


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with Stack() as local:
        aws = LocalAws(local)
        environment = {
            **aws.local_environment(),
            "DOCKER_CONFIG": str(tmp_path_factory.mktemp("docker")),
            "AWS_CONFIG_FILE": "/dev/null",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        yield Account(aws, Deployed(local, STACK), environment)


@pytest.fixture(scope="module")
def image(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image with the labels of a built one, and nothing in it; its id."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "Dockerfile").write_text(f"FROM scratch\n{label_lines(AIRFLOW, PYTHON)}\nENV AIRFLOW_ECS_DAGS=s3\n")
    docker_build(folder, NAME)
    yield str(client.images.get(NAME).id)
    client.images.remove(NAME)


@pytest.fixture(scope="module")
def pushed(account: Account, image: str) -> tuple[str, str]:
    """The image's names in the stack's repository, by tag and by digest."""
    done = account("push", NAME, "--stack", STACK, "--content-tag")
    assert done.returncode == 0, done.stderr
    by_tag, by_digest = done.stdout.split()
    return by_tag, by_digest


def test_an_image_is_pushed_to_the_stack_s_repository(
    account: Account, image: str, pushed: tuple[str, str], client: docker.DockerClient
) -> None:
    repository, content = account.stack.outputs.repository_uri, image.partition(":")[2][:12]
    assert pushed[0] == f"{repository}:{TAG}-{content}"
    assert pushed[1].startswith(f"{repository}@sha256:")
    assert client.images.get(NAME).tags == [NAME]
    assert list(Path(account.environment["DOCKER_CONFIG"]).iterdir()) == []
    again = account("push", NAME, "--stack", STACK, "--content-tag")
    assert again.stdout.split() == [*pushed] and "exists already" in again.stderr


def test_its_task_definition_is_registered_once_and_fits_a_scheduler(account: Account, pushed: tuple[str, str]) -> None:
    flags = ("task-definition", pushed[1], "--stack", STACK, "--execution-api-url", URL)
    done = account(*flags)
    assert done.returncode == 0, done.stderr
    outputs, ecs = account.stack.outputs, account.aws.client("ecs")
    found = ecs.describe_task_definition(taskDefinition=outputs.task_definition_family)["taskDefinition"]
    assert done.stdout == f"{found['taskDefinitionArn']}\n"
    assert found["containerDefinitions"][0]["image"] == pushed[1]
    assert (found["taskRoleArn"], found["executionRoleArn"]) == (outputs.task_role_arn, outputs.execution_role_arn)
    again = account("task-definition", pushed[0], *flags[2:])
    assert (again.returncode, again.stdout) == (0, done.stdout), "by its tag it is the same image"
    check = account("check", outputs.task_definition_family, "--airflow", AIRFLOW, "--python", PYTHON)
    assert check.returncode == 0, check.stderr
