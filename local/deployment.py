"""The part of an Airflow deployment that a task needs: its database and, on Airflow 3, its API server.

Both run the given image itself. One deployment serves every image of the same Airflow version.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker.errors import APIError, ImageNotFound
from docker.models.containers import Container

from local.console import step
from local.containers import folder_files, output_of, put_files, wait
from local.errors import PrepareError, ServiceError
from local.in_container.example_dags import MARKER as EXAMPLES_MARKER
from local.in_container.prepare_run import MARKER as PREPARED_MARKER
from local.in_container.read_log import MARKER as LOG_MARKER
from local.stack import Stack, published_port, tail, wait_for_http

DAGS_FOLDER = "/opt/airflow/dags"
_API_PORT = 8080
_API_READY_TIMEOUT = 120.0
_PREPARE_TIMEOUT = 180.0
_SCRIPTS = Path(__file__).parent / "in_container"


@dataclass(frozen=True)
class Dags:
    """Where containers find the DAGs: in S3, in a folder copied into them, or (neither) in the image."""

    s3_uri: str | None = None
    folder: Path | None = None
    path: str = DAGS_FOLDER

    @property
    def environment(self) -> dict[str, str]:
        """Environment that makes an image of ours load the DAGs."""
        found = {"S3_URI": self.s3_uri} if self.s3_uri else {}
        return {**found, "CONTAINER_DAG_PATH": self.path} if self.path != DAGS_FOLDER else found

    def put_into(self, container: Container) -> None:
        """Copy the folder's files, if there is one, into a container that is not started yet."""
        if self.folder is not None:
            put_files(container, self.path, folder_files(self.folder))


@dataclass(frozen=True)
class PreparedTask:
    """A task instance in state queued, and the command a scheduler would hand to an executor for it."""

    dag_id: str
    task_id: str
    run_id: str
    command: tuple[str, ...] = field(repr=False)  # on Airflow 3 it holds a token


def airflow_version(stack: Stack, image: str) -> str:
    """The Airflow version that a local image declares."""
    try:
        config = stack.client.images.get(image).attrs["Config"]
    except ImageNotFound as error:
        raise PrepareError(f"There is no local image {image}. Build it first: python build.py --help") from error
    declared = dict(item.split("=", 1) for item in config.get("Env") or [])
    labels = config.get("Labels") or {}
    version = declared.get("AIRFLOW_VERSION") or labels.get("org.apache.airflow.version")
    if not version:
        raise PrepareError(f"{image} declares no Airflow version: neither AIRFLOW_VERSION nor a label is set")
    return str(version)


