"""An Airflow deployment of real processes: database, schedulers, and on Airflow 3 the DAG processor and the API server.

Every process is a session of its own, ended as a whole: Airflow 2's scheduler has children that leave its group.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Mapping

import psycopg2

from local.ecs.control import EcsApi
from tests.executor.scenario import TASK_API_VARIABLE
from tests.executor.scenario.database_tasks import DatabaseTasks
from tests.executor.scenario.metrics import Metrics
from tests.executor.scenario.sessions import kill_session, start_guard

AIRFLOW = str(Path(sys.executable).with_name("airflow"))
DAGS = Path(__file__).parent / "dags"
_RUNNER = "tests.executor.scenario.containers:TaskContainers"
_COMMAND_TIMEOUT = 180.0
_READY_TIMEOUT = 90.0
_TAIL, _WIDTH = 30, 300
_TROUBLE = re.compile(r"Traceback|\bERROR\b|\bCRITICAL\b|\[error|\[critical", re.IGNORECASE)
# Airflow ends its scheduler by raising SystemExit wherever its process is: raised in a finalizer, it is lost, and the
# scheduler goes on until the next signal.
_LOST_EXIT = re.compile(r"^Exception ignored in: .*\nTraceback.*\n(?:  .*\n)+SystemExit: 0$", re.MULTILINE)


class Daemon:
    """A process of Airflow and all that it started, with its output in a file."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], folder: Path) -> None:
        """Start it."""
        self.name = name
        self.file = folder / f"{name}.log"
        with self.file.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=str(folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def is_scheduler(self) -> bool:
        """Whether it belongs to one test alone."""
        return self.name.startswith("scheduler-")

    @property
    def log(self) -> str:
        """All of its output."""
        return self.file.read_text(encoding="utf-8", errors="replace")

    def trouble(self) -> list[str]:
        """Lines of its output that speak of errors."""
        return [line for line in _LOST_EXIT.sub("", self.log).splitlines() if _TROUBLE.search(line)]

    def end_in_order(self) -> None:
        """End a scheduler that has nothing left to do by SIGTERM: it leaves at once, without a complaint."""
        deadline, signals = time.monotonic() + 15, 0
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.tail()
            if signals <= len(_LOST_EXIT.findall(self.log)):
                self.process.terminate()
                signals += 1
            time.sleep(0.1)
        assert self.process.returncode == 0, self.tail()
        assert self.trouble() == []

    def kill(self) -> None:
        """Kill the whole session: what happens when a scheduler's machine is lost."""
        kill_session(self.process.pid)
        self.process.wait()

    def tail(self) -> str:
        """What speaks of errors and the end of its output, for people."""
        state = f"{self.name} (exit code {self.process.poll()})"
        lines = [f"--- {state}, errors", *self.trouble()[:_TAIL], f"--- {state}, last lines"]
        return "\n".join(line[:_WIDTH] for line in [*lines, *self.log.splitlines()[-_TAIL:]])


class Deployment:
    """One database with what runs on it, until the block ends; when it ends by an error, the logs are shown."""

    ecs: EcsApi
    metrics: Metrics

    def __init__(self, postgres_url: str, folder: Path, dags: Mapping[str, int]) -> None:
        """``dags``: how often the task of each DAG is mapped. Nothing is started yet."""
        self.folder = folder
        self._server_url = postgres_url
        self._database = f"scenario_{secrets.token_hex(4)}"
        self._url = f"{postgres_url.rpartition('/')[0]}/{self._database}"
        self._dags = dict(dags)
        self._guard = ExitStack()
        self._daemons: list[Daemon] = []
        self.oldest_heartbeat = 0.0
        """Seconds since the last heartbeat of a living scheduler's job, the most that was ever seen."""

    # Start and end

    def __enter__(self) -> Deployment:
        """Make the database, start what serves, and have the DAGs read."""
        try:
            self._start()
        except BaseException:
            self.show_logs()
            self._guard.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything."""
        self._guard.close()

    def _start(self) -> None:
        self._on_server(f'CREATE DATABASE "{self._database}"')
        self._guard.callback(self._on_server, f'DROP DATABASE IF EXISTS "{self._database}" WITH (FORCE)')
        self.metrics = self._guard.enter_context(Metrics())
        self._guardian = start_guard()
        self._guard.callback(self._guardian.communicate)  # closes its input, and waits
        port = _free_port()
        self.environment = {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            "SCENARIO_DAGS": json.dumps(self._dags),
            **_variables(
                "AIRFLOW",
                HOME=str(self.folder),
            ),
            **_variables(
                "AIRFLOW__CORE",
                EXECUTOR="airflow_ecs_executor.AwsEcsExecutor",
                DAGS_FOLDER=str(DAGS),
                DAGS_ARE_PAUSED_AT_CREATION="True",
                DEFAULT_POOL_TASK_SLOT_COUNT=str(sum(self._dags.values())),
                EXECUTION_API_SERVER_URL=f"http://127.0.0.1:{port}/execution/",
                MIN_SERIALIZED_DAG_UPDATE_INTERVAL="1",
            ),
            **_variables("AIRFLOW__DATABASE", SQL_ALCHEMY_CONN=self._url),
            **_variables("AIRFLOW__API_AUTH", JWT_SECRET=secrets.token_hex(32)),
            **_variables("AIRFLOW__LOGGING", BASE_LOG_FOLDER=str(self.folder / "logs"), COLORED_CONSOLE_LOG="False"),
            **_variables("AIRFLOW__SCHEDULER", ENABLE_HEALTH_CHECK="False", PARSING_PROCESSES="1"),
            # The images of these task definitions are nowhere.
            **_variables("AIRFLOW__AIRFLOW_ECS_EXECUTOR", IMAGE_VERSION_CHECK="off"),
            **_variables("AIRFLOW__METRICS", STATSD_ON="True", STATSD_PORT=str(self.metrics.port)),
            **_variables(
                "AIRFLOW__AWS_ECS_EXECUTOR",
                CLUSTER="airflow",
                CONTAINER_NAME="airflow",
                REGION_NAME="us-east-1",
                TASK_DEFINITION="worker",
                SUBNETS="subnet-1",
                LAUNCH_TYPE="FARGATE",
                CONN_ID="",
            ),
        }
        self.run("db", "migrate")
        self._connection = psycopg2.connect(_dsn(self._url))
        self._connection.autocommit = True
        self._guard.callback(self._connection.close)
        self.has_api_server = bool(
            self.query("SELECT 1 FROM information_schema.columns WHERE table_name = 'dag_version'")
        )
        if self.has_api_server:
            task_api = self.environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
        else:
            task_api = self._guard.enter_context(DatabaseTasks(_dsn(self._url))).url
        self.ecs = self._guard.enter_context(EcsApi(runner=_RUNNER, environment={TASK_API_VARIABLE: task_api}))
        self.environment["AWS_ENDPOINT_URL_ECS"] = self.ecs.url
        if self.has_api_server:
            # Each request may take two connections; a pool that is too small makes them wait for each other.
            pool = {"AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "50"}
            server = self.start("api-server", ["--apps", "execution", "--workers", "1", "--port", str(port)], pool)
            self.run("dag-processor", "--num-runs", "1")
            self.until(lambda: _answers(f"{task_api}health"), _READY_TIMEOUT, f"the {server.name} answers")

    # Processes

    def run(self, *arguments: str) -> str:
        """Run one command of Airflow to its end and return its output."""
        return self._run(AIRFLOW, *arguments)

    def python(self, program: str, *arguments: str) -> str:
        """Run a program in Airflow's Python to its end and return its output."""
        return self._run(sys.executable, "-c", program, *arguments)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=str(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_COMMAND_TIMEOUT,
        )
        output = done.stdout.decode(errors="replace")
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{output}"
        return output

    def start(self, name: str, arguments: list[str], environment: Mapping[str, str] | None = None) -> Daemon:
        """Start a process of Airflow that runs on; it is killed with the deployment at the latest."""
        command = [AIRFLOW, "scheduler" if name.startswith("scheduler") else name, *arguments]
        daemon = Daemon(name, command, {**self.environment, **(environment or {})}, self.folder)
        self._daemons.append(daemon)
        assert self._guardian.stdin is not None
        self._guardian.stdin.write(b"%d\n" % daemon.process.pid)
        self._guardian.stdin.flush()
        self._guard.callback(daemon.kill)
        return daemon

    def start_scheduler(self, name: str, **sections: Mapping[str, Any]) -> Daemon:
        """Start a scheduler with options by section, such as ``core={"parallelism": 5}``.

        Its metrics begin with its name, and ``group`` of its containers is its name.
        """
        environment = {"AIRFLOW__METRICS__STATSD_PREFIX": name}
        environment["AIRFLOW__AWS_ECS_EXECUTOR__RUN_TASK_KWARGS"] = json.dumps({"group": name})
        for section, options in sections.items():
            values = {option.upper(): str(value) for option, value in options.items()}
            environment.update(_variables(f"AIRFLOW__{section.upper()}", **values))
        return self.start(f"scheduler-{name}", [], environment)

    def trigger(self, dag_id: str) -> None:
        """Have the one run of a DAG made, as soon as the DAG is known."""
        unpaused = (
            "UPDATE dag SET is_paused = false WHERE dag_id = %s AND dag_id IN (SELECT dag_id FROM serialized_dag) "
            "RETURNING dag_id"
        )
        self.until(lambda: self.query(unpaused, dag_id), _READY_TIMEOUT, f"the DAG {dag_id} is read")

    def until(self, condition: Callable[[], Any], timeout: float, what: str) -> None:
        """Wait for a condition; fail when a process has ended by itself, or the time is over."""
        deadline = time.monotonic() + timeout
        while not condition():
            self._look_at_heartbeats()
            for daemon in self._daemons:
                assert daemon.process.poll() in (None, -signal.SIGKILL, 0), f"{daemon.name} has ended before {what}"
            assert time.monotonic() < deadline, f"Not within {timeout:.0f} s: {what}"
            time.sleep(0.2)

    def _look_at_heartbeats(self) -> None:
        if not hasattr(self, "_connection"):
            return
        rows = self.query(
            "SELECT extract(epoch FROM now() - latest_heartbeat) FROM job "
            "WHERE job_type = 'SchedulerJob' AND state = 'running'"
        )
        self.oldest_heartbeat = max([self.oldest_heartbeat, *(float(row[0]) for row in rows)])

    def end_schedulers(self, *, show: bool) -> None:
        """Kill what schedulers there still are, and end their runs; ``show`` the logs of all first."""
        if show:
            self.show_logs()
        for daemon in [daemon for daemon in self._daemons if daemon.is_scheduler]:
            daemon.kill()
            self._daemons.remove(daemon)
        self.query("UPDATE dag_run SET state = 'failed' WHERE state = 'running' RETURNING 1")  # of a test that failed

    def show_logs(self) -> None:
        """Print the end of each process's output."""
        for daemon in self._daemons:
            print(daemon.tail(), file=sys.stderr)

    # What is in the database

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def states(self, dag_id: str) -> dict[str, int]:
        """How many task instances are in each state."""
        sql = "SELECT coalesce(state, 'none'), count(*) FROM task_instance WHERE dag_id = %s GROUP BY 1"
        return dict(self.query(sql, dag_id))

    def logged_events(self, dag_id: str) -> dict[str, int]:
        """What Airflow's event log says of the DAG's tasks, and how often."""
        sql = "SELECT event, count(*) FROM log WHERE dag_id = %s AND task_id IS NOT NULL GROUP BY 1"
        return dict(self.query(sql, dag_id))

    def _on_server(self, sql: str) -> None:
        connection = psycopg2.connect(_dsn(self._server_url))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
        finally:
            connection.close()


def _variables(prefix: str, **values: str) -> dict[str, str]:
    separator = "_" if prefix == "AIRFLOW" else "__"
    return {f"{prefix}{separator}{name}": value for name, value in values.items()}


def _dsn(url: str) -> str:
    """SQLAlchemy's URL as libpq takes it."""
    return re.sub(r"^postgresql\+\w+:", "postgresql:", url)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=5):
            return True
    except OSError:
        return False
