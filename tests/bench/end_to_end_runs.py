"""Runs of DAGs in a whole Airflow on the local ECS, by our executor and image or by the reference's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.airflow.ecs_deployment import LATENCY, EcsDeployment
from local.aws_services.stack import Stack
from local.errors import ServiceError, TaskFailedError
from local.machine.client import engine
from local.machine.waiting import until
from tests.bench.end_to_end_figures import ContainerTimes, RunTimes, TaskTimes

DAGS = Path(__file__).with_name("e2e_dags")
ONE = "bench_one"
OURS, REFERENCE = "ours", "reference"
CONTENDERS = (OURS, REFERENCE)
FARGATE = {"placement_seconds": 10.0, "pull_seconds": 30.0}
"""As of Fargate: chosen so that the reference's tasks should begin after nearly the 50 to 60 s of its guide."""
_RUN_SECONDS = 2400.0
_CONTAINERS_SECONDS = 120.0
_OF_THE_RUN = "WHERE dag_id = :'dag_id' AND run_id = :'run_id'"
_LOOK_SECONDS = 1.0  # Airflow answers, and ECS as well, with the processors that are measured.

# All else is by default: slots, options of the executor, heartbeats, and the check of the connection on startup.
_EXECUTORS: Mapping[str, Mapping[str, str]] = {
    OURS: {},
    REFERENCE: {
        "AIRFLOW__CORE__EXECUTOR": "airflow.providers.amazon.aws.executors.ecs.AwsEcsExecutor",
        # Its default connection, without which it looks for one in the database first, and warns.
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
    },
}
_TASK_ENVIRONMENT = {
    # That of the official image, which has its entrypoint look whether the database is there. Ours does not ask.
    "CONNECTION_CHECK_MAX_COUNT": "20",
    # A hundred tasks and the API server that they ask share this machine's processors: within the five seconds of the
    # default (Airflow 3) it does not answer all of them, and they fail.
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
}


def digest_of(image: str) -> str:
    """What containers of an image are made from, in short: not its id, for a label has the minute of the build."""
    attributes = engine().images.get(image).attrs
    settings = attributes["Config"]
    made_from = [attributes["RootFS"]["Layers"], *map(settings.get, ("Cmd", "Entrypoint", "Env", "User", "WorkingDir"))]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:12]


@contextmanager
def deployed(images: Mapping[str, str], contender: str) -> Iterator[EcsDeployment]:
    """An Airflow of a contender alone on this machine, that has run a task already.

    ``images``: what tasks run in, by contender. The scheduler's side runs ours, whoever is measured.
    """
    with Stack() as stack:
        deployment = EcsDeployment(
            stack,
            images[contender],
            dags=[DAGS],
            settings=_EXECUTORS[contender],
            control_base=images[OURS],
            task_environment=_TASK_ENVIRONMENT,
        )
        deployment.start()
        deployment.airflow.wait_until_ready([ONE, "bench_100"])
        deployment.aws.ecs.configure(**LATENCY)
        run(deployment, ONE)
        yield deployment


def run(deployment: EcsDeployment, dag_id: str) -> RunTimes:
    """Run a DAG to its end, and that of its containers.

    :raises TaskFailedError: the run did not end in time, a task was never queued, or no ECS task was launched.
    """
    api, ecs = deployment.airflow.api, deployment.aws.ecs
    before = len(ecs.tasks(["arn"]))
    api.unpause(dag_id)
    run_id = api.trigger(dag_id)
    try:
        api.wait_for_run(dag_id, run_id, _RUN_SECONDS, pause=_LOOK_SECONDS)
        tasks = _task_times(deployment, dag_id, run_id)
        _wait_for_containers(deployment, before)
    except ServiceError as error:
        log = deployment.airflow.scheduler().log()[-4000:]
        raise TaskFailedError(f"{error}. The scheduler's last lines:\n{log}") from error
    query = f"SELECT extract(epoch FROM end_date) AS ended FROM dag_run {_OF_THE_RUN}"
    rows = deployment.stack.query(deployment.airflow.database, query, dag_id=dag_id, run_id=run_id)
    containers = _containers(deployment, before)
    if not containers:
        raise TaskFailedError(f"No ECS task was launched for {dag_id}")
    return RunTimes(_moment(rows[0]["ended"], f"the run {run_id} of {dag_id} ended"), tasks, containers)


def _wait_for_containers(deployment: EcsDeployment, before: int) -> None:
    def ended() -> bool:
        return all(item.ended for item in _containers(deployment, before))

    until(ended, _CONTAINERS_SECONDS, "the containers of the run have ended", pause=_LOOK_SECONDS)


def _task_times(deployment: EcsDeployment, dag_id: str, run_id: str) -> tuple[TaskTimes, ...]:
    """By Airflow's own database: its REST API says the same, a hundred at a time."""
    columns = "extract(epoch FROM queued_dttm) AS queued, extract(epoch FROM end_date) AS ended"
    query = (
        f"SELECT task_id, map_index, state, try_number, {columns} FROM task_instance {_OF_THE_RUN}"
        " ORDER BY task_id, map_index"
    )
    rows = deployment.stack.query(deployment.airflow.database, query, dag_id=dag_id, run_id=run_id)
    found = []
    for row in rows:
        done = row["state"] == "success"
        value = None
        if done:
            value = deployment.airflow.api.xcom(dag_id, run_id, row["task_id"], map_index=int(row["map_index"]))
        found.append(
            TaskTimes(
                queued=_moment(row["queued"], f"{row['task_id']}, which is {row['state'] or 'waiting'}, was queued"),
                first_line=None if value is None else float(value),
                ended=float(row["ended"]) if row["ended"] else None,
                state=row["state"],
                try_number=int(row["try_number"]),
            )
        )
    return tuple(found)


def _moment(text: str, what: str) -> float:
    if not text:
        raise TaskFailedError(f"Airflow's database does not say when {what}")
    return float(text)


def _containers(deployment: EcsDeployment, before: int) -> tuple[ContainerTimes, ...]:
    """What ECS has launched after the first so many."""
    found = deployment.aws.ecs.tasks(["createdAt", "startedAt", "containerEndedAt"])[before:]
    return tuple(ContainerTimes(item["createdAt"], item["startedAt"], item["containerEndedAt"]) for item in found)
