"""### A container without enough memory

`needs_more_memory` takes more than the 1 GiB that its `executor_config` asks for, and is killed. Its event log (Audit
Log) has ECS's reason, `OutOfMemoryError`, and what to do about it.

`afterwards` runs in any case (trigger rule `all_done`), so the run as a whole is a *success*.
"""

from __future__ import annotations

import datetime

from airflow_compat import TriggerRule, dag, task

SIZE = {"overrides": {"cpu": "512", "memory": "1024"}}
STEP = 100_000_000  # bytes


@dag(
    schedule=None,
    start_date=datetime.datetime(2024, 1, 1),
    catchup=False,
    doc_md=__doc__,
    tags=["demo"],
)
def demo_memory():
    """A task that runs out of memory, and one that runs all the same."""

    @task(executor_config=SIZE)
    def needs_more_memory() -> None:
        """Take memory until there is no more."""
        taken = []
        while True:
            taken.append(b"x" * STEP)
            print(f"{len(taken) * STEP // 1_000_000} MB taken", flush=True)

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def afterwards() -> None:
        """Run, whatever has happened."""
        print("all are done", flush=True)

    needs_more_memory() >> afterwards()


demo_memory()
