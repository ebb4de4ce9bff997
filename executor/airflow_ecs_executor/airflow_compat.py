"""All that differs between the supported versions of Airflow, found out by looking, not by comparing versions.

Airflow 2 queues commands (``airflow tasks run …``). Airflow 3 queues workloads with a short-lived token, which the
Task SDK runs in the container; from 3.2 on callbacks are workloads too, and from 3.3 on a container can run them.
"""

from __future__ import annotations

import importlib
import sys
from datetime import datetime, timezone
from typing import Any, Mapping, Sequence

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

from airflow_ecs_executor.aws.task_definition import TaskDefinition
from airflow_ecs_executor.checks.environment import container_of, differences
from airflow_ecs_executor.image_check.comparison import Versions
from airflow_ecs_executor.image_check.facts import ImageFacts

try:
    from airflow.executors import workloads
except ImportError:
    workloads = None  # type: ignore[assignment, unused-ignore]

HAS_WORKLOADS = workloads is not None
"""Airflow 3: the executor is given workloads, not commands."""
CONTAINERS_RUN_CALLBACKS = hasattr(BaseExecutor, "run_workload")
"""The program that runs a workload in a container knows callbacks, not only tasks."""
INHERITS_QUEUE_WORKLOAD = hasattr(BaseExecutor, "_process_workloads")
"""The base class queues workloads itself; on 3.0 that is left to the executor."""

READS_STRUCTURED_LOGS = HAS_WORKLOADS
"""Airflow 3: the lines of a task's log may be JSON objects. Airflow 2 sorts lines by the time in their first word."""
_SECRETS_MASKERS = (
    "airflow._shared.secrets_masker",  # 3.1 and up
    "airflow.sdk.execution_time.secrets_masker",  # 3.0
    "airflow.utils.log.secrets_masker",  # 2
)

_RUN_WORKLOAD = ("python", "-m", "airflow.sdk.execution_time.execute_workload", "--json-string")
_UNFINISHED = (TaskInstanceState.QUEUED, TaskInstanceState.RUNNING)
_QUERY_SIZE = 500
"""Task instances in one query."""


def versions() -> Versions:
    """Return what an image has to have to run this Airflow's tasks."""
    return Versions(airflow=airflow.__version__, python=".".join(map(str, sys.version_info[:2])))


def environment_warnings(
    definition: TaskDefinition | None, facts: ImageFacts | None, overrides: Mapping[str, str]
) -> list[str]:
    """Say what in a container's environment is not as in this Airflow. ``overrides`` are those of every launch."""
    if definition is None or not definition.image:
        return []
    container = container_of(definition, facts, overrides)
    return differences(conf, container, is_airflow_2=not HAS_WORKLOADS)


def configuration_of(executor: BaseExecutor) -> Any:
    """Return where an executor reads its options: its team's configuration (3.1 and up), else Airflow's."""
    return getattr(executor, "conf", conf)


def database_place() -> str:
    """Return where the metadata database is, without who connects to it and how."""
    url = make_url(conf.get("database", "sql_alchemy_conn"))
    return f"{url.host}:{url.port}/{url.database} {url.query.get('options', '')}"


def stats() -> Any:
    """Return what has ``incr``, ``gauge`` and ``timing``: the client that the base class of executors uses."""
    return getattr(base_executor, "stats", None) or base_executor.Stats


def key_and_config(workload: Any) -> tuple[Any, Any]:
    """Return a workload's key and its executor_config. Callbacks have no configuration."""
    ti = getattr(workload, "ti", None)
    if ti is not None:
        return ti.key, ti.executor_config
    return getattr(workload, "key", None) or workload.callback.id, None


def command_of(workload: Any, generator: Any, renew_token: bool) -> list[str]:
    """Return the command that runs a workload in a container.

    ``renew_token`` replaces the token of an Airflow 3 workload, whose life (600 s) began when it was queued.
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


def load_workload(key: Any, generator: Any) -> tuple[Any, Any] | None:
    """Make the workload of a task instance anew from the database, with its executor_config.

    None when there is no such task instance any more, or it is at another try.
    """
    if not isinstance(key, TaskInstanceKey):
        return None
    with create_session() as session:
        ti = session.query(TaskInstance).filter(*_primary_key(key)).one_or_none()
        if ti is None or ti.try_number != key.try_number:
            return None
        if workloads is None:
            return ti.command_as_list(local=True), ti.executor_config
        return workloads.ExecuteTask.make(ti, generator=generator), ti.executor_config


def back_to_queued(key: Any) -> bool:
    """Make an interrupted task instance runnable again; False when it has reported an end itself."""
    if not isinstance(key, TaskInstanceKey):
        return False
    with create_session() as session:
        changed = (
            session.query(TaskInstance)
            .filter(*_primary_key(key), TaskInstance.try_number == key.try_number, TaskInstance.state.in_(_UNFINISHED))
            # Queued now: else it would count as stuck in the queue since its first start.
            .update(
                {"state": TaskInstanceState.QUEUED, "queued_dttm": datetime.now(timezone.utc)},
                synchronize_session=False,
            )
        )
    return bool(changed)


def unwanted(keys: Sequence[Any]) -> set[Any]:
    """Return the keys of task instances that are at another try, have ended, are deferred, or are gone.

    Callbacks are always wanted: their keys name no task instance.
    """
    asked = [key for key in keys if isinstance(key, TaskInstanceKey)]
    wanted: set[Any] = set()
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
    """Return the external executor id of a try of a task instance, of which ``ti`` may be a newer try.

    Airflow 3 asks for the log of an older try with the record of that try; Airflow 2 does so with the newest one.
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
    """Put asterisks in the place of the secrets that this process knows; without Airflow's masker, of all of it."""
    for name in _SECRETS_MASKERS:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return str(module.redact(text))
    return "***"


def adoptable_columns(tis: Any) -> Mapping[Any, dict[str, Any]]:
    """Return, by task instance, the values that adoption needs: ``key``, ``arn``, ``state`` and ``queued``.

    ``queued`` is in seconds since the epoch, or None. The scheduler loads only some columns of the task instances
    that it offers; reading the others one by one would be a query each, so they are read in one.
    """
    missing = [ti for ti in tis if _unloaded(ti)]
    if missing:
        session = missing[0]._sa_instance_state.session
        if session is not None:
            for start in range(0, len(missing), _QUERY_SIZE):
                part = missing[start : start + _QUERY_SIZE]
                wanted = TaskInstance.filter_for_tis(part)
                session.query(TaskInstance).filter(wanted).populate_existing().all()
    return {
        id(ti): {
            "key": ti.key,
            "arn": ti.external_executor_id,
            "state": ti.state,
            "queued": ti.queued_dttm.timestamp() if ti.queued_dttm else None,
        }
        for ti in tis
    }


def _unloaded(ti: Any) -> bool:
    state = getattr(ti, "_sa_instance_state", None)
    return state is not None and bool({"try_number", "queued_dttm"} & set(state.unloaded))
