"""Airflow, executor, images and the local ECS together: real schedulers, PostgreSQL and containers.

One Airflow a session: ``pytest tests/e2e --airflow 3.3.2``. What takes minutes runs with ``--full`` alone.
"""
