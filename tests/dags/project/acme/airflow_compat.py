"""One place that knows where Airflow 2 and Airflow 3 keep what the DAGs use."""

from __future__ import annotations

try:
    from airflow.sdk import DAG, BaseOperator, dag, task
except ImportError:
    from airflow.decorators import dag, task
    from airflow.models.baseoperator import BaseOperator
    from airflow.models.dag import DAG

try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:
    from airflow.operators.bash import BashOperator

__all__ = ["DAG", "BaseOperator", "BashOperator", "dag", "task"]
