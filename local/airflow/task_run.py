"""Run one real task in a container of the image, as an executor would launch it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from docker.errors import APIError
from docker.models.containers import Container

from local.airflow.control_plane import Dags
from local.airflow.deployment import Deployment, PreparedTask
from local.airflow.log_lines import readable_line
from local.errors import ServiceError, TaskFailedError
from local.machine import resources
from local.machine.containers import output_of, put_files, read_files, wait

LOGS_FOLDER = "/opt/airflow/logs"
TASK_TIMEOUT = 300.0


@dataclass(frozen=True)
class TaskResult:
    """How a task ended. ``state`` comes from the database: exit code 0 does not mean success."""

    state: str
    exit_code: int
    output: str = field(repr=False)
    log: str = field(repr=False)
    seconds: float

    @property
    def succeeded(self) -> bool:
        """Whether Airflow recorded success."""
        return self.state == "success"

    @property
    def readable_log(self) -> str:
        """The task's log with Airflow 3's JSON lines made readable."""
        return "\n".join(readable_line(line) for line in self.log.splitlines())

    def describe(self) -> str:
        """Return state, exit code, container output and task log as text."""
        return (
            f"state {self.state or 'none'!r}, exit code {self.exit_code}, {self.seconds:.1f} s\n"
            f"--- container output\n{self.output.rstrip()}\n--- task log\n{self.readable_log.rstrip()}"
        )

    def require_success(self) -> TaskResult:
        """Return this result. Raises TaskFailedError if the task did not succeed."""
        if not self.succeeded:
            raise TaskFailedError(f"The task did not reach success: {self.describe()}")
        return self


def _attempt(name: str) -> tuple[int, str]:
    """Return a key that sorts the logs of a task instance: attempt 10 comes after 9."""
    number = re.search(r"attempt=(\d+)[^/]*$", name)
    return int(number[1]) if number else 0, name


class RunningTask:
    """A started task container; ``container`` is docker-py's, for tests that stop or inspect it.

    ``launched_at`` is the time of day before it was made: a cold start counts from there. What putting files into the
    container took is left out.
    """

    def __init__(self, deployment: Deployment, task: PreparedTask, container: Container, launched_at: float) -> None:
        """Take over a container that was just started."""
        self.deployment = deployment
        self.task = task
        self.container = container
        self.launched_at = launched_at
        self._start = time.monotonic()

    def wait(self, timeout: float = TASK_TIMEOUT, *, keep: bool = False) -> TaskResult:
        """Wait for the container's end, and collect output, log and state.

        The container is removed, unless it is to be kept until the stack ends.
        """
        try:
            code = wait(self.container, f"Task {self.task.dag_id}.{self.task.task_id}", timeout)
            seconds = time.monotonic() - self._start
            log = self.log()
            output = output_of(self.container)
        finally:
            if not keep:
                self.container.remove(force=True, v=True)
        return TaskResult(self.deployment.task_state(self.task), code, output, log, seconds)

    def log(self) -> str:
        """Return the task's log as it is in the container now."""
        logs = read_files(self.container, LOGS_FOLDER, self._is_own_log)
        newest = max(logs, key=_attempt, default=None)
        return logs[newest] if newest is not None else ""

    def _is_own_log(self, name: str) -> bool:
        """Return whether a file below the logs folder is an attempt of this task instance."""
        wanted = (f"dag_id={self.task.dag_id}", f"run_id={self.task.run_id}", f"task_id={self.task.task_id}")
        parts = name.split("/")
        return all(part in parts for part in wanted) and parts[-1].startswith("attempt=")


def start_task(
    deployment: Deployment,
    task: PreparedTask,
    *,
    image: str | None = None,
    dags: Dags | None = None,
    environment: Mapping[str, str | None] | None = None,
    user: str | None = None,
    read_only: bool = False,
    **options: Any,
) -> RunningTask:
    """Start the task's container with the image's own entrypoint.

    A value of None in ``environment`` takes a default variable away. ``read_only`` makes the root file system
    read-only, with volumes for logs and DAGs and a tmpfs for /tmp. Other options are docker-py's.
    """
    source = dags or Dags()
    merged: dict[str, str | None] = {**deployment.task_environment(), **source.environment, **(environment or {})}
    settings = {name: value for name, value in merged.items() if value is not None}
    if read_only:
        options = {**_read_only_options(deployment, source), **options}
    if user is not None:
        options["user"] = user
    launched_at = time.time()
    try:
        container = deployment.stack.create(image or deployment.image, task.command, environment=settings, **options)
        created = time.time()
        put_files(container, source.files)
        launched_at += time.time() - created
        container.start()
    except APIError as error:
        raise ServiceError(f"The task's container could not be started: {error.explanation}") from error
    return RunningTask(deployment, task, container, launched_at)


def _read_only_options(deployment: Deployment, source: Dags) -> dict[str, Any]:
    """Return a read-only root file system with the writable paths of the image contract."""
    stack = deployment.stack
    labels = resources.labels(stack.run_id)
    volumes = {}
    for path in (LOGS_FOLDER, source.path):
        volume = stack.client.volumes.create(labels=labels)
        volumes[volume.name] = {"bind": path, "mode": "rw"}
    return {"read_only": True, "tmpfs": {"/tmp": "mode=1777"}, "volumes": volumes}


def run_task(
    deployment: Deployment, task: PreparedTask, *, timeout: float = TASK_TIMEOUT, **options: Any
) -> TaskResult:
    """Run a prepared task's container to its end; the options are those of ``start_task``."""
    return start_task(deployment, task, **options).wait(timeout)
