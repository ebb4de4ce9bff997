"""Many equal tasks: as many as the run's configuration says, which wait for a sign where it says so."""

from __future__ import annotations

import datetime

from airflow_compat import dag, get_current_context, task
from e2e_sign import wait_for_sign


def configured(name, default):
    """A value of the run's configuration."""
    return (get_current_context()["dag_run"].conf or {}).get(name, default)


@dag(schedule=None, start_date=datetime.datetime(2024, 1, 1), catchup=False, max_active_tasks=300)
def e2e_many():
    """Numbers, a task for each, and their sum."""

    @task
    def numbers() -> list:
        """As many as there are to be tasks."""
        return list(range(int(configured("count", 3))))

    @task
    def work(number: int) -> int:
        """Return the number, in its time."""
        print(f"number {number} is at work", flush=True)
        if configured("wait", False):
            wait_for_sign(get_current_context()["run_id"])
        return number

    @task
    def total(found) -> int:
        """Miss none."""
        return sum(found)

    total(work.expand(number=numbers()))


e2e_many()
