"""The common part of both Airflow deployments: settings, a migrated database, and containers of the scheduler's side.

All of it runs the given image itself. One control plane serves every image of the same Airflow version.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.errors import APIError, ImageNotFound
from docker.models.containers import Container

from local.aws_services.stack import Stack, published_port, tail, wait_for_http
from local.errors import PrepareError, ServiceError
from local.machine.console import step
from local.machine.containers import folder_files, output_of, put_files, wait

DAGS_FOLDER = "/opt/airflow/dags"
SCRIPTS = Path(__file__).parent / "in_container"
WEB_PORT = 8080
_WEB_READY_TIMEOUT = 120.0
_RUN_TIMEOUT = 180.0
Files = Mapping[str, Mapping[str, bytes]]
"""What is put into a container before it starts: contents by name, by an existing folder."""


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

    @property
    def files(self) -> dict[str, dict[str, bytes]]:
        """What is put into a container before it starts, by folder."""
        return {self.path: folder_files(self.folder)} if self.folder is not None else {}


def airflow_version(stack: Stack, image: str) -> str:
    """Return the Airflow version that a local image declares."""
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


# On a small machine that tasks and API server share, an answer may take longer than the 5 s of Airflow's default.
_PATIENCE = {"AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30"}


class ControlPlane:
    """An Airflow's settings, its database, and its containers. Nothing starts before a method is called.

    Everything belongs to the stack, and goes with it.
    """

    def __init__(self, stack: Stack, image: str, environment: Mapping[str, str] | None = None) -> None:
        """``environment`` is for the control plane and the tasks alike, and comes before what is set here."""
        self.stack = stack
        self.image = image
        self.airflow = airflow_version(stack, image)
        self.database = "airflow_" + re.sub(r"\W", "_", self.airflow) + "_" + secrets.token_hex(2)
        self._host = self.database.replace("_", "-")
        self._secret = secrets.token_hex(32)
        self._extra = dict(environment or {})

    @property
    def has_api_server(self) -> bool:
        """Whether tasks of this Airflow talk to an API server, not to the database."""
        return int(self.airflow.split(".")[0]) >= 3

    # Settings

    def _common_settings(self) -> dict[str, str]:
        """Return what a control plane and its tasks have in common, without ``environment``."""
        settings = {"AIRFLOW__CORE__LOAD_EXAMPLES": "false", "CONNECTION_CHECK_MAX_COUNT": "0"}
        if self.has_api_server:
            settings["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = f"http://{self._host}:{WEB_PORT}/execution/"
        return settings

    def control_environment(self) -> dict[str, str]:
        """Return the environment of the scheduler's side, which includes the database, keys and the signing secret."""
        return {
            **self.stack.airflow_secrets(self.database),
            "AIRFLOW__API_AUTH__JWT_SECRET": self._secret,
            **self._common_settings(),
            **self._extra,
        }

    def task_settings(self) -> dict[str, str]:
        """Return the environment variables of a task's container that are not secret."""
        return {**self._common_settings(), **(_PATIENCE if self.has_api_server else {}), **self._extra}

    def task_secrets(self) -> dict[str, str]:
        """Return the secret environment variables of a task's container: none on Airflow 3, whose tasks use the API."""
        return {} if self.has_api_server else self.stack.airflow_secrets(self.database)

    def task_environment(self) -> dict[str, str]:
        """Return all environment variables of a task's container."""
        return {**self.task_secrets(), **self.task_settings()}

    # Containers

    def migrate(self) -> None:
        """Create and migrate the database."""
        with step(f"Database of Airflow {self.airflow}: airflow db migrate"):
            self.stack.create_database(self.database)
            self.run(["airflow", "db", "migrate"], "airflow db migrate")

    def run(self, command: Sequence[str], what: str, *, files: Files | None = None, **options: Any) -> str:
        """Run a container of the scheduler's side to its end and return its output.

        ``files`` are put into it first. The options are those of `Stack.create`. Raises PrepareError when it fails.
        """
        container = self._create(command, files, **options)
        try:
            container.start()
            code = wait(container, what, _RUN_TIMEOUT)
            output = output_of(container)
            if code != 0:
                raise PrepareError(f"{what} ended with exit code {code} in {self.image}:\n{tail(container, 40)}")
            return output
        except APIError as error:
            raise PrepareError(f"{what} could not be run in {self.image}: {error.explanation}") from error
        finally:
            container.remove(force=True, v=True)

    def start_container(
        self, command: Sequence[str], *, part: str | None = None, files: Files | None = None, **options: Any
    ) -> Container:
        """Start a container of the scheduler's side that keeps running; the options are those of `Stack.create`.

        ``part`` is its name in `docker ps`; default: the command, such as ``scheduler`` of ``airflow scheduler``.
        """
        try:
            container = self._create(command, files, part=part or command[1], **options)
            container.start()
        except APIError as error:
            raise ServiceError(f"Airflow's {command[1]} could not be started: {error.explanation}") from error
        return container

    def _create(
        self,
        command: Sequence[str],
        files: Files | None,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Container:
        settings = {**self.control_environment(), **(environment or {})}
        container = self.stack.create(self.image, command, environment=settings, **options)
        try:
            put_files(container, files or {})
        except BaseException:
            container.remove(force=True, v=True)
            raise
        return container

    def start_web(self, command: Sequence[str], *, port: int | None = None, **options: Any) -> Container:
        """Start the web server or API server, where tasks look for it; ``port`` of 127.0.0.1, or a free one."""
        ports = {f"{WEB_PORT}/tcp": ("127.0.0.1", port)}
        return self.start_container([*command, "--port", str(WEB_PORT)], name=self._host, ports=ports, **options)


def web_address(web: Container) -> str:
    """Return the address of a webserver or API server for programs on this machine: ``http://127.0.0.1:port``."""
    return f"http://127.0.0.1:{published_port(web, WEB_PORT)}"


def wait_for_web(web: Container, path: str, what: str) -> None:
    """Wait until a webserver or API server answers a path with success."""
    wait_for_http(f"{web_address(web)}{path}", web, what, _WEB_READY_TIMEOUT)
