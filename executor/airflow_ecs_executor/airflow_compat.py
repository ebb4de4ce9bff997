"""Compatibility with Airflow 2.10 to 3.3, by feature detection: everything that differs between versions.

Airflow 2 queues commands (``airflow tasks run …``). Airflow 3 queues workloads with a short-lived token, which the
Task SDK runs in the container. Since 3.2, callbacks are workloads too; since 3.3, a container can run them.
"""

from __future__ import annotations

import importlib
import sys
from datetime import datetime, timezone
from typing import Any, Sequence

import airflow
from airflow.configuration import conf
from airflow.executors import base_executor
from airflow.executors.base_executor import BaseExecutor
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskinstancehistory import TaskInstanceHistory
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy.engine import make_url

from airflow_ecs_executor.airflow_side import QueuedWorkload, Stats, Workload
from airflow_ecs_executor.aws.identity import TaskKey
from airflow_ecs_executor.image_check.comparison import Versions

try:
    from airflow.executors import workloads
except ImportError:
    workloads = None  # type: ignore[assignment, unused-ignore]

HAS_WORKLOADS = workloads is not None
"""Airflow 3: the executor receives workloads instead of commands, and the lines of a task's log may be JSON objects.
Airflow 2 sorts the lines of a log by the time in their first word."""
CONTAINERS_RUN_CALLBACKS = hasattr(BaseExecutor, "run_workload")
"""The program that runs a workload in a container can run callbacks too."""
INHERITS_QUEUE_WORKLOAD = hasattr(BaseExecutor, "_process_workloads")
"""The base class queues workloads itself; on 3.0 the executor has to."""

_SECRETS_MASKERS = (
    "airflow._shared.secrets_masker",  # 3.1 and up
    "airflow.sdk.execution_time.secrets_masker",  # 3.0
    "airflow.utils.log.secrets_masker",  # 2
)

_RUN_WORKLOAD = ("python", "-m", "airflow.sdk.execution_time.execute_workload", "--json-string")
_UNFINISHED = (TaskInstanceState.QUEUED, TaskInstanceState.RUNNING)
_QUERY_SIZE = 500
"""The most task instances in one query."""


def versions() -> Versions:
    """Return the versions that an image requires to run this Airflow's tasks."""
    return Versions(airflow=airflow.__version__, python=".".join(map(str, sys.version_info[:2])))


def configuration() -> Any:
    """Return the scheduler's configuration."""
    return conf


def configuration_of(executor: BaseExecutor) -> Any:
    """Return the configuration of an executor: its team's (since 3.1), or else Airflow's."""
    return getattr(executor, "conf", conf)


def database_place() -> str:
    """Return where the metadata database is, without user, password and driver."""
    url = make_url(conf.get("database", "sql_alchemy_conn"))
    return f"{url.host}:{url.port}/{url.database} {url.query.get('options', '')}"


def stats() -> Stats:
    """Return the client for metrics that the base class of executors uses."""
    found: Stats = getattr(base_executor, "stats", None) or base_executor.Stats
    return found


def queued_workload(workload: Workload) -> QueuedWorkload:
    """Return a workload of Airflow 3 with its key and its executor_config. Callbacks have no configuration."""
    ti = getattr(workload, "ti", None)
    if ti is not None:
        return QueuedWorkload(ti.key, workload, ti.executor_config)
    return QueuedWorkload(getattr(workload, "key", None) or workload.callback.id, workload, None)


def command_of(workload: Workload, generator: Any, renew_token: bool) -> list[str]:
    """Return the command that runs a workload in a container.

    ``renew_token`` replaces the token of an Airflow 3 workload, which is valid for 600 s after it was queued.
    """
    if isinstance(workload, (list, tuple)):
        return [str(part) for part in workload]
    if renew_token:
        workload = workload.model_copy(update={"token": _new_token(workload, generator)})
    return [*_RUN_WORKLOAD, workload.model_dump_json()]


def _new_token(workload: Any, generator: Any) -> str:
    ti = getattr(workload, "ti", None)
    subject = str(ti.id if ti is not None else workload.callback.id)
    make = getattr(type(workload), "generate_token", None)
    return str(make(subject, generator) if make is not None else generator.generate({"sub": subject}))


