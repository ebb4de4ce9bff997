"""Executor for Apache Airflow that runs every task in its own container on Amazon ECS.

The executor is imported on first use: every Airflow process loads this package for its provider information, and must
not import Airflow's executors or boto3 for it.
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
