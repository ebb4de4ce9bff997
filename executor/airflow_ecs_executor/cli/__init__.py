"""The commands of ``python -m airflow_ecs_executor``."""
