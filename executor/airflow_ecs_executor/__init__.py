"""Executor for Apache Airflow: every task in a container of its own on Amazon ECS.

The executor is imported when it is asked for: every Airflow process loads this package for its provider information,
and should pay for neither Airflow's executors nor boto3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_ecs_executor.executor import AwsEcsExecutor

__all__ = ["AwsEcsExecutor", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import the executor on first use."""
    if name == "AwsEcsExecutor":
        from airflow_ecs_executor.executor import AwsEcsExecutor

        return AwsEcsExecutor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
