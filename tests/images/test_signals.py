"""ECS stops a task: SIGTERM, then SIGKILL after the stop timeout. The task's ``on_kill`` runs in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from local.containers import output_of
from local.control_plane import Dags
from local.deployment import Deployment, PreparedTask
from local.fake_s3_service import FakeS3Service
from local.stack import Stack
from local.task_run import RunningTask, TaskResult, start_task
from tests.images.conftest import S3_URI, Builder
from tests.images.product import EVERY_AIRFLOW, Product

STOP_TIMEOUT = 30  # seconds, ECS's default


each_airflow = pytest.mark.parametrize("product", EVERY_AIRFLOW.values(), ids=EVERY_AIRFLOW.keys())


@dataclass
class Stop:
    """A task that was stopped: how it ended, and how long that took in seconds."""

    result: TaskResult
    seconds: float


def stop(running: RunningTask) -> Stop:
    """What ECS does on StopTask."""
    began = time.monotonic()
    running.container.stop(timeout=STOP_TIMEOUT)
    seconds = time.monotonic() - began
    return Stop(running.wait(), seconds)


def wait_for(running: RunningTask, text: str, seconds: float = 60) -> None:
    """Wait until the task's log holds a text."""
    until = time.monotonic() + seconds
    while text not in running.log():
        assert time.monotonic() < until, output_of(running.container)
        time.sleep(0.3)


def prepared(deployment: Deployment, image: str, dags: Dags) -> PreparedTask:
    """The task whose on_kill takes two seconds."""
    (task,) = deployment.prepare([("project_provoke", "graceful")], image=image, dags=dags)
    return task


@each_airflow
def test_on_kill_runs_to_its_end_once(
    product: Product, built: Builder, deployment_of: Callable[[Product], Deployment]
) -> None:
    image, deployment, dags = built(product), deployment_of(product), Dags(s3_uri=S3_URI)
    task = prepared(deployment, image, dags)
    running = start_task(deployment, task, image=image, dags=dags)
    wait_for(running, "working, process")
    stopped = stop(running)
    result = stopped.result
    said = result.log + result.output
    assert (result.log.count("on_kill began"), result.log.count("on_kill ended")) == (1, 1), result.describe()
    assert "the process ended with -15" in said or "Task received SIGTERM" in said, result.describe()
    assert 2 < stopped.seconds < STOP_TIMEOUT, "neither cut short nor killed"
    assert result.exit_code == 0, "Airflow's own, for a task whose end it has reported: " + result.describe()
    assert result.state in ("failed", "up_for_retry"), result.describe()


@each_airflow
def test_a_stop_while_dags_come_down_starts_nothing(
    product: Product, built: Builder, deployment_of: Callable[[Product], Deployment], fake_s3: FakeS3Service
) -> None:
    image, deployment = built(product), deployment_of(product)
    task = prepared(deployment, image, Dags(s3_uri=S3_URI))
    fake_s3.set_faults([{"key": "project/project_provoke.py", "kind": "hang"}])
    asked = fake_s3.requests().get("project/project_provoke.py", 0)
    running = start_task(
        deployment,
        task,
        image=image,
        dags=Dags(s3_uri=S3_URI),
        environment={"AWS_ENDPOINT_URL": fake_s3.container_endpoint},
    )
    until = time.monotonic() + 60
    while fake_s3.requests().get("project/project_provoke.py", 0) == asked:
        assert time.monotonic() < until
        time.sleep(0.1)
    stopped = stop(running)
    assert stopped.result.exit_code == 85, "143 is for a command that died of SIGTERM"
    assert stopped.seconds < 5
    assert stopped.result.state == "queued", "Airflow never heard of it"
    (line,) = stopped.result.output.splitlines()
    assert line == "airflow-ecs-entrypoint: error: stopped by SIGTERM before the command was started"


@each_airflow
def test_143_is_a_command_that_died_of_it(product: Product, built: Builder, stack: Stack) -> None:
    """A program that does nothing about SIGTERM."""
    command = ["python", "-c", "import time; print('on', flush=True); time.sleep(600)"]
    container = stack.create(built(product), command)
    try:
        container.start()
        until = time.monotonic() + 60
        while b"on" not in container.logs():
            assert time.monotonic() < until
            time.sleep(0.1)
        container.stop(timeout=STOP_TIMEOUT)
        assert container.wait()["StatusCode"] == 143
    finally:
        container.remove(force=True, v=True)
