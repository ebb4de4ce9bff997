"""Nothing that a DAG author writes, and nothing that AWS answers, raises through the scheduler's loop."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.ecs.control import EcsApi
from tests.unit.executor.harness import Scheduler, key

RUN_TASK_NAMES = (
    "overrides", "containerOverrides", "name", "command", "environment", "count", "cluster", "tags", "launchType",
    "networkConfiguration", "capacityProviderStrategy", "clientToken", "startedBy", "cpu", "memory", "value",
)  # fmt: skip
TROUBLES = (
    "throttle", "throttle_subnets", "lost_answer", "lost_request", "server_error", "unavailable",
    "expired_credentials", "denied", "no_capacity", "empty",
)  # fmt: skip
NAMES = st.sampled_from(sorted({*RUN_TASK_NAMES, "pod_override", "airflow", "sidecar"}))
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=3), NAMES
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(NAMES, inner, max_size=4),
        st.builds(
            lambda more: {"overrides": {"containerOverrides": [{"name": "airflow", **more}]}},
            st.dictionaries(NAMES.filter(lambda name: name != "name"), inner, max_size=2),
        ),
    ),
    max_leaves=8,
)
FAULTS = st.lists(
    st.tuples(
        st.sampled_from(["RunTask", "DescribeTasks", "StopTask", "ListTasks"]),
        st.sampled_from(TROUBLES),
        st.integers(1, 3),
    ),
    max_size=4,
)


def test_row_2_no_executor_config_whatever_raises_through_the_heartbeat(ecs: EcsApi) -> None:
    scheduler = Scheduler(check_health_on_startup="False", max_run_task_attempts="1", run_task_rate="1000")
    ecs.configure(run_seconds=0.0)
    count = 0

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(configs=st.lists(TREES, min_size=1, max_size=8), faults=FAULTS)
    def any_executor_config(configs: list[Any], faults: list[tuple[str, str, int]]) -> None:
        nonlocal count
        ecs.clear_faults()
        scheduler.events.clear()
        for operation, kind, times in faults:
            if kind in ("no_capacity", "throttle_subnets", "empty") and operation != "RunTask":
                continue
            ecs.fault(operation, kind, times=times)
        queued = []
        for config in configs:
            count += 1
            queued.append(key(count))
            scheduler.queue(key(count), config)
        scheduler.run_to_the_end(timeout=30)
        ends = scheduler.ends()
        assert set(ends) == set(queued) and all(len(states) == 1 for states in ends.values())

    any_executor_config()
