"""Container entrypoint for Apache Airflow tasks on Amazon ECS.

Reads its settings from the environment, loads DAGs from S3, and replaces itself with the command.
It never imports Airflow: what the command sees is decided before Airflow's first import.
"""

__version__ = "0.1.0"