def load_workload(key: TaskKey, generator: Any) -> QueuedWorkload | None:
    """Make the workload of a task instance from the database.

    Return None if the task instance does not exist any more, or is at another try.
    """
    if not isinstance(key, TaskInstanceKey):
        return None
    with create_session() as session:
        ti = session.query(TaskInstance).filter(*_primary_key(key)).one_or_none()
        if ti is None or ti.try_number != key.try_number:
            return None
        if workloads is None:
            return QueuedWorkload(key, ti.command_as_list(local=True), ti.executor_config)
        return QueuedWorkload(key, workloads.ExecuteTask.make(ti, generator=generator), ti.executor_config)


def back_to_queued(key: TaskKey) -> bool:
    """Set an interrupted task instance to queued; return False if it has reported its end."""
    if not isinstance(key, TaskInstanceKey):
        return False
    with create_session() as session:
        changed = (
            session.query(TaskInstance)
            .filter(*_primary_key(key), TaskInstance.try_number == key.try_number, TaskInstance.state.in_(_UNFINISHED))
            # Queued now: otherwise it would count as stuck in the queue since its first start.
            .update(
                {"state": TaskInstanceState.QUEUED, "queued_dttm": datetime.now(timezone.utc)},
                synchronize_session=False,
            )
        )
    return bool(changed)


def unwanted(keys: Sequence[TaskKey]) -> set[TaskKey]:
    """Return the keys of task instances that are at another try, have ended, are deferred, or do not exist any more.

    Callbacks are always wanted, because their keys name no task instance.
    """
    asked = [key for key in keys if isinstance(key, TaskInstanceKey)]
    wanted: set[TaskKey] = set()
    with create_session() as session:
        for start in range(0, len(asked), _QUERY_SIZE):
            part = asked[start : start + _QUERY_SIZE]
            columns = (TaskInstance.dag_id, TaskInstance.task_id, TaskInstance.run_id)
            found = session.query(*columns, TaskInstance.try_number, TaskInstance.map_index).filter(
                TaskInstance.filter_for_tis(part), TaskInstance.state.in_((*_UNFINISHED, TaskInstanceState.SCHEDULED))
            )
            wanted.update(TaskInstanceKey(*row) for row in found)
    return set(asked) - wanted


def _primary_key(key: Any, model: Any = TaskInstance) -> list[Any]:
    return [
        model.dag_id == key.dag_id,
        model.task_id == key.task_id,
        model.run_id == key.run_id,
        model.map_index == key.map_index,
    ]


def external_executor_id(ti: Any, try_number: int) -> str | None:
    """Return the external executor id of a try of a task instance; ``ti`` may be a newer try of it.

    To show the log of an older try, Airflow 3 passes the record of that try, and Airflow 2 the record of the newest.
    """
    found: str | None = ti.external_executor_id
    if ti.try_number != try_number:
        with create_session() as session:
            found = (
                session.query(TaskInstanceHistory.external_executor_id)
                .filter(*_primary_key(ti, TaskInstanceHistory), TaskInstanceHistory.try_number == try_number)
                .limit(1)
                .scalar()
            )
    return found


def redact(text: str) -> str:
    """Replace the secrets that this process knows by asterisks, or the whole text if Airflow's masker is missing."""
    for name in _SECRETS_MASKERS:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return str(module.redact(text))
    return "***"


def load_columns(tis: Sequence[Any]) -> None:
    """Read the columns that the scheduler has not loaded of the task instances that it offers for adoption.

    They are read for all of them at once, because SQLAlchemy would make a query for each.
    """
    missing = [ti for ti in tis if _unloaded(ti)]
    if missing:
        session = missing[0]._sa_instance_state.session  # noqa: SLF001 - SQLAlchemy's attribute of mapped objects
        if session is not None:
            for start in range(0, len(missing), _QUERY_SIZE):
                part = missing[start : start + _QUERY_SIZE]
                wanted = TaskInstance.filter_for_tis(part)
                session.query(TaskInstance).filter(wanted).populate_existing().all()


def _unloaded(ti: Any) -> bool:
    state = getattr(ti, "_sa_instance_state", None)
    return state is not None and bool({"try_number", "queued_dttm"} & set(state.unloaded))
