"""What a run of the executor needs from Airflow, so that only `executor` and `airflow_compat` import Airflow."""

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

    def incr(self, name: str, count: int) -> Any:
        """Increment a counter."""

    def gauge(self, name: str, value: float) -> Any:
        """Set a gauge."""

    def timing(self, name: str, value: float) -> Any:
        """Record a duration in milliseconds."""


class AirflowSide(Protocol):
    """Airflow's versions, configuration, workloads and database, for any thread. `airflow_compat` implements it."""

    HAS_WORKLOADS: bool
    """Airflow 3: the executor receives workloads instead of commands, and logs may be JSON objects."""

    def versions(self) -> Versions:
        """Return the versions that an image requires to run this Airflow's tasks."""

    def configuration(self) -> Any:
        """Return the scheduler's configuration, with Airflow's ``get(section, key, fallback=…)``."""

    def database_place(self) -> str:
        """Return where the metadata database is, without user and password."""

    def stats(self) -> Stats:
        """Return the client for metrics."""

    def command_of(self, workload: Workload, generator: Any, renew_token: bool) -> list[str]:
        """Return the command that runs a workload; ``generator`` makes its new token, if it needs one."""

    def load_workload(self, key: TaskKey, generator: Any) -> QueuedWorkload | None:
        """Make a workload from the database; return None if Airflow does not want that try any more."""

    def back_to_queued(self, key: TaskKey) -> bool:
        """Set an interrupted task instance to queued; return False if it has reported its end."""

    def unwanted(self, keys: Sequence[TaskKey]) -> Collection[TaskKey]:
        """Return those of the keys that Airflow does not want to run any more."""

    def external_executor_id(self, ti: Any, try_number: int) -> str | None:
        """Return what the executor reported for a try of a task instance: the ARN of its ECS task."""

    def redact(self, text: str) -> str:
        """Mask the secrets that Airflow knows."""


class ExecutorSide(Protocol):
    """The methods of Airflow's ``BaseExecutor`` to which a run reports, in the scheduler's thread."""

    @property
    def queued_tasks(self) -> Mapping[Any, Any]:
        """Workloads by key that are not yet submitted."""

    def running_state(self, key: Any, info: Any) -> Any:
        """Report that a task was launched; ``info`` is the ARN, which Airflow saves."""

    def success(self, key: Any, info: Any) -> Any:
        """Report that a task has succeeded."""

    def fail(self, key: Any, info: Any) -> Any:
        """Report that a task has failed."""

    def log_task_event(self, *, event: str, extra: str, ti_key: Any) -> Any:
        """Write to the task's event log."""