class Deployment:
    """A migrated database and, on Airflow 3, a healthy API server, made by containers of one image."""

    def __init__(self, stack: Stack, image: str, environment: Mapping[str, str] | None = None) -> None:
        """Migrate and start; nothing needs closing, since everything belongs to the stack."""
        self.stack = stack
        self.image = image
        self.airflow = airflow_version(stack, image)
        self.database = "airflow_" + re.sub(r"\W", "_", self.airflow) + "_" + secrets.token_hex(2)
        self._host = self.database.replace("_", "-")
        self._secret = secrets.token_hex(32)
        self._extra = dict(environment or {})
        self._api: Container | None = None
        stack.create_database(self.database)
        with step(f"Database of Airflow {self.airflow}: airflow db migrate"):
            self._run(image, ["airflow", "db", "migrate"], "airflow db migrate")
        if self.has_api_server:
            with step(f"API server of Airflow {self.airflow}"):
                self._start_api_server()

    @property
    def has_api_server(self) -> bool:
        """Whether tasks of this Airflow talk to an API server, not to the database."""
        return int(self.airflow.split(".")[0]) >= 3

    def control_environment(self) -> dict[str, str]:
        """Environment of the scheduler's side: database and signing secret."""
        return {
            **self.stack.container_environment(self.database),
            "AIRFLOW__API_AUTH__JWT_SECRET": self._secret,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "CONNECTION_CHECK_MAX_COUNT": "0",
            **self._extra,
        }

    def task_environment(self) -> dict[str, str]:
        """Environment of a task's container: Airflow 3 gets the API server's address, and no database."""
        if not self.has_api_server:
            environment = self.control_environment()
            del environment["AIRFLOW__API_AUTH__JWT_SECRET"]
            return environment
        return {
            **self.stack.container_environment(),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{self._host}:{_API_PORT}/execution/",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "CONNECTION_CHECK_MAX_COUNT": "0",
            **self._extra,
        }

    def _run(
        self,
        image: str,
        command: Sequence[str],
        what: str,
        *,
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, Mapping[str, bytes]] | None = None,
        dags: Dags | None = None,
    ) -> str:
        """Run a container of the scheduler's side to its end and return its output."""
        container = self.stack.create(image, command, environment={**self.control_environment(), **(environment or {})})
        try:
            for target, content in (files or {}).items():
                put_files(container, target, content)
            if dags is not None:
                dags.put_into(container)
            container.start()
            code = wait(container, what, _PREPARE_TIMEOUT)
            output = output_of(container)
            if code != 0:
                raise PrepareError(f"{what} ended with exit code {code} in {image}:\n{tail(container, 40)}")
            return output
        except APIError as error:
            raise PrepareError(f"{what} could not be run in {image}: {error.explanation}") from error
        finally:
            container.remove(force=True, v=True)

    def _start_api_server(self) -> None:
        """Start the API server with the part that tasks talk to, and wait until it is healthy."""
        self._api = self.stack.start(
            self.image,
            ["airflow", "api-server", "--apps", "execution", "--workers", "1", "--port", str(_API_PORT)],
            name=self._host,
            port=_API_PORT,
            environment=self.control_environment(),
        )
        url = f"http://127.0.0.1:{published_port(self._api, _API_PORT)}/execution/health"
        wait_for_http(url, self._api, "Airflow's API server", _API_READY_TIMEOUT)

    def api_server_log(self) -> str:
        """The API server's output, for a failing test to show."""
        return output_of(self._api) if self._api is not None else ""

    def prepare(
        self,
        tasks: Sequence[tuple[str, str]],
        *,
        image: str | None = None,
        dags: Dags | None = None,
        environment: Mapping[str, str] | None = None,
        run_id: str | None = None,
        conf: Mapping[str, Any] | None = None,
    ) -> list[PreparedTask]:
        """Queue (DAG id, task id) pairs in one run each of their DAGs; an existing ``run_id`` is continued."""
        run_id = run_id or f"manual__{secrets.token_hex(4)}"
        pairs = [{"dag_id": dag, "task_id": task} for dag, task in tasks]
        request = json.dumps({"tasks": pairs, "run_id": run_id, "conf": conf})
        source = dags or Dags()
        output = self._run(
            image or self.image,
            ["python", "/tmp/prepare_run.py", request],
            "Preparing the DAG run",
            environment={**source.environment, **(environment or {})},
            files={"/tmp": {"prepare_run.py": (_SCRIPTS / "prepare_run.py").read_bytes()}},
            dags=source,
        )
        found = _marked(output, PREPARED_MARKER)
        return [PreparedTask(item["dag_id"], item["task_id"], item["run_id"], tuple(item["command"])) for item in found]

    def read_log(self, task: PreparedTask, environment: Mapping[str, str]) -> str:
        """A task's log as Airflow's UI shows it, read in a container of its own with additional settings."""
        where = json.dumps({"dag_id": task.dag_id, "task_id": task.task_id, "run_id": task.run_id})
        output = self._run(
            self.image,
            ["python", "/tmp/read_log.py", where],
            "Reading a task's log",
            environment=environment,
            files={"/tmp": {"read_log.py": (_SCRIPTS / "read_log.py").read_bytes()}},
        )
        log: str = _marked(output, LOG_MARKER)
        return log

    def task_state(self, task: PreparedTask) -> str:
        """The state of a task instance in the database: ``success``, ``failed``, … or an empty text."""
        where = {"dag_id": task.dag_id, "task_id": task.task_id, "run_id": task.run_id}
        condition = " AND ".join(f"{column} = {_quoted(value)}" for column, value in where.items())
        rows = self.stack.query(self.database, f"SELECT state FROM task_instance WHERE {condition}")
        return rows[0]["state"] if rows else ""


def _quoted(text: str) -> str:
    """A literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _marked(output: str, marker: str) -> Any:
    """The JSON that a script printed behind its marker."""
    for line in output.splitlines():
        if line.startswith(marker):
            return json.loads(line[len(marker) :])
    raise PrepareError(f"The container printed no line that begins with {marker!r}:\n{output[-2000:]}")


def copy_examples(stack: Stack, image: str, names: Sequence[str], target: Path) -> list[Path]:
    """Copy Airflow's own example DAGs, such as ``example_bash_operator``, from an image into a folder."""
    container = stack.create(image, ["/tmp/example_dags.py", *names], entrypoint=["python"])
    try:
        put_files(container, "/tmp", {"example_dags.py": (_SCRIPTS / "example_dags.py").read_bytes()})
        container.start()
        code = wait(container, "Reading the example DAGs", _PREPARE_TIMEOUT)
        output = output_of(container)
    finally:
        container.remove(force=True, v=True)
    if code != 0:
        raise ServiceError(f"Example DAGs could not be read from {image}:\n{output.rstrip()}")
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in sorted(_marked(output, EXAMPLES_MARKER).items()):
        (target / name).write_text(content, encoding="utf-8")
        written.append(target / name)
    return written
