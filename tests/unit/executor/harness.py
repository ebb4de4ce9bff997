"""A run of the executor on the ECS API of `local.ecs`, and the scheduler's part of the work. It needs no Airflow.

`tests/executor/harness.py` has the same scheduler with a whole executor inside Airflow.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from typing import Any, Callable, ClassVar, Mapping, NamedTuple, Sequence

from airflow_ecs_executor.airflow_side import QueuedWorkload
from airflow_ecs_executor.config.reader import read_settings
from airflow_ecs_executor.config.settings import Settings
from airflow_ecs_executor.image_check.comparison import Versions
from airflow_ecs_executor.launching.adoption import Orphan
from airflow_ecs_executor.launching.policy import Policy
from airflow_ecs_executor.run import Run

from local.ecs.control import EcsApi

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
    "image_version_check": "off",  # the images of these tasks are nowhere; test_run_images.py has some
}
UNSET = "<unset>"
"""The value of an option that is to be left out."""
FAST = Policy(
    backoff_base=0.1,
    unanswered_base=0.05,
    unanswered_cap=0.5,
    throttled_base=0.02,
    throttled_cap=0.5,
    room_base=0.1,
    room_cap=0.5,
    credentials_base=0.1,
    locate_delay=0.3,
    clock_skew=0.2,
    log_delays=(0.05, 0.1, 0.2),
    health_pause=0.02,
    terminate_timeout=5.0,
    leave_timeout=2.0,
)
"""What makes the executor patient in production is short here."""
VERSIONS = Versions("3.3.2", "3.12")


class Key(NamedTuple):
    """What tells a try of a task instance apart, with the names of Airflow's TaskInstanceKey."""

    dag_id: str
    task_id: str
    run_id: str
    try_number: int
    map_index: int


def key(number: Any = 0, try_number: int = 1) -> Key:
    return Key("dag", f"task-{number}", "manual__2026-01-01", try_number, -1)


def command(ti_key: Any) -> list[str]:
    """The command of a task instance, as Airflow 2 queues it."""
    return ["airflow", "tasks", "run", ti_key.dag_id, ti_key.task_id, ti_key.run_id, "--local"]


class Configuration:
    """Airflow's configuration, with options of the executor and nothing else."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = options

    def get(self, section: str, name: str, fallback: Any = None) -> Any:
        return self._options.get(name, fallback)


def settings_of(**options: str) -> Settings:
    """The settings of a run with these options beside those of every test."""
    return read_settings(Configuration({name: v for name, v in {**OPTIONS, **options}.items() if v != UNSET}), {})


class Figures:
    """Metrics that were sent."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.gauges: dict[str, list[float]] = {}
        self.timings: dict[str, list[float]] = {}

    def incr(self, name: str, count: int = 1) -> None:
        self.counters[name.rpartition(".")[2]] += count

    def gauge(self, name: str, value: float) -> None:
        self.gauges.setdefault(name.rpartition(".")[2], []).append(value)

    def timing(self, name: str, value: float) -> None:
        self.timings.setdefault(name.rpartition(".")[2], []).append(value)


class Airflow:
    """Airflow's side of a run: what its versions, its workloads and its database answer."""

    HAS_WORKLOADS = True

    def __init__(self) -> None:
        self.figures = Figures()
        self.runnable = True
        """What the database says of an interrupted task."""
        self.interrupted: list[Any] = []
        self.moved_on: set[Any] = set()
        """Keys of which there is nothing in the database any more."""
        self.renewed: list[Any] = []
        """Workloads that were given a new token."""
        self.more_arguments: list[str] = []
        """At the end of every command."""
        self.secret = ""
        self.options: dict[str, str] = {}
        """Of Airflow's own sections."""

    def versions(self) -> Versions:
        return VERSIONS

    def database_place(self) -> str:
        return "database:5432/airflow "

    def stats(self) -> Figures:
        return self.figures

    def configuration(self) -> Configuration:
        return Configuration(self.options)

    def command_of(self, workload: Any, generator: Any, renew_token: bool) -> list[str]:
        """A workload is its command here."""
        if renew_token:
            self.renewed.append(workload)
        return [*workload, *self.more_arguments]

    def load_workload(self, key: Any, generator: Any) -> QueuedWorkload | None:
        """What the database has of a task instance."""
        return None if key in self.moved_on else QueuedWorkload(key, command(key), None)

    def back_to_queued(self, key: Any) -> bool:
        """Whether an interrupted task instance may run again."""
        self.interrupted.append(key)
        return self.runnable

    def unwanted(self, keys: Sequence[Any]) -> set[Any]:
        """Which tasks the database has not got any more."""
        return self.moved_on.intersection(keys)

    def external_executor_id(self, ti: Any, try_number: int) -> str | None:
        found: str | None = ti.external_executor_id
        return found

    def redact(self, text: str) -> str:
        return text.replace(self.secret, "***") if self.secret else text


