"""The services beside Airflow: PostgreSQL, an S3, moto, an image registry, and the ECS API."""
