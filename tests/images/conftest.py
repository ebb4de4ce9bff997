"""Images built once a run by the build tool, and the services that tasks need."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
import testinfra
from xdist.remote import Producer

from images.labels import labels
from images.spec import ImageSpec
from local.airflow.control_plane import Dags
from local.airflow.deployment import Deployment, PreparedTask
from local.airflow.task_run import RunningTask, TaskResult, start_task
from local.aws_services import service_image
from local.aws_services.fake_s3 import FakeS3Service
from local.aws_services.stack import Stack
from local.machine.bases import ensure_base
from local.machine.bases.debian import DEBIAN_PYTHON, ensure_root_image
from local.machine.bases.pythons import minor_of
from tests.container_warnings import unexpected_warnings
from tests.images.product import DATA, EVERY_AIRFLOW, PROJECT, REPOSITORY, WORKER, Product, build_flags, build_py
from tests.images.remote_logs import RemoteLogs
from tests.images.shared import Shared
from tests.releases import NEWEST_2
from tests.side_by_side import SideBySide

S3_URI = "s3://dags/project"
MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
SMALL_BASE = f"{REPOSITORY}-small:base"
SMALL_WORKER = f"{REPOSITORY}-small:worker"
SMALL = (
    *("--base", SMALL_BASE, "--airflow", NEWEST_2.version, "--python", minor_of(DEBIAN_PYTHON), "--no-aws-cli"),
    *build_flags(),
)
"""Flags for an image on the small base, which builds and is verified in seconds."""
# A task waits in the pool until a test takes it; on Airflow 3 its token must not expire there.
LASTING = {"AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "7200", "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "7200"}
# What tests take of the pool, prepared by one container; whatever is used up is prepared again.
BATCH = (
    *[("project_report", "load")] * 7,
    *(("project_provoke", task) for task in ("fail", "succeed", "graceful", "bash_sleep", "bash_sleep")),
)
# What Airflow says of a task that is stopped.
STOPPED = (r"SIGTERM", r"ended with -15|exit code -15", r"ERROR - Stacktrace: $", r"Task failed")

RUN_TASKS = (
    *("test_arguments_from_s3", "test_derived_images", "test_remote_logging"),
    *("test_s3_failures", "test_signals", "test_tasks"),
)
"""Files whose tests run tasks, so that they need an Airflow deployment."""


def has_in_common(test: str) -> str:
    """What takes long to make for a test: the Airflow deployment of its tasks, else something of its file."""
    file, _, name = test.partition("::")
    if Path(file).stem not in RUN_TASKS:
        return file
    airflow = re.search(r"(\d+\.\d+\.\d+)-python", name)
    return f"tasks of Airflow {airflow[1] if airflow else WORKER.airflow}"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SideBySide:
    """Which tests one process gets together, whatever `--dist` says."""
    return SideBySide(config, log, has_in_common)


@pytest.fixture(scope="session")
def client() -> docker.DockerClient:
    """The engine's API."""
    return docker.from_env()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Shared:
    """What all processes of this run share."""
    own = tmp_path_factory.getbasetemp()
    return Shared(own if worker_id == "master" else own.parent)


# Images


@dataclass
class Builder:
    """Builds each image, with those of the same command, when a test first asks for one of them."""

    shared: Shared

    def __call__(self, product: Product) -> str:
        """The reference of a built image."""
        code, errors = self._built(product)
        assert code == 0, f"{product.identifier}: {errors}"
        return product.reference

    def output(self, product: Product) -> str:
        """What its build said."""
        return self._built(product)[1]

    def _built(self, product: Product) -> tuple[int, str]:
        with self.shared.alone("base " + " ".join(product.base)):
            ensure_base(*product.base)
        command = hashlib.sha256(" ".join(product.flags).encode()).hexdigest()[:12]
        code, errors = json.loads(self.shared.once(f"build {command}", lambda: self._build(product)))
        return code, errors

    @staticmethod
    def _build(product: Product) -> str:
        flags = product.flags if "--tag" in product.flags else (*product.flags, "--repository", REPOSITORY)
        # As somebody builds who has credentials: none may get into an image unasked.
        done = build_py(*flags, *build_flags(), environment={"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"})
        return json.dumps((done.returncode, done.stderr))


@pytest.fixture(scope="session")
def built(shared: Shared) -> Builder:
    """Builds an image under test."""
    return Builder(shared)


@pytest.fixture(scope="session")
def worker(built: Builder) -> str:
    """The image that tests use when any will do: the newest Airflow 2, DAGs from S3."""
    return built(WORKER)


@pytest.fixture(scope="session")
def small_base(shared: Shared) -> str:
    """A base image of a few dependencies and no Airflow, for tests of the build tool itself."""

    def make() -> str:
        arguments = [f"DEBIAN_IMAGE={ensure_root_image()}", f"AIRFLOW={NEWEST_2.version}"]
        flags = [word for argument in arguments for word in ("--build-arg", argument)]
        docker_build(DATA / "small_base", SMALL_BASE, *flags)
        return SMALL_BASE

    return shared.once("small base", make)


@pytest.fixture(scope="session")
def small_worker(small_base: str, shared: Shared) -> str:
    """An image on the small base, as the build tool makes and verifies it."""

    def make() -> str:
        done = build_py(*SMALL, "--dags", "none", "--tag", SMALL_WORKER)
        assert done.returncode == 0, done.stderr
        return SMALL_WORKER

    return shared.once("small worker", make)


