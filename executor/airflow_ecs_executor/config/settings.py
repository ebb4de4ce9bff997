"""The executor's settings: one frozen object, made by `reader`. Pure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Mapping, Sequence

from airflow_ecs_executor.aws.run_task import all_fargate, canonical, drop_fargate_only
from airflow_ecs_executor.config import options


@dataclass(frozen=True)
class Settings:
    """The executor's settings, checked. The attributes without a description are options."""

    team: str | None
    """The team of Airflow's multi-team mode; None for all."""
    cluster: str
    container_name: str
    region_name: str | None
    conn_id: str | None
    """The Airflow connection; None if boto3 finds the credentials."""
    conn_id_named: bool
    """Whether a user, rather than a default, named the connection."""
    check_health_on_startup: bool
    max_run_task_attempts: int
    run_task: Mapping[str, Any] = field(hash=False)
    """The request that all launches start from, with an override entry of our container. It must not be changed at any
    depth."""
    use_cluster_default: bool
    """Whether the cluster's default capacity provider strategy is still to be given to `with_cluster_default`."""
    fargate: bool
    """Whether a launch runs on Fargate, unless its ``executor_config`` says otherwise."""
    fargate_only: Mapping[str, str] = field(hash=False)
    """What was removed from ``run_task`` if it does not."""
    run_task_rate: float
    run_task_burst: int
    launch_concurrency: int
    describe_tasks_rate: float
    poll_interval: float
    missing_grace_period: float
    adoption_timeout: float
    spot_interruptions: str
    max_spot_relaunches: int
    launch_wait_limit: float | None
    deployment: str | None
    task_instance_tags: bool
    image_version_check: str
    workload_s3_uri: str | None
    workload_s3_use: str
    workload_s3_kms_key: str | None
    container_log_lines: int
    warnings: tuple[str, ...]

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that every launch adds to the environment of our container, without ``executor_config``."""
        containers = self.run_task["overrides"]["containerOverrides"]
        ours = next(item for item in containers if item["name"] == self.container_name)
        return {item["name"]: item.get("value", "") for item in ours.get("environment", ())}


def with_cluster_default(settings: Settings, default_strategy: Sequence[Mapping[str, Any]]) -> Settings:
    """Return the settings with a capacity, if neither launch type nor strategy is configured.

    ``default_strategy`` is the cluster's ``defaultCapacityProviderStrategy``. If there is one, ECS applies it to
    requests that name neither; if it is empty, the launch type is FARGATE.
    """
    if not settings.use_cluster_default:
        return settings
    request = dict(canonical(dict(settings.run_task)))
    warnings = settings.warnings
    if not default_strategy:
        request["launchType"] = "FARGATE"
        warnings += tuple(network_warnings(request, settings.team))
    fargate = all_fargate(default_strategy)
    dropped = {} if fargate else drop_fargate_only(request)
    return dataclasses.replace(
        settings,
        run_task=MappingProxyType(request),
        use_cluster_default=False,
        fargate=fargate,
        fargate_only=MappingProxyType(dropped),
        warnings=warnings,
    )


def network_warnings(request: Mapping[str, Any], team: str | None) -> list[str]:
    """Return a warning if a request for Fargate names no subnets."""
    if "networkConfiguration" in request:
        return []
    return [
        f"{options.SUBNETS} is not set. Fargate requires subnets, so every task needs a networkConfiguration in its "
        f"executor_config ({options.SUBNETS.variable(team)})"
    ]
