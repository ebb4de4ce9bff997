"""Tasks that say when they began: one alone, and many at once."""

from __future__ import annotations

import datetime
import time

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task

SETTINGS = {"schedule": None, "start_date": datetime.datetime(2024, 1, 1), "catchup": False}


@dag(**SETTINGS)
def bench_one():
    """A task alone."""

    @task
    def work() -> float:
        """The time of day."""
        return time.time()

    work()


def many(count: int) -> None:
    """Make a DAG of so many tasks that wait for nothing."""

    @dag(dag_id=f"bench_{count}", max_active_tasks=count, **SETTINGS)
    def bench_many():
        """Mapped over numbers that are there from the beginning: all can be queued at once."""

        @task
        def work(number: int) -> float:
            """The time of day."""
            return time.time()

        work.expand(number=list(range(count)))

    bench_many()


bench_one()
for size in (5, 25, 100):
    many(size)
