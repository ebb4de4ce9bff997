"""The part of an Airflow that a single task needs: its database and, on Airflow 3, its API server.

Both run the given image itself. One deployment serves every image of the same Airflow version.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.airflow.control_plane import SCRIPTS, ControlPlane, Dags, wait_for_web
from local.airflow.in_container.example_dags import MARKER as EXAMPLES_MARKER
from local.airflow.in_container.prepare_run import MARKER as PREPARED_MARKER
from local.airflow.in_container.read_log import MARKER as LOG_MARKER
from local.aws_services.stack import Stack
from local.errors import PrepareError, ServiceError
from local.machine.console import step
from local.machine.containers import output_of, put_files, wait

_EXAMPLES_TIMEOUT = 180.0


@dataclass(frozen=True)
class PreparedTask:
    """A task instance in state queued, and the command a scheduler would hand to an executor for it."""

    dag_id: str
    task_id: str
    run_id: str
    command: tuple[str, ...] = field(repr=False)  # on Airflow 3 it holds a token


class Deployment(ControlPlane):
    """A migrated database and, on Airflow 3, a healthy API server, made by containers of one image."""

    def __init__(self, stack: Stack, image: str, environment: Mapping[str, str] | None = None) -> None:
        """Migrate and start; nothing needs closing, since everything belongs to the stack."""
        super().__init__(stack, image, {**stack.aws_environment(), **(environment or {})})
        self.migrate()
        if self.has_api_server:
            with step(f"API server of Airflow {self.airflow}"):
                # The part that tasks talk to, alone.
                api = self.start_web(["airflow", "api-server", "--apps", "execution", "--workers", "1"])
                wait_for_web(api, "/execution/health", "Airflow's API server")

    def prepare(
        self,
        tasks: Sequence[tuple[str, str]],
        *,
        dags: Dags,
        apart: bool = False,
    ) -> list[PreparedTask]:
        """Queue (DAG id, task id) pairs in one run each of their DAGs.

        ``apart``: each in a run of its own.
        """
        common = _new_run_id()
        named = [{"dag_id": dag, "task_id": task, "run_id": _new_run_id() if apart else common} for dag, task in tasks]
        output = self.run(
            ["python", "/tmp/prepare_run.py", json.dumps(named)],
            "Preparing the DAG run",
            environment=dags.environment,
            files={"/tmp": {"prepare_run.py": (SCRIPTS / "prepare_run.py").read_bytes()}, **dags.files},
        )
        found = marked(output, PREPARED_MARKER)
        return [PreparedTask(item["dag_id"], item["task_id"], item["run_id"], tuple(item["command"])) for item in found]

    def read_log(self, task: PreparedTask, environment: Mapping[str, str]) -> str:
        """Return a task's log as Airflow's UI shows it, read in a container of its own with additional settings."""
        where = json.dumps({"dag_id": task.dag_id, "task_id": task.task_id, "run_id": task.run_id})
        output = self.run(
            ["python", "/tmp/read_log.py", where],
            "Reading a task's log",
            environment=environment,
            files={"/tmp": {"read_log.py": (SCRIPTS / "read_log.py").read_bytes()}},
        )
        log: str = marked(output, LOG_MARKER)
        return log

    def task_state(self, task: PreparedTask) -> str:
        """Return the state of a task instance in the database: ``success``, ``failed``, … or an empty text."""
        condition = "dag_id = :'dag_id' AND task_id = :'task_id' AND run_id = :'run_id'"
        where = {"dag_id": task.dag_id, "task_id": task.task_id, "run_id": task.run_id}
        rows = self.stack.query(self.database, f"SELECT state FROM task_instance WHERE {condition}", **where)
        return rows[0]["state"] if rows else ""


def _new_run_id() -> str:
    return f"manual__{secrets.token_hex(4)}"


def marked(output: str, marker: str) -> Any:
    """Return the JSON that a script printed behind its marker."""
    for line in output.splitlines():
        if line.startswith(marker):
            return json.loads(line[len(marker) :])
    raise PrepareError(f"The container printed no line that begins with {marker!r}:\n{output[-2000:]}")


def copy_examples(stack: Stack, image: str, names: Sequence[str], target: Path) -> list[Path]:
    """Copy Airflow's own example DAGs, such as ``example_bash_operator``, from an image into a folder."""
    container = stack.create(image, ["/tmp/example_dags.py", *names], entrypoint=["python"])
    try:
        put_files(container, {"/tmp": {"example_dags.py": (SCRIPTS / "example_dags.py").read_bytes()}})
        container.start()
        code = wait(container, "Reading the example DAGs", _EXAMPLES_TIMEOUT)
        output = output_of(container)
    finally:
        container.remove(force=True, v=True)
    if code != 0:
        raise ServiceError(f"Example DAGs could not be read from {image}:\n{output.rstrip()}")
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in sorted(marked(output, EXAMPLES_MARKER).items()):
        (target / name).write_text(content, encoding="utf-8")
        written.append(target / name)
    return written
