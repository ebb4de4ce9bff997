"""A task whose arguments lie in S3: it succeeds, what it read is gone, and its token is nowhere to be seen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from local.control_plane import Dags
from local.deployment import Deployment, PreparedTask
from local.fake_s3 import DELETION
from local.fake_s3_service import FakeS3Service
from local.task_run import RunningTask, TaskResult, start_task
from tests.images.conftest import S3_URI, Builder
from tests.images.product import NEW_WORKER, PRODUCTS, WITH_WORKLOADS, WORKER, Product

DeploymentOf = Callable[[Product], Deployment]
KEY = "test/task.json"
LOCATION = f"s3://workloads/{KEY}"

either_start = pytest.mark.parametrize("start", ["fast", "plain"])


@pytest.fixture
def s3(fake_s3: FakeS3Service) -> Iterator[FakeS3Service]:
    """The fake S3, which counts and fails on request; well again afterwards."""
    yield fake_s3
    fake_s3.set_faults([])


class Pointed:
    """Tasks of one image that are started through a pointer to arguments in the fake S3."""

    def __init__(self, s3: FakeS3Service, deployment: Deployment, image: str, dags: Dags) -> None:
        self._s3, self._deployment, self._image, self._dags = s3, deployment, image, dags

    def prepare(self, dag_id: str, task_id: str) -> PreparedTask:
        """Queue a task."""
        (task,) = self._deployment.prepare(
            [(dag_id, task_id)], image=self._image, dags=self._dags, environment=self._endpoint
        )
        return task

    def put(self, task: PreparedTask) -> None:
        """Write its arguments, as an executor does."""
        self._s3.put(LOCATION, json.dumps({"arguments": task.command[3:]}).encode())

    def start(self, task: PreparedTask, start: str = "fast", **environment: str) -> RunningTask:
        """Start a container that has to find them."""
        return start_task(
            self._deployment,
            replace(task, command=(*task.command[:3], "--arguments-from", LOCATION)),
            image=self._image,
            dags=self._dags,
            environment={**self._endpoint, "AIRFLOW_ECS_START": start, **environment},
        )

    @property
    def _endpoint(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL": self._s3.container_endpoint}


@pytest.fixture
def pointed(product: Product, s3: FakeS3Service, built: Builder, deployment_of: DeploymentOf) -> Pointed:
    """The tasks of a product's image."""
    dags = Dags(s3_uri=S3_URI, path=product.container_dag_path)
    return Pointed(s3, deployment_of(product), built(product), dags)


def token_of(task: PreparedTask) -> str:
    """The token of a workload; for Airflow 2, which has none, a word of the task's arguments that no log has."""
    if task.command[3] != "--json-string":
        return "--subdir"
    token: str = json.loads(task.command[4])["token"]
    assert token
    return token


def deletions(s3: FakeS3Service) -> int:
    """How often the arguments were deleted."""
    return s3.requests().get(DELETION + KEY, 0)


@pytest.mark.parametrize("product", [PRODUCTS[WORKER], PRODUCTS[NEW_WORKER]], ids=["Airflow 2", "Airflow 3"])
@either_start
def test_the_task_succeeds_and_the_arguments_are_gone(pointed: Pointed, s3: FakeS3Service, start: str) -> None:
    task = pointed.prepare("project_report", "load")
    pointed.put(task)
    before = deletions(s3)
    running = pointed.start(task, start)
    result = running.wait()
    assert result.succeeded, result.describe()
    assert "loaded 3 regions" in result.log or "loaded 3 regions" in result.output, result.describe()
    assert '"arguments": "s3"' in result.output
    assert deletions(s3) == before + 1
    second = pointed.start(task, start).wait()
    assert second.exit_code == 82, "a second container does not run it again: " + second.describe()
    assert second.state == "success"
    assert "they are gone" in second.output


@pytest.mark.parametrize("product", WITH_WORKLOADS.values(), ids=WITH_WORKLOADS.keys())
@either_start
def test_the_token_is_nowhere_to_be_seen(product: Product, pointed: Pointed, start: str) -> None:
    task = pointed.prepare("project_provoke", "bash_sleep")
    pointed.put(task)
    token = token_of(task)
    running = pointed.start(task, start)
    until = time.monotonic() + 120
    while "sleeping" not in running.log():
        assert time.monotonic() < until, running.container.logs().decode()
        time.sleep(0.5)
    lines = inside(running, "cat /proc/[0-9]*/cmdline")
    assert "execute_workload" in lines and "sleep" in lines
    assert token not in lines
    # As ECS's API would show it: the container's command and environment.
    assert token not in json.dumps(running.container.attrs)
    running.container.stop(timeout=60)
    result = running.wait()
    assert token not in result.log
    output = result.output.splitlines()
    if start == "plain" and product.base[0] in ("3.0.6", "3.1.8"):  # that is Airflow's own
        output = [line for line in output if "Executing workload" not in line]
    assert len(output) > 1 and token not in "\n".join(output)


def inside(running: RunningTask, command: str) -> str:
    """What a shell in the container prints."""
    output = running.container.exec_run(["sh", "-c", command]).output
    assert isinstance(output, bytes)
    return output.replace(b"\0", b" ").decode(errors="replace")


@pytest.mark.parametrize("product", [PRODUCTS[WORKER]], ids=["Airflow 2"])
@pytest.mark.parametrize(
    "faults, code, says",
    [
        ([{"key": KEY, "kind": "delete"}], 82, "they are gone"),
        ([{"key": KEY, "kind": "error", "code": "AccessDenied", "status": 403}], 81, "allow s3:GetObject on arn:aws:"),
        ([{"key": KEY, "kind": "error", "code": "SlowDown", "status": 503}], 84, "S3 is throttling"),
        ([{"key": KEY, "kind": "drop"}], 84, "no complete answer from fake-s3"),
        ([{"key": KEY, "kind": "replace", "body": "hunter2"}], 80, "must be JSON"),
        ([{"key": "project/project_report.py", "kind": "drop"}], 84, "project_report.py"),
    ],
    ids=["gone", "denied", "throttled", "no answer", "no JSON", "no DAGs"],
)
def test_a_task_that_cannot_be_loaded_stays_queued(
    pointed: Pointed, s3: FakeS3Service, faults: list[dict[str, object]], code: int, says: str
) -> None:
    task = pointed.prepare("project_report", "load")
    pointed.put(task)
    before = deletions(s3)
    s3.set_faults(faults)
    result = pointed.start(task, AWS_MAX_ATTEMPTS="2").wait()
    assert (result.exit_code, result.state) == (code, "queued"), result.describe()
    (line,) = result.output.splitlines()
    assert line.startswith("airflow-ecs-entrypoint: error: ") and line.endswith("; airflow tasks run was not started")
    assert says in line and "hunter2" not in line and token_of(task) not in line
    assert deletions(s3) == before
    if code == 84:
        s3.set_faults([])
        again: TaskResult = pointed.start(task).wait()
        assert again.succeeded, "a temporary fault has left the arguments: " + again.describe()
