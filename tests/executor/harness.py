"""A whole executor inside Airflow, on the ECS API of `local.ecs`: driven by Airflow's own base class of executors.

What it does without Airflow's help is tested without Airflow, by `tests/unit/executor/harness.py`.
"""

from __future__ import annotations

import os
import uuid
from types import SimpleNamespace
from typing import Any, Mapping

from airflow.models.taskinstancekey import TaskInstanceKey
from airflow_ecs_executor import airflow_compat
from airflow_ecs_executor.config.options import named
from airflow_ecs_executor.executor import AwsEcsExecutor
from airflow_ecs_executor.launching.policy import Policy

from tests.unit.executor import harness
from tests.unit.executor.harness import FAST, OPTIONS, UNSET

__all__ = ["OPTIONS", "UNSET", "Scheduler", "key", "task_workload", "variables"]

_OURS = named("airflow_ecs_executor")
_DAG_RUN = SimpleNamespace(start_date=None, dag_id="dag", run_id="manual__2026-01-01", queued_at=None)


def variables(options: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that set options of either section."""
    sections = {name: "AIRFLOW_ECS_EXECUTOR" if name in _OURS else "AWS_ECS_EXECUTOR" for name in options}
    return {f"AIRFLOW__{sections[name]}__{name.upper()}": value for name, value in options.items()}


def key(number: Any = 0, try_number: int = 1) -> TaskInstanceKey:
    """The key of a task instance."""
    return TaskInstanceKey(**harness.key(number, try_number)._asdict())


def task_workload(ti_key: TaskInstanceKey, executor_config: Any = None) -> Any:
    """What the scheduler of this Airflow hands to an executor to run a task."""
    if not airflow_compat.HAS_WORKLOADS:
        return harness.command(ti_key)
    from airflow.executors import workloads

    ti_class = workloads.ExecuteTask.model_fields["ti"].annotation
    fields: dict[str, Any] = {
        "id": uuid.uuid5(uuid.NAMESPACE_OID, str(ti_key)),
        "dag_version_id": uuid.uuid5(uuid.NAMESPACE_OID, "dag"),
        "task_id": ti_key.task_id,
        "dag_id": ti_key.dag_id,
        "run_id": ti_key.run_id,
        "try_number": ti_key.try_number,
        "map_index": ti_key.map_index,
        "pool_slots": 1,
        "queue": "default",
        "priority_weight": 1,
        "executor_config": executor_config,
    }
    return workloads.ExecuteTask(
        ti=ti_class(**fields),
        dag_rel_path="dag.py",
        bundle_info=workloads.BundleInfo(name="dags-folder"),
        token="a-token",
        log_path="dag/task.log",
    )


class Scheduler(harness.Driver):
    """An executor, driven as Airflow's scheduler drives it, with all that it reported."""

    def __init__(self, start: bool = True, parallelism: int = 100, policy: Policy = FAST, **options: str) -> None:
        """Configure by options of either section."""
        super().__init__(options)
        self.executor = AwsEcsExecutor(parallelism=parallelism)
        self.executor.policy = policy
        if start:
            self.start()

    @property
    def queued_tasks(self) -> Any:
        """What Airflow's base class has queued."""
        return self.executor.queued_tasks

    @property
    def running(self) -> Any:
        """What occupies a slot of Airflow's base class."""
        return self.executor.running

    def start(self) -> None:
        """Start the executor with its options in the environment."""
        saved = dict(os.environ)
        try:
            os.environ.update(variables(self.options))
            self.executor.start()
        finally:
            os.environ.clear()
            os.environ.update(saved)

    def queue(self, ti_key: TaskInstanceKey, executor_config: Any = None) -> None:
        """Queue a task as the scheduler does."""
        work = task_workload(ti_key, executor_config)
        if airflow_compat.HAS_WORKLOADS:
            self.executor.queue_workload(work, session=None)
        else:
            stub = SimpleNamespace(key=ti_key, executor_config=executor_config, dag_run=_DAG_RUN)
            self.executor.queue_command(stub, work, priority=1, queue="default")  # type: ignore[arg-type]

    def heartbeat(self) -> None:
        """One heartbeat, and the reading of what came of it, as the scheduler reads it."""
        self.executor.heartbeat()
        for ti_key, (state, info) in self.executor.get_event_buffer().items():
            self.events.append((ti_key, str(getattr(state, "value", state)), info))
        logs = self.executor._task_event_logs
        while logs:
            record = logs.popleft()
            self.notes.append((_key_of(record), f"{record.event}: {record.extra}"))

    def die(self) -> None:
        """End the executor, with its threads and its containers."""
        self.executor.terminate()


def _key_of(record: Any) -> TaskInstanceKey:
    return TaskInstanceKey(
        dag_id=record.dag_id,
        task_id=record.task_id,
        run_id=getattr(record, "run_id", None) or "",
        try_number=getattr(record, "try_number", None) or 0,
        map_index=record.map_index if record.map_index is not None else -1,
    )
