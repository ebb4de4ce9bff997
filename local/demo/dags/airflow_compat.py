"""One place that knows where Airflow 2 and Airflow 3 keep what the demo's DAGs use."""

from __future__ import annotations

try:
    from airflow.sdk import TriggerRule, dag, get_current_context, task
except ImportError:
    from airflow.decorators import dag, task
    from airflow.operators.python import get_current_context
    from airflow.utils.trigger_rule import TriggerRule

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.sensors.date_time import DateTimeSensor, DateTimeSensorAsync
except ImportError:
    from airflow.operators.bash import BashOperator
    from airflow.sensors.date_time import DateTimeSensor, DateTimeSensorAsync

__all__ = [
    "BashOperator",
    "DateTimeSensor",
    "DateTimeSensorAsync",
    "TriggerRule",
    "dag",
    "get_current_context",
    "task",
]
