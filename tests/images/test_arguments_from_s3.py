"""A task whose arguments lie in S3: it succeeds, what it read is gone, and its token is nowhere to be seen."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from local.airflow.deployment import PreparedTask
from local.airflow.task_run import RunningTask
from local.aws_services.fake_s3 import FakeS3Service
from local.fakes.s3 import DELETION
from local.machine.waiting import until
from tests.images.conftest import STOPPED, Tasks
from tests.images.product import NEW_WORKER, WITH_WORKLOADS, WORKER, each

KEY = "test/task.json"
LOCATION = f"s3://workloads/{KEY}"
LOGS_ITS_TOKEN = ("3.0.6", "3.1.8")
"""Airflows that do so when they are started plainly: that is their own."""
SUPERVISOR_GONE = ("Traceback",)
"""Of a lost connection, and possibly cut off: without our fast start, Airflow 3.0 to 3.2 ends before its task does."""


class Pointed:
    """Tasks of one image that are started through a pointer to arguments in the fake S3."""

    def __init__(self, s3: FakeS3Service, tasks: Tasks) -> None:
        self._s3, self._tasks = s3, tasks

    def put(self, task: PreparedTask) -> None:
        """Write its arguments, as an executor does."""
        self._s3.put(LOCATION, json.dumps({"arguments": task.command[3:]}).encode())

    def start(self, task: PreparedTask, **environment: str) -> RunningTask:
        """Start a container that has to find them."""
        return self._tasks.start(
            replace(task, command=(*task.command[:3], "--arguments-from", LOCATION)),
            environment={"AWS_ENDPOINT_URL": self._s3.container_endpoint, "AWS_MAX_ATTEMPTS": "2", **environment},
        )

    def deletions(self) -> int:
        """How often the arguments were deleted."""
        return self._s3.requests().get(DELETION + KEY, 0)


@pytest.fixture
def pointed(tasks: Tasks, fake_s3: FakeS3Service) -> Pointed:
    """The tasks of a product's image."""
    return Pointed(fake_s3, tasks)


@pytest.mark.parametrize("product", each([WORKER, NEW_WORKER]))
def test_the_task_waits_for_s3_then_succeeds_and_the_arguments_are_gone(
    tasks: Tasks, pointed: Pointed, fake_s3: FakeS3Service
) -> None:
    task = tasks.pool.take("project_report", "load")
    pointed.put(task)
    before = pointed.deletions()
    fake_s3.set_faults([{"key": KEY, "kind": "error", "code": "SlowDown", "status": 503}])
    refused = tasks.wait(pointed.start(task), warns=("airflow-ecs-entrypoint: error: ",))
    assert (refused.exit_code, refused.state) == (84, "queued"), refused.describe()
    (line,) = refused.output.splitlines()
    assert "S3 is throttling" in line and line.endswith(" was not started")
    assert task.run_id not in line and "--" not in line, "no command arguments in logs"
    assert pointed.deletions() == before

    fake_s3.set_faults([])
    result = tasks.wait(pointed.start(task))
    assert result.succeeded and "loaded 3 regions" in result.log + result.output, result.describe()
    assert '"arguments": "s3"' in result.output
    assert pointed.deletions() == before + 1

    second = tasks.wait(pointed.start(task), warns=("airflow-ecs-entrypoint: error: ",))
    assert second.exit_code == 82, "a second container does not run it again: " + second.describe()
    assert second.state == "success"
    assert "they are gone" in second.output


@pytest.mark.parametrize("product", each(WITH_WORKLOADS))
@pytest.mark.parametrize("start", ["fast", "plain"])
def test_the_token_is_nowhere_to_be_seen(start: str, tasks: Tasks, pointed: Pointed) -> None:
    task = tasks.pool.take("project_provoke", "bash_sleep")
    pointed.put(task)
    token = json.loads(task.command[4])["token"]
    running = pointed.start(task, AIRFLOW_ECS_START=start)
    until(
        lambda: "sleeping" in running.log(), 120, "the task sleeps", explain=lambda: running.container.logs().decode()
    )
    lines = inside(running, "cat /proc/[0-9]*/cmdline")
    assert "execute_workload" in lines and "sleep" in lines
    # As ECS's API would show it: the container's command and environment.
    assert token and token not in lines + json.dumps(running.container.attrs)
    running.container.stop(timeout=60)
    result = tasks.wait(running, warns=(*STOPPED, *SUPERVISOR_GONE) if start == "plain" else STOPPED)
    output = result.output.splitlines()
    if start == "plain" and tasks.deployment.airflow in LOGS_ITS_TOKEN:
        output = [line for line in output if "Executing workload" not in line]
    assert len(output) > 1 and token not in "\n".join((*output, result.log))


def inside(running: RunningTask, command: str) -> str:
    """What a shell in the container prints."""
    output = running.container.exec_run(["sh", "-c", command]).output
    assert isinstance(output, bytes)
    return output.replace(b"\0", b" ").decode(errors="replace")
