"""### A container of another size

`measure` asks for 2 vCPU and 4 GiB by its `executor_config`, then asks ECS's task metadata endpoint what its container
got, and returns it. It fails where it does not run on ECS, or got anything else.
"""

from __future__ import annotations

import datetime
import json
import os
import urllib.request

from airflow_compat import dag, task

VCPUS = 2
MEMORY_MIB = 4096
SIZE = {"overrides": {"cpu": str(VCPUS * 1024), "memory": str(MEMORY_MIB)}}


@dag(
    schedule=None,
    start_date=datetime.datetime(2024, 1, 1),
    catchup=False,
    doc_md=__doc__,
    tags=["demo"],
)
def demo_sizes():
    """One task, larger than the task definition has it."""

    @task(executor_config=SIZE)
    def measure() -> dict:
        """Return the limits of this task: `{"CPU": vCPUs, "Memory": MiB}`."""
        endpoint = os.environ.get("ECS_CONTAINER_METADATA_URI_V4")
        if not endpoint:
            raise RuntimeError("ECS_CONTAINER_METADATA_URI_V4 is not set: this container does not run on ECS")
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{endpoint}/task", timeout=10) as answer:
            limits = json.load(answer).get("Limits") or {}
        print(f"ECS says: {limits}", flush=True)
        if (limits.get("CPU"), limits.get("Memory")) != (VCPUS, MEMORY_MIB):
            raise RuntimeError(f"asked for {VCPUS} vCPU and {MEMORY_MIB} MiB, but the limits are {limits}")
        return limits

    measure()


demo_sizes()