class Driver:
    """A scheduler: what it was told, and how it beats. How it drives an executor is another class's matter."""

    living: ClassVar[list[Driver]] = []
    """Those that no test has ended: their threads would go on in the next test."""
    queued_tasks: Any
    running: Any

    def __init__(self, options: Mapping[str, str]) -> None:
        """Nothing is started yet. ``options`` of either section, beside those of every test."""
        self.options = {name: value for name, value in {**OPTIONS, **options}.items() if value != UNSET}
        self.events: list[tuple[Any, str, Any]] = []
        self.notes: list[tuple[Any, str]] = []
        self.beats: list[float] = []
        self.living.append(self)

    def queue(self, ti_key: Any, executor_config: Any = None) -> None:
        raise NotImplementedError

    def queue_all(self, count: int) -> None:
        for number in range(count):
            self.queue(key(number))

    def heartbeat(self) -> None:
        """One heartbeat, and the reading of what came of it."""
        raise NotImplementedError

    def die(self) -> None:
        """Be gone without a word, as a killed process is: nothing is stopped, nothing is said."""
        raise NotImplementedError

    def beat(self) -> None:
        started = time.monotonic()
        self.heartbeat()
        self.beats.append(time.monotonic() - started)

    def run(self, until: Callable[[], Any], timeout: float = 20.0, pause: float = 0.01) -> None:
        """Beat until a condition holds; fail when it does not within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while not until():
            assert time.monotonic() < deadline, f"not within {timeout} s; events: {self.events[-5:]}, {self.notes[-5:]}"
            self.beat()
            time.sleep(pause)

    def run_to_the_end(self, timeout: float = 20.0) -> None:
        """Beat until every slot is free."""
        self.run(lambda: not self.queued_tasks and not self.running, timeout)

    def complete(self, *keys: Any, executor_config: Any = None) -> None:
        """Queue tasks (one, if none is named), and beat until every slot is free."""
        for ti_key in keys or [key()]:
            self.queue(ti_key, executor_config)
        self.run_to_the_end()

    def for_a_while(self, seconds: float) -> None:
        """Beat for some time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.beat()
            time.sleep(0.01)

    def states(self, ti_key: Any = None) -> list[str]:
        """The states reported for a task, or for all."""
        return [state for reported, state, _ in self.events if ti_key in (None, reported)]

    def arns(self) -> dict[Any, str]:
        """The containers reported, by task."""
        return {ti_key: info for ti_key, state, info in self.events if state == "running"}

    def ends(self) -> dict[Any, list[str]]:
        """The final states reported, by task."""
        found: dict[Any, list[str]] = {}
        for ti_key, state, _ in self.events:
            if state in ("success", "failed"):
                found.setdefault(ti_key, []).append(state)
        return found


