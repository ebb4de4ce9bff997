"""Container entrypoint for Apache Airflow tasks on Amazon ECS.

Reads its settings from the environment, loads DAGs from S3, and becomes the command. Airflow is imported only to run
a task, once the environment is what the task will see (`main`, `airflow_start`).
"""

__version__ = "0.1.0"
