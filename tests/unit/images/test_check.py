"""`build.py check`: which image is meant, and what becomes of what the executor's modules find."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from images.check import is_task_definition
from images.labels import labels
from images.spec import ImageSpec
from local.ecs.control import EcsApi
from local.fakes.registry import FakeRegistry, put_image
from tests.unit.images.conftest import Run

pytestmark = pytest.mark.usefixtures("nobody")

PAIR = ("--airflow", "3.3.2", "--python", "3.12")
NOWHERE = "127.0.0.1:9/team/worker:1"


def image_config(spec: ImageSpec) -> dict[str, Any]:
    """The configuration that a built image has, as far as the check reads it."""
    return {"architecture": "amd64", "os": "linux", "config": {"Labels": labels(spec, "0.1.0"), "Env": []}}


@pytest.mark.parametrize(
    ("name", "is_definition"),
    [
        ("airflow-worker", True),
        ("airflow-worker:7", True),
        ("arn:aws:ecs:eu-west-1:123456789012:task-definition/airflow-worker:7", True),
        ("airflow-worker:2-s3", False),
        ("airflow-worker:latest", False),
        ("airflow-worker:3.3.2-python3.12-s3", False),
        ("team/airflow-worker", False),
        ("example.com/airflow-worker:7", False),
    ],
)
def test_images_and_task_definitions_are_told_apart(name: str, is_definition: bool) -> None:
    assert is_task_definition(name) == is_definition


def test_a_registry_that_does_not_answer(run: Run) -> None:
    answer = run("check", NOWHERE, *PAIR, "--json")
    assert answer.code == 19
    document = json.loads(answer.output)
    assert "127.0.0.1:9" in answer.errors
    assert document["target"] == f"image {NOWHERE}" and document["outcome"] == "unknown" and document["error"]


@pytest.mark.parametrize(
    ("environment", "words"),
    [([], "which Airflow and Python it has"), (["AIRFLOW_VERSION=3.3.2"], "which Python it has")],
)
def test_an_image_that_does_not_say_what_it_is(run: Run, environment: list[str], words: str) -> None:
    """What is missing stands on standard error as well: standard output may be somebody's JSON."""
    with FakeRegistry() as registry:
        put_image(registry, "team/worker", "1", {"architecture": "amd64", "config": {"Env": environment}})
        answer = run("check", f"{registry.host}/team/worker:1", *PAIR, "--json")
    assert answer.code == 19
    assert f"nothing in it says {words}" in answer.errors and json.loads(answer.output)["outcome"] == "unknown"


class TestWorker:
    """An image in Amazon ECR, for linux/amd64, that fits."""

    ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/worker"

    @pytest.fixture
    def registry(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
        with FakeRegistry() as registry:
            put_image(registry, "team/worker", "1", image_config(ImageSpec("3.3.2", "3.12", "s3", "base")))
            monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", registry.url)
            yield registry

    def test_it_is_read_by_the_api_of_aws(self, registry: FakeRegistry, run: Run) -> None:
        answer = run("check", f"{self.ECR}:1", *PAIR, "--json", "--platform", "linux/amd64")
        assert answer.code == 0
        assert json.loads(answer.output)["outcome"] == "fits"
        assert [request.partition("/")[0] for request in registry.requests] == [
            "BatchGetImage",
            "GetDownloadUrlForLayer",
            "blobs",
        ]

    def test_another_airflow_is_told_with_the_command_that_builds_it(self, registry: FakeRegistry, run: Run) -> None:
        answer = run("check", f"{registry.host}/team/worker:1", "--airflow", "2.11.2", "--python", "3.12")
        assert answer.code == 18 and "3.3.2  <- expected 2.11.2" in answer.output
        repository = f"{registry.host}/team/worker"
        command = f"python build.py --airflow 2.11.2 --python 3.12 --dags s3 --repository {repository} --push"
        assert answer.errors.rstrip().endswith(command)

    def test_a_tag_that_is_not_there(self, registry: FakeRegistry, run: Run) -> None:
        answer = run("check", f"{registry.host}/team/worker:2", *PAIR)
        assert answer.code == 19 and "push it, or correct the name" in answer.errors

    @pytest.mark.parametrize(("architecture", "code"), [("X86_64", 0), ("ARM64", 18)])
    def test_that_of_a_task_definition_is_compared_with_its_platform(
        self, architecture: str, code: int, registry: FakeRegistry, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with EcsApi() as ecs:
            with contextlib.closing(boto3.client("ecs", endpoint_url=ecs.url, region_name="us-east-1")) as client:
                client.register_task_definition(
                    family="lookup",
                    containerDefinitions=[{"name": "airflow", "image": f"{self.ECR}:1", "memory": 512}],
                    runtimePlatform={"cpuArchitecture": architecture, "operatingSystemFamily": "LINUX"},
                )
            monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", ecs.url)
            answer = run("check", "lookup", *PAIR, "--region", "us-east-1")
        assert answer.code == code, answer.errors
        assert "container airflow" in answer.output
        if code:
            assert "amd64  <- expected arm64" in answer.output
            assert f"--platform linux/arm64 --repository {self.ECR} --push" in answer.errors


def test_the_permission_that_is_missing_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as registry:
        registry.denied.append("BatchGetImage")
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", registry.url)
        answer = run("check", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/worker:1", *PAIR)
    assert answer.code == 19 and "Allow ecr:BatchGetImage" in answer.errors


def test_the_region_of_a_task_definition_is_that_of_the_aws_cli(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    answer = run("check", "airflow-worker", *PAIR)
    assert answer.code == 20 and "Give --region, or set AWS_REGION." in answer.errors
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    answer = run("check", "airflow-worker", *PAIR)
    assert answer.code == 20 and "could not be described" in answer.errors
    assert "ecs:DescribeTaskDefinition" in answer.errors and "airflow-worker:latest" in answer.errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("worker:latest", "--airflow", "3", "--python", "3.12"), "Airflow '3' is not a valid version"),
        (("worker:latest", "--airflow", "3.3.2", "--python", "3"), "Python '3' is not a valid version"),
        (("worker:latest", *PAIR, "--platform", "amd64"), "Unknown platform 'amd64'"),
        (("worker:latest",), "--airflow, --python"),
    ],
)
def test_flags_that_mean_nothing(run: Run, arguments: tuple[str, ...], words: str) -> None:
    answer = run("check", *arguments)
    assert answer.code == 2 and words in answer.errors


def test_a_name_that_is_no_images(run: Run) -> None:
    answer = run("check", "Example.com/UPPER:1", *PAIR)
    assert answer.code == 19 and "UPPER" in answer.errors
