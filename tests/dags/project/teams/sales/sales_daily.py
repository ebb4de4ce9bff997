"""A DAG in a subfolder, with operators instead of decorators and a template."""

from __future__ import annotations

import datetime

from acme.airflow_compat import DAG, BashOperator

with DAG(
    dag_id="sales_daily",
    schedule=None,
    start_date=datetime.datetime(2024, 1, 1),
    catchup=False,
    tags=["project"],
):
    BashOperator(task_id="greet", bash_command="echo 'run {{ run_id }} of {{ dag.dag_id }}'")
