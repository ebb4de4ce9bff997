"""The scenarios' DAGs: one task each, mapped as often as the environment says. No task of them is ever run here."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models.dag import DAG

for dag_id, size in json.loads(os.environ["SCENARIO_DAGS"]).items():
    with DAG(
        dag_id, schedule="@once", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), max_active_tasks=size
    ) as dag:

        @task
        def work(number: int) -> None:
            """Be queued; a simulated container takes it from there."""

        work.expand(number=list(range(size)))
    globals()[dag_id] = dag
