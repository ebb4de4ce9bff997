"""What a run of the executor needs from Airflow, so that only `executor` and `airflow_compat` import Airflow."""
# ruff: noqa: D102 - the implementations of these protocols describe their methods

from __future__ import annotations

from typing import Any, Collection, Mapping, NamedTuple, Protocol, Sequence

from airflow_ecs_executor.aws.identity import TaskKey
from airflow_ecs_executor.image_check.comparison import Versions

Workload = Any
"""Airflow 2: the words of a command. Airflow 3: a pydantic model, whose class differs between versions."""


class QueuedWorkload(NamedTuple):
    """What the scheduler hands over to have a task instance, or a callback, run."""

    key: TaskKey
    workload: Workload
    executor_config: object
    """Whatever the author of the DAG has written."""


class Stats(Protocol):
    """Airflow's client for metrics."""

    def incr(self, name: str, count: int) -> Any: ...
    def gauge(self, name: str, value: float) -> Any: ...
    def timing(self, name: str, value: float) -> Any: ...


class AirflowSide(Protocol):
    """Airflow's versions, configuration, workloads and database, for any thread. `airflow_compat` implements it."""

    HAS_WORKLOADS: bool
    """Airflow 3: the executor receives workloads instead of commands, and logs may be JSON objects."""

    def versions(self) -> Versions: ...
    def configuration(self) -> Any: ...
    def database_place(self) -> str: ...
    def stats(self) -> Stats: ...
    def command_of(self, workload: Workload, generator: Any, renew_token: bool) -> list[str]: ...
    def load_workload(self, key: TaskKey, generator: Any) -> QueuedWorkload | None: ...
    def back_to_queued(self, key: TaskKey) -> bool: ...
    def unwanted(self, keys: Sequence[TaskKey]) -> Collection[TaskKey]: ...
    def external_executor_id(self, ti: Any, try_number: int) -> str | None: ...
    def redact(self, text: str) -> str: ...


class ExecutorSide(Protocol):
    """The methods of Airflow's ``BaseExecutor`` to which a run reports, in the scheduler's thread.

    The ``info`` of ``running_state`` is the ARN of the ECS task, which Airflow saves.
    """

    @property
    def queued_tasks(self) -> Mapping[Any, Any]: ...
    def running_state(self, key: Any, info: Any) -> Any: ...
    def success(self, key: Any, info: Any) -> Any: ...
    def fail(self, key: Any, info: Any) -> Any: ...
    def log_task_event(self, *, event: str, extra: str, ti_key: Any) -> Any: ...
