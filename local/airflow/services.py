"""All components of an Airflow except its tasks: UI, schedulers, triggerer and DAG processor, a container each.

Everything is configured as a deployment on AWS is: by the environment, with the settings of the documentation.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from docker.errors import APIError
from docker.models.containers import Container

from local.airflow.control_plane import DAGS_FOLDER, SCRIPTS, ControlPlane, wait_for_web, web_address
from local.airflow.rest_api import RestApi
from local.aws_services.stack import Stack, fail_if_ended
from local.errors import ServiceError
from local.machine.console import step
from local.machine.containers import folder_files, output_of, wait

USER = "admin"
_AIRFLOW_HOME = "/opt/airflow"
_PASSWORDS_FILE = "simple_auth_manager_passwords.json"
_KILL_TIMEOUT = 60.0
# Airflow 2's webserver may have gunicorn 25.1.0, whose control socket now and then keeps a worker from ever starting
# (https://github.com/benoitc/gunicorn/issues/3529). Older ones do not know the flag.
_WITHOUT_CONTROL_SOCKET = """\
if gunicorn --help | grep -q -e --no-control-socket; then
    export GUNICORN_CMD_ARGS="${GUNICORN_CMD_ARGS:-} --no-control-socket"
fi
exec "$@"
"""

# What saves time and processors on a small machine, and changes nothing of what tasks see.
_FRUGAL = {
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
    "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
    "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "120",
    "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
    "AIRFLOW__WEBSERVER__WORKERS": "1",
    "AIRFLOW__WEBSERVER__WORKER_REFRESH_INTERVAL": "0",
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}


class Service:
    """An Airflow component in a container of its own, such as a scheduler."""

    def __init__(self, name: str, container: Container) -> None:
        """Take over a started container."""
        self.name = name
        self.container = container
        self._may_have_ended = False

    def log(self) -> str:
        """Return all of its output, including that of earlier starts."""
        return output_of(self.container)

    def kill(self) -> None:
        """End it with SIGKILL, as the loss of its host does."""
        self._may_have_ended = True
        try:
            self.container.kill()
        except APIError as error:
            raise ServiceError(f"Airflow's {self.name} could not be killed: {error.explanation}") from error
        wait(self.container, self.name, _KILL_TIMEOUT)

    def remove(self) -> None:
        """Remove it, running or not."""
        self._may_have_ended = True
        self.container.remove(force=True, v=True)

    def start(self) -> None:
        """Start it again after its end, in the same container, as a supervisor does."""
        self.container.start()
        self._may_have_ended = False

    def check(self) -> None:
        """Raise ServiceError with its last lines, if it has ended by itself."""
        if not self._may_have_ended:
            fail_if_ended(self.container, f"Airflow's {self.name}")


class AirflowServices(ControlPlane):
    """The components of an Airflow, except its tasks, on the stack's network. The stack removes them at its end.

    ``user`` and ``password`` are those of the UI and of ``api``; the password is made anew for each.
    """

    def __init__(
        self,
        stack: Stack,
        image: str,
        *,
        environment: Mapping[str, str],
        dags: Sequence[Path],
        logs: str,
        port: int | None = None,
    ) -> None:
        """Nothing is started yet.

        ``environment`` is for the scheduler's side alone and comes before what is set here: AWS, and
        ``AIRFLOW__CORE__EXECUTOR`` with its options. ``dags`` are folders whose files are put where DAGs are parsed.
        ``logs`` is the S3 URI of remote logging; its bucket must exist. ``port`` of 127.0.0.1 is the UI's, or a
        free one.
        """
        super().__init__(stack, image)
        self.user = USER
        self.password = secrets.token_hex(8)
        self._environment = dict(environment)
        self._logs = logs
        self._port = port
        self._web_secret = secrets.token_hex(32)
        self._dags = {DAGS_FOLDER: {name: text for folder in dags for name, text in folder_files(folder).items()}}
        self._services: dict[str, Service] = {}
        self._api: RestApi | None = None

    # Settings

    def task_settings(self) -> dict[str, str]:
        """Return what a task definition has in ``environment``; AWS's own variables are the caller's."""
        return {
            **super().task_settings(),
            "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
            "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": self._logs,
        }

    def control_environment(self) -> dict[str, str]:
        """Return environment of every container of the scheduler's side."""
        return {
            **super().control_environment(),
            **self.task_settings(),
            **self._authentication(),
            **_FRUGAL,
            "AIRFLOW__CORE__DAGS_FOLDER": DAGS_FOLDER,
            **self._environment,
        }

    def _authentication(self) -> dict[str, str]:
        """Who may use UI and REST API: a user with a password."""
        if self.has_api_server:
            return {
                "AIRFLOW__API__SECRET_KEY": self._web_secret,
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": f"{_AIRFLOW_HOME}/{_PASSWORDS_FILE}",
            }
        backends = (
            "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth",
            "airflow.api.auth.backend.session",
        )
        return {
            "AIRFLOW__WEBSERVER__SECRET_KEY": self._web_secret,
            "AIRFLOW__API__AUTH_BACKENDS": ",".join(backends),
        }

    # Start

    def start(self) -> None:
        """Start all components on a migrated database, and wait until the UI answers."""
        with step(f"Airflow {self.airflow}: {self._web_name}, scheduler"):
            with ThreadPoolExecutor() as pool:
                started: list[Future[Any]] = [
                    pool.submit(self._start_web),
                    pool.submit(self._start_service, "scheduler"),
                ]
                if self.has_api_server:
                    started.append(pool.submit(self._start_service, "dag-processor"))
                for future in started:
                    future.result()
            wait_for_web(self._services[self._web_name].container, self._health_path, f"Airflow's {self._web_name}")
        self._start_service("triggerer")  # Last: no run needs it at once, and the others need the processors.
        self.check()

    @property
    def _web_name(self) -> str:
        return "api-server" if self.has_api_server else "webserver"

    @property
    def _health_path(self) -> str:
        return "/api/v2/monitor/health" if self.has_api_server else "/health"

    def _start_web(self) -> None:
        command = ["airflow", self._web_name]
        files: dict[str, dict[str, bytes]] = {}
        environment: dict[str, str] = {}
        if self.has_api_server:
            # Each request may take two connections; a pool that is too small makes them wait for each other.
            environment = {"AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "50"}
            files = {_AIRFLOW_HOME: {_PASSWORDS_FILE: json.dumps({USER: self.password}).encode()}}
        else:
            self._create_user()
            command = ["sh", "-c", _WITHOUT_CONTROL_SOCKET, "webserver", *command]
        container = self.start_web(command, port=self._port, environment=environment, files=files)
        self._services[self._web_name] = Service(self._web_name, container)

    def _create_user(self) -> None:
        """Create Airflow 2's roles and the user."""
        user = json.dumps({"username": USER, "password": self.password}).encode()
        script = (SCRIPTS / "create_user.py").read_bytes()
        self.run(
            ["python", "/tmp/create_user.py", "/tmp/user.json"],
            "airflow users create",
            files={"/tmp": {"create_user.py": script, "user.json": user}},
        )

    def _start_service(
        self, command: str, name: str | None = None, environment: Mapping[str, str] | None = None
    ) -> Service:
        title = name or command
        container = self.start_container(["airflow", command], part=title, environment=environment, files=self._dags)
        self._services[title] = Service(title, container)
        return self._services[title]

    def start_scheduler(self, name: str, environment: Mapping[str, str]) -> Service:
        """Start one more scheduler; ``environment`` holds the settings in which it differs from the first."""
        return self._start_service("scheduler", name, environment)

    # What runs

    @property
    def address(self) -> str:
        """The UI, for programs on this machine: ``http://127.0.0.1:port``."""
        return web_address(self._services[self._web_name].container)

    @property
    def api(self) -> RestApi:
        """The REST API, as the UI's user."""
        if self._api is None:
            self._api = RestApi(self.address, self.user, self.password)
        return self._api

    def scheduler(self) -> Service:
        """Return the first scheduler."""
        return self._services["scheduler"]

    def wait_until_ready(self, dag_ids: Sequence[str]) -> None:
        """Wait until the schedulers are healthy and these DAGs are loaded.

        Raises ServiceError with the cause: the part that has ended, or the DAG file that cannot be loaded.
        """
        try:
            self.api.wait_until_healthy()
            self.api.wait_for_dags(dag_ids)
        except ServiceError:
            self.check()
            raise

    def check(self) -> None:
        """Raise ServiceError if a component has ended by itself."""
        for service in self._services.values():
            service.check()
