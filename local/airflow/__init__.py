"""A whole Airflow whose tasks run on the local ECS."""
