"""ECS stops a task: SIGTERM, then SIGKILL after the stop timeout. The task's ``on_kill`` runs in between."""

from __future__ import annotations

import pytest

from local.aws_services.fake_s3 import FakeS3Service
from local.aws_services.stack import Stack
from local.machine.containers import output_of
from local.machine.waiting import until
from tests.images.conftest import STOPPED, Tasks
from tests.images.product import EVERY_AIRFLOW, each
from tests.images.remote_logs import WITHOUT_CONNECTION, RemoteLogs, settings

STOP_TIMEOUT = 30  # seconds, ECS's default


@pytest.mark.parametrize("product", each(EVERY_AIRFLOW.values()))
def test_on_kill_runs_to_its_end_once_and_the_log_is_kept(tasks: Tasks, remote_logs: RemoteLogs) -> None:
    task = tasks.pool.take("project_provoke", "graceful")
    running = tasks.start(task, environment=settings("S3"))
    until(
        lambda: "working, process" in running.log(), 60, "the task works", explain=lambda: output_of(running.container)
    )
    running.container.stop(timeout=STOP_TIMEOUT)
    result = tasks.wait(running, warns=(*STOPPED, *WITHOUT_CONNECTION))
    log = remote_logs.of(task, "S3")
    assert (log.count("on_kill began"), log.count("on_kill ended")) == (1, 1), f"{log}\n{result.describe()}"
    assert "the process ended with -15" in log or "Task received SIGTERM" in log, f"{log}\n{result.describe()}"
    assert result.exit_code == 0, "Airflow's own, for a task whose end it has reported: " + result.describe()
    assert result.state in ("failed", "up_for_retry"), result.describe()


def test_a_stop_while_dags_come_down_starts_nothing(tasks: Tasks, fake_s3: FakeS3Service) -> None:
    key = "project/project_provoke.py"
    fake_s3.set_faults([{"key": key, "kind": "hang"}])
    asked = fake_s3.requests().get(key, 0)
    task = tasks.pool.take("project_provoke", "succeed")
    running = tasks.start(task, environment={"AWS_ENDPOINT_URL": fake_s3.container_endpoint})
    until(lambda: fake_s3.requests().get(key, 0) > asked, 60, "DAGs are asked for")
    running.container.stop(timeout=STOP_TIMEOUT)
    line = "airflow-ecs-entrypoint: error: stopped by SIGTERM before the command was started"
    result = tasks.wait(running, warns=(line,))
    assert result.exit_code == 85, "143 is for a command that died of SIGTERM"
    assert result.output.splitlines() == [line]
    assert result.state == "queued", "Airflow never heard of it"


def test_143_is_a_command_that_died_of_it(worker: str, stack: Stack) -> None:
    """A program that does nothing about SIGTERM."""
    container = stack.create(worker, ["python", "-c", "import time; print('on', flush=True); time.sleep(600)"])
    try:
        container.start()
        until(lambda: b"on" in container.logs(), 60, "the program runs")
        container.stop(timeout=STOP_TIMEOUT)
        assert container.wait()["StatusCode"] == 143
    finally:
        container.remove(force=True, v=True)
