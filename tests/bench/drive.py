"""One executor in a process of its own, driven as Airflow's scheduler drives it.

It reads a command a line on stdin (JSON), and writes an answer a line on stdout.

Run by the Python of an environment with Airflow; it takes any executor by its name, so that every executor is measured
by the same code. The program at the other end has the ECS API; this one knows nothing of it.

    {"do": "start", "executor": "module:Class", "environment": {…}, "parallelism": 5000}
    {"do": "drive", "first": 0, "count": 1000, "until": "launched", "pause": 0.05, "timeout": 300}
    {"do": "adopt", "tasks": [[0, "arn:…"], …], "queued": 1767225600.0}
    {"do": "memory"}
"""

from __future__ import annotations

import ctypes
import datetime
import gc
import importlib
import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

_DAG, _TASK = "benchmark_dag", "transform_one_partition"
_RUN = "scheduled__2026-01-01T00:00:00+00:00"
_ENDS = ("success", "failed")


class TaskInstance:
    """What the scheduler's database row has that the executors read. Each has strings of its own, as rows have."""

    def __init__(self, number: int, arn: str | None = None, queued: float | None = None) -> None:
        """``number`` is the index among the mapped task instances of one task."""
        key_class = importlib.import_module("airflow.models.taskinstancekey").TaskInstanceKey
        self.id = uuid.uuid5(uuid.NAMESPACE_OID, str(number))
        self.dag_version_id = uuid.UUID(int=7)
        self.dag_id, self.task_id, self.run_id = (_own(text) for text in (_DAG, _TASK, _RUN))
        self.map_index = number
        self.try_number = 1
        self.pool_slots = 1
        self.priority_weight = 1
        self.queue = _own("default")
        self.executor_config: dict[str, Any] = {}
        self.context_carrier: dict[str, Any] = {}
        self.hostname = ""
        self.external_executor_id = arn
        self.state = "running" if arn else "queued"
        self.queued_dttm = None if queued is None else datetime.datetime.fromtimestamp(queued, datetime.timezone.utc)
        self.key = key_class(self.dag_id, self.task_id, self.run_id, self.try_number, number)

    @property
    def dag_model(self) -> Any:
        """Where the file of the DAG is."""
        return type("Dag", (), {"bundle_name": "dags-folder", "relative_fileloc": "team/benchmark_dag.py"})

    @property
    def dag_run(self) -> Any:
        """The version of its bundle."""
        return type("Run", (), {"bundle_version": None})


def _own(text: str) -> str:
    """A copy: equal, and in memory a second time."""
    return "".join(list(text))


class Driver:
    """The scheduler's part."""

    executor: Any

    def start(self, executor: str, environment: dict[str, str], parallelism: int) -> dict[str, Any]:
        """Make the executor and start it, as the scheduler does when it starts.

        The first heartbeat has nothing to do, as the scheduler's: Airflow itself reads its registry of metrics in it.
        """
        os.environ.update(environment)
        importlib.import_module("airflow.settings").initialize()
        module, _, name = executor.partition(":")
        self.executor = getattr(importlib.import_module(module), name)(parallelism=parallelism)
        self.executor.start()
        self.executor.heartbeat()
        version = importlib.import_module("importlib.metadata").version
        names = ("apache-airflow", "apache-airflow-providers-amazon", "airflow-ecs-executor", "boto3")
        return {"python": sys.version.split()[0], **{name: version(name) for name in names}}

    def drive(
        self, count: int = 0, first: int = 0, until: str = "", ends: int = 0, pause: float = 0.05, timeout: float = 60.0
    ) -> dict[str, Any]:
        """Queue ``count`` tasks at once and beat, until they are launched or ended, or ``ends`` tasks have ended.

        Answers the seconds of each heartbeat; what was heard, as (number, state, info, time) with the time since the
        epoch at which the scheduler knew; and the CPU time of this process.
        """
        workload = importlib.import_module("airflow.executors.workloads").ExecuteTask
        executor = self.executor
        queue = [
            workload.make(TaskInstance(number), generator=executor.jwt_generator)
            for number in range(first, first + count)
        ]
        gc.collect()
        started, cpu = time.time(), time.process_time()
        for item in queue:
            executor.queue_workload(item, session=None)
        del queue
        item = None
        beats: list[float] = []
        heard: list[tuple[int, str, str, float]] = []
        launched: set[int] = set()
        ended: set[int] = set()
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            before = time.perf_counter()
            executor.heartbeat()
            beats.append(time.perf_counter() - before)
            now = time.time()
            for key, (state, info) in executor.get_event_buffer().items():
                name = str(getattr(state, "value", state))
                heard.append((key.map_index, name, str(info), now))
                launched.add(key.map_index)  # one that has ended already counts as well
                if name in _ENDS:
                    ended.add(key.map_index)
            executor._task_event_logs.clear()  # the scheduler saves them in the database
            done = {"launched": len(launched) >= count, "ended": len(ended) >= count}.get(until, False)
            if done or (ends and len(ended) >= ends):
                break
            time.sleep(pause)
        return {
            "started": started,
            "seconds": time.time() - started,
            "cpu": time.process_time() - cpu,
            "beats": beats,
            "heard": heard,
        }

    def adopt(self, tasks: list[tuple[int, str | None]], queued: float) -> dict[str, Any]:
        """Offer task instances of a scheduler that is gone; answer the seconds, and how many were given back."""
        offered = [TaskInstance(number, arn, queued) for number, arn in tasks]
        before = time.perf_counter()
        refused = self.executor.try_adopt_task_instances(offered)
        return {"seconds": time.perf_counter() - before, "refused": len(refused)}

    def memory(self) -> dict[str, Any]:
        """This process's own memory in bytes, after the garbage and the free pages are returned."""
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
        private = [int(line.split()[1]) for line in lines if line.startswith("Private_")]
        return {"bytes": sum(private) * 1024}


def main() -> None:
    """Answer commands until there are no more. An error ends the process; it is told on stderr."""
    # What Airflow and libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    driver = Driver()
    for line in sys.stdin:
        arguments = json.loads(line)
        answer = getattr(driver, arguments.pop("do"))(**arguments)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # a scheduler that is killed: nothing is waited for


if __name__ == "__main__":
    main()
