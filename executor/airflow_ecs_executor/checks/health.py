"""The check before the scheduler starts: everything about ECS that is wrong is said at once, with its remedy.

It needs no permission but those for running tasks. A look at the cluster and at the task definition needs
``ecs:DescribeClusters`` and ``ecs:DescribeTaskDefinition``; without them a warning says what was not checked.
"""

from __future__ import annotations

import logging
import re
import time
from functools import partial
from typing import Any, Callable, Mapping

from airflow_ecs_executor.aws.connection import ConnectionNotUsableError
from airflow_ecs_executor.aws.ecs import Ecs
from airflow_ecs_executor.aws.errors import ApiError, ErrorKind, classify
from airflow_ecs_executor.aws.task_definition import describable, read_definition
from airflow_ecs_executor.aws.workload_store import WorkloadStore
from airflow_ecs_executor.config.settings import Settings
from airflow_ecs_executor.launching.ledger import Policy

log = logging.getLogger("airflow_ecs_executor")

_NO_SUCH_TASK = "a" * 32
_TRIES = 4
_WORTH_A_RETRY = (ErrorKind.THROTTLED, ErrorKind.OUTCOME_UNKNOWN, ErrorKind.SERVER)


class HealthCheckError(Exception):
    """ECS cannot be used as it is configured; the message says why, and what to do."""

    def __init__(self, problems: list[str]) -> None:
        """Keep the problems, and make one message of them."""
        self.problems = problems
        lines = "\n".join("  - " + problem.replace("\n", "\n    ") for problem in problems)
        super().__init__(f"The ECS executor cannot start:\n{lines}")


class _Final(Exception):
    """A problem that makes the other checks pointless."""


def check(ecs: Ecs, settings: Settings, store: WorkloadStore | None, pause: float = Policy.health_pause) -> None:
    """Try the calls that running tasks needs. Raises HealthCheckError; logs what could not be checked.

    ``pause`` is that before a throttled or unanswered call is made again, doubled each time.
    """
    problems: list[str] = []
    ask = partial(_ask, problems, settings, pause)
    try:
        client = _client(ecs)
        # StopTask takes "the full Amazon Resource Name (ARN) of the task" (Amazon ECS API Reference); it has taken IDs.
        cluster = _check_cluster(client, ask, settings)
        task = cluster.replace(":cluster/", ":task/") + f"/{_NO_SUCH_TASK}" if cluster else _NO_SUCH_TASK
        ask(lambda: client.describe_tasks(cluster=ecs.cluster, tasks=[task]))
        ask(lambda: client.stop_task(cluster=ecs.cluster, task=task))
        _check_task_definition(ecs, ask, problems, settings)
        if store is not None:
            _check_store(store, problems, settings)
    except _Final as final:
        problems.append(str(final))
    if problems:
        raise HealthCheckError(list(dict.fromkeys(problems)))
    definition = settings.run_task["taskDefinition"]
    log.info("The ECS executor is ready: cluster %s, task definition %s", ecs.cluster, definition)


def _client(ecs: Ecs) -> Any:
    try:
        return ecs.client()
    except ConnectionNotUsableError as unusable:
        raise _Final(str(unusable)) from None
    except Exception as exception:
        if type(exception).__name__ == "NoRegionError" or "region" in str(exception).lower():
            raise _Final(
                "No AWS region is configured. Set AIRFLOW__AWS_ECS_EXECUTOR__REGION_NAME, for example to eu-west-1."
            ) from None
        error = classify(exception)
        if error.kind is ErrorKind.CREDENTIALS:
            raise _Final(_no_credentials(error)) from None
        raise _Final(f"No client of ECS could be made. {error.reason}") from None


