"""Container entrypoint for Apache Airflow tasks on Amazon ECS.

It reads its settings from the environment, syncs DAGs from S3 and replaces itself with the command. Airflow is imported
only to run a task, after the environment has been prepared as the task will see it (`main`, `starting.airflow_start`).
"""

__version__ = "0.1.0"
