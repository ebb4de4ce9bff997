"""### One container for each partition

`partitions` says how many there are; `count` runs once for each of them, all at the same time, in containers of their
own; `total` adds up what they found. Values go from container to container by XCom.

Trigger it with `{"partitions": 3}` for another number than 8.
"""

from __future__ import annotations

import datetime

from airflow_compat import dag, get_current_context, task

PARTITIONS = 8


@dag(
    schedule=None,
    start_date=datetime.datetime(2024, 1, 1),
    catchup=False,
    doc_md=__doc__,
    tags=["demo"],
)
def demo_fan_out():
    """Count the words of each partition, then all."""

    @task
    def partitions() -> list:
        """The partitions' numbers: as many as the run's configuration says."""
        wanted = int((get_current_context()["dag_run"].conf or {}).get("partitions", PARTITIONS))
        return list(range(wanted))

    @task
    def count(partition: int) -> int:
        """Pretend to read a partition."""
        words = (partition + 1) * 100
        print(f"partition {partition}: {words} words", flush=True)
        return words

    @task
    def total(words) -> int:
        """Add up."""
        found = sum(words)
        print(f"{found} words in all", flush=True)
        return found

    total(count.expand(partition=partitions()))


demo_fan_out()
