"""Images built once a session by the build tool, and the services that tasks need."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest
import testinfra

from local.bases import ensure_base
from local.control_plane import Dags
from local.deployment import Deployment
from local.fake_s3_service import FakeS3Service
from local.stack import Stack
from local.task_run import TaskResult, run_one
from tests.images.product import FAMILIES, OTHER_AIRFLOWS, PROJECT, REPOSITORY, Product, build_flags, build_py

S3_URI = "s3://dags/project"
LoadRegions = Callable[..., TaskResult]


@pytest.fixture(scope="session")
def client() -> docker.DockerClient:
    """The engine's API."""
    return docker.from_env()


@dataclass
class Builder:
    """Builds each family of images once, when a test first asks for one of them."""

    output: dict[str, str] = field(default_factory=dict)

    def __call__(self, product: Product) -> str:
        """The reference of a built image."""
        (name,) = (name for name, family in {**FAMILIES, **OTHER_AIRFLOWS}.items() if product in family)
        if name not in self.output:
            ensure_base(*product.base)
            flags = product.flags if "--tag" in product.flags else (*product.flags, "--repository", REPOSITORY)
            done = build_py(*flags, *build_flags())
            assert done.returncode == 0, f"{name}: {done.stderr}"
            self.output[name] = done.stderr
        return product.reference


@pytest.fixture(scope="session")
def built() -> Builder:
    """Builds an image under test."""
    return Builder()


@pytest.fixture(scope="session")
def worker(built: Builder) -> str:
    """The image that tests use when any will do: Airflow 2, DAGs from S3."""
    return built(FAMILIES["Airflow 2, every DAG mode"][0])


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """PostgreSQL and S3, with the project's DAGs in the bucket."""
    with Stack() as stack:
        stack.upload_folder(PROJECT, S3_URI)
        yield stack


@pytest.fixture(scope="session")
def registry(stack: Stack) -> str:
    """The address of a real image registry; each test module has a repository of its own in it."""
    return stack.start_registry()


@pytest.fixture(scope="session")
def deployment_of(stack: Stack, built: Builder) -> Callable[[Product], Deployment]:
    """The Airflow deployment that a product's tasks report to, one for each Airflow version."""
    found: dict[str, Deployment] = {}

    def deployment(product: Product) -> Deployment:
        airflow = product.base[0]
        if airflow not in found:
            found[airflow] = Deployment(stack, built(product))
        return found[airflow]

    return deployment


def dags_for(product: Product) -> Dags:
    """How the project's DAGs reach containers of an image."""
    if product.mode == "s3":
        return Dags(s3_uri=S3_URI, path=product.container_dag_path)
    if product.mode == "none":
        return Dags(folder=PROJECT)
    return Dags(path=product.container_dag_path)


@pytest.fixture
def load_regions(built: Builder, deployment_of: Callable[[Product], Deployment]) -> LoadRegions:
    """Runs the project's first task in a product's image, with options of `run_one`."""

    def run(product: Product, **options: Any) -> TaskResult:
        dags = dags_for(product)
        return run_one(deployment_of(product), "project_report", "load", image=built(product), dags=dags, **options)

    return run


@pytest.fixture(scope="session")
def fake_s3(stack: Stack) -> Iterator[FakeS3Service]:
    """An S3 that misbehaves on request; the project's DAGs are in it as well."""
    service = stack.start_fake_s3()
    service.put_folder(PROJECT, S3_URI)
    yield service
    service.close()


@pytest.fixture
def run(client: docker.DockerClient) -> Callable[..., tuple[int, str]]:
    """Run a container of an image without network: exit code and output."""

    def run_container(image: str, *command: str, **options: Any) -> tuple[int, str]:
        options.setdefault("network_mode", "none")
        container = client.containers.create(image, list(command), **options)
        try:
            container.start()
            code = container.wait(timeout=120)["StatusCode"]
            return int(code), container.logs().decode(errors="replace")
        finally:
            container.remove(force=True, v=True)

    return run_container


@pytest.fixture
def inside(client: docker.DockerClient) -> Iterator[Callable[..., Any]]:
    """A testinfra host inside a running container of an image, started through the image's entrypoint."""
    started = []

    def host(image: str, **options: Any) -> Any:
        container = client.containers.run(
            image, ["bash", "-c", "sleep 600"], detach=True, network_mode="none", **options
        )
        started.append(container)
        return testinfra.get_host(f"docker://{container.id}")

    yield host
    for container in started:
        container.remove(force=True, v=True)


@pytest.fixture
def scratch_tag(client: docker.DockerClient) -> Iterator[str]:
    """A reference for an image that a test makes; removed afterwards."""
    reference = f"{REPOSITORY}-scratch:{uuid.uuid4().hex[:8]}"
    yield reference
    try:
        client.images.remove(reference, force=True)
    except docker.errors.ImageNotFound:
        pass


@pytest.fixture
def dockerfile(client: docker.DockerClient, scratch_tag: str, tmp_path: Path) -> Callable[[str], str]:
    """Build an image from a Dockerfile's text, by `docker build` alone."""
    import subprocess

    def make(text: str) -> str:
        (tmp_path / "Dockerfile").write_text(text)
        subprocess.run(["docker", "build", "-q", "-t", scratch_tag, str(tmp_path)], check=True, capture_output=True)
        return scratch_tag

    return make
