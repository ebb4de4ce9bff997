"""Task definitions whose containers log to CloudWatch, and where their lines are."""

from __future__ import annotations

from local.ecs.control import EcsApi
from tests.unit.executor.worker_images import register

GROUP = "/airflow/worker"
DENIED = "User: arn:aws:sts::1:assumed-role/role/x is not authorized to perform: {} on resource: y"
NO_TASK = "arn:aws:ecs:us-east-1:123456789012:task/airflow/" + "0" * 32
LOGS = {"awslogs-group": GROUP, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "task"}


def define(ecs: EcsApi, family: str = "worker", options: dict[str, str] | None = None, driver: str = "awslogs") -> None:
    """Register a task definition whose container logs."""
    register(ecs, family, "x", logConfiguration={"logDriver": driver, "options": options or LOGS})


def stream_of(arn: str) -> str:
    return "task/airflow/" + arn.rpartition("/")[2]