def docker_build(context: Path, tag: str, *flags: str) -> None:
    """Build an image by `docker build` alone."""
    command = ["docker", "build", "--quiet", "--provenance=false", "--tag", tag, *flags, str(context)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def in_registry(registry: str, repository: str, tag: str) -> tuple[str, str]:
    """The digest of what a registry has, and that of its configuration."""
    with requests.Session() as session:
        session.trust_env = False
        url = f"http://{registry}/v2/{repository}/manifests/{tag}"
        answer = session.get(url, headers={"Accept": MANIFESTS}, timeout=30)
        answer.raise_for_status()
        return answer.headers["Docker-Content-Digest"], answer.json()["config"]["digest"]


def label_lines(airflow: str, python: str) -> str:
    """Lines of a Dockerfile with the labels of an image that loads DAGs from S3."""
    found = labels(ImageSpec(airflow, python, "s3", "base"), "1")
    return "\n".join(f'LABEL {name}="{value}"' for name, value in found.items())


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
def dockerfile(scratch_tag: str, tmp_path: Path) -> Callable[[str], str]:
    """Build an image from a Dockerfile's text, by `docker build` alone."""

    def make(text: str) -> str:
        (tmp_path / "Dockerfile").write_text(text)
        docker_build(tmp_path, scratch_tag)
        return scratch_tag

    return make


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


# Services


@pytest.fixture(scope="session")
def stack(shared: Shared) -> Iterator[Stack]:
    """PostgreSQL and S3, with the project's DAGs in the bucket."""
    with shared.alone("services"):
        service_image.ensure_image()
    with Stack() as stack:
        stack.upload_folder(PROJECT, S3_URI)
        yield stack


@pytest.fixture(scope="session")
def registry(stack: Stack) -> str:
    """The address of a real image registry; each test module has a repository of its own in it."""
    return stack.start_registry()


@pytest.fixture(scope="session")
def fake_s3_service(stack: Stack) -> Iterator[FakeS3Service]:
    service = stack.start_fake_s3()
    service.put_folder(PROJECT, S3_URI)
    yield service
    service.close()


@pytest.fixture
def fake_s3(fake_s3_service: FakeS3Service) -> Iterator[FakeS3Service]:
    """An S3 that misbehaves on request, with the project's DAGs in it; well again afterwards."""
    yield fake_s3_service
    fake_s3_service.set_faults([])


@pytest.fixture(scope="session")
def remote_logs(stack: Stack) -> RemoteLogs:
    """Where logs of tasks are kept."""
    return RemoteLogs(stack)


# Tasks


@dataclass
class Pool:
    """The Airflow deployment that tasks report to, one for each Airflow version, and tasks that wait there."""

    deployment: Deployment
    waiting: dict[tuple[str, str], list[PreparedTask]] = field(default_factory=dict)

    def take(self, dag_id: str, task_id: str) -> PreparedTask:
        """A task in state queued, alone in a run of its own."""
        if not self.waiting.get((dag_id, task_id)):
            batch = BATCH if (dag_id, task_id) in BATCH else ((dag_id, task_id),)
            for task in self.deployment.prepare(batch, dags=Dags(s3_uri=S3_URI), apart=True):
                self.waiting.setdefault((task.dag_id, task.task_id), []).append(task)
        return self.waiting[dag_id, task_id].pop()

    def give_back(self, task: PreparedTask) -> None:
        """Let a task that was not started wait for another test."""
        self.waiting[task.dag_id, task.task_id].append(task)


@pytest.fixture(scope="session")
def pools() -> dict[str, Pool]:
    """Those of the session, by Airflow version."""
    return {}


class Tasks:
    """Runs tasks of the project in containers of one image; none of them may warn of anything unexpected."""

    def __init__(self, pool: Pool, image: str, dags: Dags) -> None:
        self.pool, self.image, self.dags = pool, image, dags
        self.deployment = pool.deployment

    def start(self, task: PreparedTask, **options: Any) -> RunningTask:
        """Start a task's container, with options of `start_task`."""
        return start_task(self.deployment, task, **{"image": self.image, "dags": self.dags, **options})

    @staticmethod
    def wait(running: RunningTask, *, warns: tuple[str, ...] = ()) -> TaskResult:
        """How a task ended. ``warns``: patterns of the warnings that the test provokes."""
        result = running.wait()
        unexpected = unexpected_warnings(f"{result.output}\n{result.log}", also=warns)
        assert not unexpected, "\n".join(unexpected)
        return result

    def run(self, task: PreparedTask, *, warns: tuple[str, ...] = (), **options: Any) -> TaskResult:
        """Run a task to its end."""
        return self.wait(self.start(task, **options), warns=warns)

    def load(self, **options: Any) -> TaskResult:
        """Run the project's first task to success."""
        result = self.run(self.pool.take("project_report", "load"), **options)
        assert (result.state, result.exit_code) == ("success", 0), result.describe()
        assert "loaded 3 regions" in result.log + result.output, result.describe()
        return result


@pytest.fixture
def product() -> Product:
    """The image whose tasks are run, unless the test is for others."""
    return WORKER


@pytest.fixture
def tasks(product: Product, stack: Stack, built: Builder, pools: dict[str, Pool]) -> Tasks:
    """Runs tasks in containers of the product's image."""
    if product.airflow not in pools:
        pools[product.airflow] = Pool(Deployment(stack, built(EVERY_AIRFLOW[product.airflow]), LASTING))
    return Tasks(pools[product.airflow], built(product), dags_for(product))


def dags_for(product: Product) -> Dags:
    """How the project's DAGs reach containers of an image."""
    if product.mode == "s3":
        return Dags(s3_uri=S3_URI, path=product.container_dag_path)
    if product.mode == "none":
        return Dags(folder=PROJECT)
    return Dags(path=product.container_dag_path)