class Scheduler(Driver):
    """A run of the executor, driven as Airflow's base class of executors drives it, with all that it reported."""

    def __init__(
        self,
        start: bool = True,
        parallelism: int = 100,
        policy: Policy = FAST,
        airflow: Airflow | None = None,
        **options: str,
    ) -> None:
        settings = settings_of(**options)
        super().__init__(options)
        self.parallelism = parallelism
        self.airflow = airflow or Airflow()
        self.queued_tasks: dict[Any, Any] = {}
        self.running: set[Any] = set()
        self.executor = Run(settings, self.airflow, self, policy)
        if start:
            self.executor.check()

    def queue(self, ti_key: Any, executor_config: Any = None) -> None:
        self.queued_tasks[ti_key] = executor_config

    def heartbeat(self) -> None:
        """Submit what there are slots for, and hear what has happened."""
        for ti_key in list(self.queued_tasks):
            if len(self.running) >= self.parallelism and ti_key not in self.running:
                break
            self.running.add(ti_key)
            self.executor.submit(QueuedWorkload(ti_key, command(ti_key), self.queued_tasks.pop(ti_key)))
        self.executor.sync()

    def adopt(self, *orphans: Orphan) -> list[Any]:
        """Offer task instances of a scheduler that is gone; returns the keys that are to be queued again."""
        left = self.executor.adopt(orphans)
        self.running.update(orphan.key for orphan in orphans if orphan.key not in left | set(self.queued_tasks))
        return sorted(left)

    def revoke(self, ti_key: Any) -> None:
        """Take a task back that was queued for too long."""
        self.queued_tasks.pop(ti_key, None)
        self.running.discard(ti_key)
        self.executor.revoke(ti_key)

    def die(self) -> None:
        """Be gone without a word, as a killed process is: nothing is stopped, nothing is said."""
        self.executor.leave()

    def change_state(self, ti_key: Any) -> None:
        """Take a task's end, of which the run itself tells, or Airflow when it misses a heartbeat."""
        self.running.discard(ti_key)
        self.executor.let_go(ti_key)

    # What the run reports to

    def running_state(self, ti_key: Any, info: Any) -> None:
        self.events.append((ti_key, "running", info))

    def success(self, ti_key: Any, info: Any) -> None:
        self.change_state(ti_key)
        self.events.append((ti_key, "success", info))

    def fail(self, ti_key: Any, info: Any) -> None:
        self.change_state(ti_key)
        self.events.append((ti_key, "failed", info))

    def log_task_event(self, *, event: str, extra: str, ti_key: Any) -> None:
        self.notes.append((ti_key, f"{event}: {extra}"))


def patient(**times: Any) -> Policy:
    """The policy of the tests, but for some times."""
    return dataclasses.replace(FAST, **times)


def launched(ecs: EcsApi, scheduler: Driver, count: int) -> dict[Any, str]:
    """Launch tasks that run until they are told to end; return their ARNs."""
    ecs.configure(run_seconds=None)
    for number in range(count):
        scheduler.queue(key(number))
    scheduler.run(lambda: ecs.running() == count and len(scheduler.states()) >= count)
    return scheduler.arns()


def finish_all(ecs: EcsApi) -> None:
    """End the containers that run, well."""
    for task in ecs.tasks(["arn", "lastStatus"]):
        if task["lastStatus"] == "RUNNING":
            ecs.finish(task["arn"])


def containers_at_once(tasks: list[dict[str, Any]]) -> int:
    """The most containers that one task instance ever had at the same time."""
    worst = 0
    by_identity: dict[str, list[dict[str, Any]]] = {}
    for task in tasks:
        by_identity.setdefault(task["environment"]["AIRFLOW_ECS_TASK_INSTANCE"], []).append(task)
    for group in by_identity.values():
        for task in group:
            alive = [
                other
                for other in group
                if other["createdAt"] <= task["createdAt"]
                and (other["containerEndedAt"] or other["stoppedAt"] or float("inf")) > task["createdAt"]
            ]
            worst = max(worst, len(alive))
    return worst


def deep(levels: int) -> dict[str, Any]:
    """An executor_config that is nested too deeply."""
    tree: dict[str, Any] = {}
    for _ in range(levels):
        tree = {"overrides": tree}
    return tree


class Hostile:
    """An object that resists every use."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("not to be copied")

    def __repr__(self) -> str:
        raise RuntimeError("not to be shown")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")

    __hash__ = None  # type: ignore[assignment]