def _ask(
    problems: list[str],
    settings: Settings,
    pause: float,
    call: Callable[[], Mapping[str, Any]],
    optional: str | None = None,
) -> Mapping[str, Any] | None:
    """Make a call; note what is wrong. ``optional`` says what is left unchecked when the call is denied."""
    error: ApiError | None = None
    for attempt in range(_TRIES):
        try:
            return call()
        except Exception as exception:
            error = classify(exception)
        if (
            error.kind not in (ErrorKind.THROTTLED, ErrorKind.OUTCOME_UNKNOWN, ErrorKind.SERVER)
            or attempt == _TRIES - 1
        ):
            break
        time.sleep(pause * 2.0**attempt)
    assert error is not None
    if error.code == "InvalidParameterException" and re.search("not found|Amazon Resource Name", error.reason):
        return None  # StopTask: the answer that shows that everything is well
    if error.kind is ErrorKind.CREDENTIALS:
        raise _Final(_no_credentials(error))
    if error.kind is ErrorKind.OUTCOME_UNKNOWN:
        raise _Final(
            f"ECS does not answer: {error.reason}. Check the region, the endpoint, and the network (NAT gateway, VPC "
            "endpoint com.amazonaws.REGION.ecs, proxy)."
        )
    if error.kind in (ErrorKind.THROTTLED, ErrorKind.SERVER):
        log.warning("Part of the ECS executor's health check was not possible: %s", error.reason)
    elif error.code == "ClusterNotFoundException":
        raise _Final(_no_cluster(settings))
    elif error.denied:
        action = error.action or "the action"
        if optional:
            log.warning("Not checked: %s. Allow %s to have it checked. %s", optional, action, error.reason)
        else:
            problems.append(f"The scheduler's role may not {action}: allow it in its IAM policy. {error.reason}")
    else:
        problems.append(error.reason)
    return None


def _check_cluster(client: Any, ask: Callable[..., Any], settings: Settings) -> str:
    """Return the cluster's ARN, or an empty string when it is not known."""
    answer = ask(lambda: client.describe_clusters(clusters=[settings.cluster]), "the cluster's state")
    if answer is None:
        return settings.cluster if settings.cluster.startswith("arn:") else ""
    clusters = answer.get("clusters") or []
    if not clusters:
        raise _Final(_no_cluster(settings))
    status = clusters[0].get("status")
    if status != "ACTIVE":
        raise _Final(
            f"The cluster {settings.cluster!r} is {status}: create it anew (aws ecs create-cluster --cluster-name "
            f"{settings.cluster}), or name another in AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER."
        )
    return str(clusters[0].get("clusterArn") or "")


def _check_task_definition(ecs: Ecs, ask: Callable[..., Any], problems: list[str], settings: Settings) -> None:
    name = describable(str(settings.run_task["taskDefinition"]))
    known = len(problems)
    answer = ask(lambda: ecs.describe_definition(name), "the task definition and its container")
    if answer is None:
        if len(problems) > known:
            problems[-1] = (
                f"The task definition {name!r} cannot be described: register it (aws ecs register-task-definition), or "
                f"correct AIRFLOW__AWS_ECS_EXECUTOR__TASK_DEFINITION. {problems[-1]}"
            )
        return
    definition = read_definition(answer, settings.container_name)
    if definition.status != "ACTIVE":
        problems.append(
            f"The task definition {name!r} is {definition.status}: register a new revision, and leave the "
            "revision out of AIRFLOW__AWS_ECS_EXECUTOR__TASK_DEFINITION to have the latest one run."
        )
    if definition.containers and settings.container_name not in definition.containers:
        problems.append(
            f"The task definition {name!r} has no container {settings.container_name!r}; it has "
            f"{', '.join(definition.containers)}. Correct AIRFLOW__AWS_ECS_EXECUTOR__CONTAINER_NAME."
        )


def _check_store(store: WorkloadStore, problems: list[str], settings: Settings) -> None:
    try:
        store.try_out()
    except Exception as exception:
        error = classify(exception)
        if error.kind is not ErrorKind.PERMANENT:
            log.warning("Not checked: workloads in %s. %s", settings.workload_s3_uri, error.reason)
        elif error.action == "s3:DeleteObject":
            log.warning("Workloads that no container has read will stay: allow s3:DeleteObject. %s", error.reason)
        else:
            problems.append(
                f"Workloads cannot be stored in {settings.workload_s3_uri}: allow the scheduler's role "
                f"{error.action or 's3:PutObject'} there, or correct AIRFLOW__AIRFLOW_ECS_EXECUTOR__WORKLOAD_S3_URI. "
                f"{error.reason}"
            )


def _no_cluster(settings: Settings) -> str:
    return (
        f"There is no cluster {settings.cluster!r} in {settings.region_name or 'this region'}: create it (aws ecs "
        f"create-cluster --cluster-name {settings.cluster}), or correct AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER and "
        "AIRFLOW__AWS_ECS_EXECUTOR__REGION_NAME."
    )


def _no_credentials(error: ApiError) -> str:
    return (
        "There are no valid AWS credentials: give the scheduler a role (ECS task role, EC2 instance profile, IRSA), or "
        f"an AWS connection named in AIRFLOW__AWS_ECS_EXECUTOR__AWS_CONN_ID. {error.reason}"
    )
