"""Airflow, executor, images and the local ECS together: real schedulers, PostgreSQL and containers.

They run on the newest Airflow 2 and 3, or on those that ``--airflow`` names. What takes minutes runs with ``--full``.
"""
