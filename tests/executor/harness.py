"""A real executor on the ECS API of `local.ecs`, and the scheduler's part of the work: queue, beat, read events."""

from __future__ import annotations

import dataclasses
import os
import time
import uuid
from types import SimpleNamespace
from typing import Any, Callable, ClassVar, Mapping

from airflow.models.taskinstancekey import TaskInstanceKey
from airflow_ecs_executor import airflow_versions
from airflow_ecs_executor.executor import AwsEcsExecutor
from airflow_ecs_executor.options import named

OPTIONS: Mapping[str, str] = {
    "cluster": "airflow",
    "container_name": "airflow",
    "region_name": "us-east-1",
    "task_definition": "worker",
    "subnets": "subnet-1",
    "launch_type": "FARGATE",
    "conn_id": "",
    "poll_interval": "0.05",
    "describe_tasks_rate": "100",
    "deployment": "tests",
    "image_version_check": "off",  # the images of these tasks are nowhere; test_compatibility.py has some
}
_OURS = named("airflow_ecs_executor")
UNSET = "<unset>"
"""The value of an option that is to be left out."""
FAST: Mapping[str, float] = {
    "backoff_base": 0.1,
    "unanswered_base": 0.05,
    "unanswered_cap": 0.5,
    "credentials_base": 0.1,
    "locate_delay": 0.3,
}
"""Seconds: what makes the executor patient in production is short here."""


_DAG_RUN = SimpleNamespace(start_date=None, dag_id="dag", run_id="manual__2026-01-01", queued_at=None)


def variables(options: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that set options of either section."""
    sections = {name: "AIRFLOW_ECS_EXECUTOR" if name in _OURS else "AWS_ECS_EXECUTOR" for name in options}
    return {f"AIRFLOW__{sections[name]}__{name.upper()}": value for name, value in options.items()}


def key(number: Any = 0, try_number: int = 1) -> TaskInstanceKey:
    """The key of a task instance."""
    return TaskInstanceKey(
        dag_id="dag", task_id=f"task-{number}", run_id="manual__2026-01-01", try_number=try_number, map_index=-1
    )


def task_workload(ti_key: TaskInstanceKey, executor_config: Any = None) -> Any:
    """What the scheduler of this Airflow hands to an executor to run a task."""
    if not airflow_versions.HAS_WORKLOADS:
        return ["airflow", "tasks", "run", ti_key.dag_id, ti_key.task_id, ti_key.run_id, "--local"]
    from airflow.executors import workloads

    ti_class = workloads.ExecuteTask.model_fields["ti"].annotation
    fields: dict[str, Any] = dict(
        id=uuid.uuid5(uuid.NAMESPACE_OID, str(ti_key)),
        dag_version_id=uuid.uuid5(uuid.NAMESPACE_OID, "dag"),
        task_id=ti_key.task_id,
        dag_id=ti_key.dag_id,
        run_id=ti_key.run_id,
        try_number=ti_key.try_number,
        map_index=ti_key.map_index,
        pool_slots=1,
        queue="default",
        priority_weight=1,
        executor_config=executor_config,
    )
    return workloads.ExecuteTask(
        ti=ti_class(**fields),
        dag_rel_path="dag.py",
        bundle_info=workloads.BundleInfo(name="dags-folder"),
        token="a-token",
        log_path="dag/task.log",
    )


class Scheduler:
    """An executor, driven as Airflow's scheduler drives it, with all that it reported."""

    living: ClassVar[list[Scheduler]] = []
    """Those that no test has ended: their threads would go on in the next test."""

    def __init__(self, start: bool = True, parallelism: int = 100, policy: Mapping[str, Any] = FAST, **options: str):
        """Configure by options of either section; ``policy`` replaces times that are no options."""
        self.options = {name: value for name, value in {**OPTIONS, **options}.items() if value != UNSET}
        self.executor = AwsEcsExecutor(parallelism=parallelism)
        self.events: list[tuple[TaskInstanceKey, str, Any]] = []
        self.notes: list[tuple[TaskInstanceKey, str]] = []
        self.beats: list[float] = []
        self.living.append(self)
        if start:
            self.start(policy)

    def start(self, policy: Mapping[str, Any] = FAST) -> None:
        """Start the executor with its options in the environment."""
        saved = dict(os.environ)
        try:
            os.environ.update(variables(self.options))
            self.executor.start()
        finally:
            os.environ.clear()
            os.environ.update(saved)
        self.executor._ledger.policy = dataclasses.replace(self.executor._ledger.policy, **policy)

    def queue(self, ti_key: TaskInstanceKey, executor_config: Any = None, priority: int = 1) -> None:
        """Queue a task as the scheduler does."""
        work = task_workload(ti_key, executor_config)
        if airflow_versions.HAS_WORKLOADS:
            self.executor.queue_workload(work, session=None)
        else:
            stub = SimpleNamespace(key=ti_key, executor_config=executor_config, dag_run=_DAG_RUN)
            self.executor.queue_command(stub, work, priority=priority, queue="default")  # type: ignore[arg-type]

    def beat(self) -> None:
        """One heartbeat, and the reading of what came of it."""
        started = time.monotonic()
        self.executor.heartbeat()
        self.beats.append(time.monotonic() - started)
        for ti_key, (state, info) in self.executor.get_event_buffer().items():
            self.events.append((ti_key, str(getattr(state, "value", state)), info))
        logs = self.executor._task_event_logs
        while logs:
            record = logs.popleft()
            self.notes.append((_key_of(record), f"{record.event}: {record.extra}"))

    def run(self, until: Callable[[], Any], timeout: float = 20.0, pause: float = 0.01) -> None:
        """Beat until a condition holds; fail when it does not within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while not until():
            assert time.monotonic() < deadline, f"not within {timeout} s; events: {self.events[-5:]}, {self.notes[-5:]}"
            self.beat()
            time.sleep(pause)

    def run_to_the_end(self, timeout: float = 20.0) -> None:
        """Beat until every slot is free."""
        self.run(lambda: not self.executor.queued_tasks and not self.executor.running, timeout)

    def for_a_while(self, seconds: float) -> None:
        """Beat for some time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.beat()
            time.sleep(0.01)

    def states(self, ti_key: TaskInstanceKey | None = None) -> list[str]:
        """The states reported for a task, or for all."""
        return [state for reported, state, _ in self.events if ti_key in (None, reported)]

    def ends(self) -> dict[TaskInstanceKey, list[str]]:
        """The final states reported, by task."""
        found: dict[TaskInstanceKey, list[str]] = {}
        for ti_key, state, _ in self.events:
            if state in ("success", "failed"):
                found.setdefault(ti_key, []).append(state)
        return found

    def die(self) -> None:
        """Be gone without a word, as a killed process is: nothing is stopped, nothing is said."""
        crew = self.executor._crew
        if crew is not None:
            crew.leave(timeout=2.0)
        self.executor._crew = None


def _key_of(record: Any) -> TaskInstanceKey:
    return TaskInstanceKey(
        dag_id=record.dag_id,
        task_id=record.task_id,
        run_id=getattr(record, "run_id", None) or "",
        try_number=getattr(record, "try_number", None) or 0,
        map_index=record.map_index if record.map_index is not None else -1,
    )
