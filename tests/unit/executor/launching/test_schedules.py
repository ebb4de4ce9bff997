"""Random schedules of faults, throttling and restarts, with a run of the executor on the ECS API over HTTP.

`test_ledger_properties.py` tries thousands of schedules against a model of ECS; here are a few
against ECS's own protocol, threads and all.
"""

from __future__ import annotations

import random
import time
from typing import Any

from airflow_ecs_executor.launching.adoption import Orphan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.ecs.control import EcsApi
from tests.unit.executor.harness import Scheduler, containers_at_once, key

FAULTS = (
    ("RunTask", "throttle", {}),
    ("RunTask", "throttle_subnets", {}),
    ("RunTask", "lost_answer", {}),
    ("RunTask", "lost_request", {}),
    ("RunTask", "server_error", {"carried_out": True}),
    ("RunTask", "server_error", {}),
    ("RunTask", "no_capacity", {}),
    ("RunTask", "eventual", {"seconds": 0.5}),
    ("RunTask", "latency", {"seconds": [0.0, 0.1]}),
    ("DescribeTasks", "throttle", {}),
    ("DescribeTasks", "lost_answer", {}),
    ("ListTasks", "throttle", {}),
    ("*", "expired_credentials", {}),
)
OPTIONS: Any = {
    "check_health_on_startup": "False",
    "run_task_rate": "300",
    "run_task_burst": "50",
    "max_run_task_attempts": "8",
    "parallelism": 25,
}


def test_every_task_ends_once_and_none_has_two_containers_whatever_happens(
    ecs: EcsApi,
) -> None:
    @settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
    @given(dice=st.randoms(use_true_random=False), restarts=st.integers(0, 2))
    def schedule(dice: random.Random, restarts: int) -> None:
        ecs.reset()
        ecs.configure(run_seconds=0.3, seed=dice.randint(0, 1 << 30))
        ecs.behave("task-3", times=1, never_starts="CannotPullContainerError: timeout")
        ecs.behave("task-5", exit_code=1)
        for operation, kind, details in dice.sample(FAULTS, 5):
            ecs.fault(operation, kind, probability=dice.choice([0.05, 0.2]), **details)
        scheduler = Scheduler(**OPTIONS)
        keys = [key(number) for number in range(25)]
        queued_at = time.time()
        for ti_key in keys:
            scheduler.queue(ti_key)
        ends: dict[object, list[str]] = {}
        for _ in range(restarts):
            scheduler.for_a_while(dice.uniform(0.05, 0.6))
            scheduler.die()
            time.sleep(0.6)  # a scheduler counts as dead after half a minute: by then ECS is consistent
            ends.update(scheduler.ends())
            saved = scheduler.arns()
            left = [ti_key for ti_key in keys if ti_key not in ends]
            successor = Scheduler(**OPTIONS)
            for ti_key in successor.adopt(*(Orphan(ti_key, saved.get(ti_key), queued_at, True) for ti_key in left)):
                successor.queue(ti_key)
            scheduler = successor
        if dice.random() < 0.5:
            ecs.clear_faults()
        scheduler.run_to_the_end(timeout=60)
        for ti_key, states in scheduler.ends().items():
            ends.setdefault(ti_key, []).extend(states)
        assert set(ends) == set(keys) and all(len(states) == 1 for states in ends.values())
        assert ends[key(5)] == ["failed"] and ends[key(0)] == ["success"], scheduler.notes
        assert containers_at_once(ecs.tasks()) == 1
        scheduler.die()

    schedule()
