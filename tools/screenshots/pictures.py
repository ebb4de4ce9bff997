"""Which pictures are taken: pages of Airflow's UI, and what has to be seen on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DAG_IDS = ("demo_fan_out", "demo_retries", "demo_memory")
"""The DAGs that have run before the pictures are taken."""
AWAITED = (("demo_retries", "fails_once", 2, "try 2 succeeds"),)
"""DAG, task, try, and the words that its log must have by then."""


@dataclass(frozen=True)
class Picture:
    """A page and how to bring it to where it shows something; the fields are those of `browser`."""

    file: str
    path: str
    wait_for: tuple[str, ...] = ()
    show: str = ""


def pictures(airflow: str, runs: Mapping[str, str]) -> list[Picture]:
    """The pictures of an Airflow (a version), whose runs have these ids."""
    return _of_airflow_2(runs) if airflow.startswith("2.") else _of_airflow_3(runs)


def _of_airflow_2(runs: Mapping[str, str]) -> list[Picture]:
    def grid(dag_id: str, task_id: str = "", tab: str = "") -> str:
        chosen = f"&task_id={task_id}" if task_id else ""
        return f"/dags/{dag_id}/grid?dag_run_id={runs[dag_id]}{chosen}&tab={tab}"

    return [
        Picture("airflow-2-mapped.png", grid("demo_fan_out", "count", "mapped_tasks"), ("Map Index",)),
        Picture("airflow-2-log.png", grid("demo_retries", "fails_once", "logs"), ("succeeds",), show="succeeds"),
        Picture("airflow-2-events.png", grid("demo_memory", "needs_more_memory", "event_log"), ("ecs container",)),
    ]


def _of_airflow_3(runs: Mapping[str, str]) -> list[Picture]:
    def run(dag_id: str, rest: str = "") -> str:
        return f"/dags/{dag_id}/runs/{runs[dag_id]}{rest}"

    return [
        Picture("airflow-3-grid.png", run("demo_retries"), ("fails_for_good",)),
        Picture("airflow-3-mapped.png", run("demo_fan_out", "/tasks/count/mapped"), ("Map Index",)),
        Picture("airflow-3-events.png", run("demo_memory", "/tasks/needs_more_memory/events"), ("ecs container",)),
    ]
