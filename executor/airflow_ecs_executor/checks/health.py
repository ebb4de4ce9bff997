"""The check before the scheduler starts: it reports everything that is wrong with ECS at once, each with its remedy.

It requires only the permissions that running tasks requires. A check of the cluster and of the task definition also
requires ``ecs:DescribeClusters`` and ``ecs:DescribeTaskDefinition``; without them, a warning says what was not checked.
"""

from __future__ import annotations

import logging
import re
import time
from typing import Any, Callable, Mapping

from airflow_ecs_executor.aws.connection import ConnectionNotUsableError
from airflow_ecs_executor.aws.ecs import Ecs
from airflow_ecs_executor.aws.errors import ApiError, ErrorKind, classify
from airflow_ecs_executor.aws.task_definition import describable, read_definition
from airflow_ecs_executor.aws.workload_store import WorkloadStore
from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.options import Option
from airflow_ecs_executor.config.settings import Settings

log = logging.getLogger("airflow_ecs_executor")

_NO_SUCH_TASK = "a" * 32
_TRIES = 4
_WORTH_A_RETRY = (ErrorKind.THROTTLED, ErrorKind.OUTCOME_UNKNOWN, ErrorKind.SERVER)


class HealthCheckError(Exception):
    """The executor cannot use ECS as it is configured; the message says why, and what to do."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join("  - " + problem.replace("\n", "\n    ") for problem in problems)
        super().__init__(f"The ECS executor cannot start:\n{lines}")


class _FinalError(Exception):
    """A problem that makes the other checks pointless."""


def check(ecs: Ecs, settings: Settings, store: WorkloadStore | None, pause: float = 1.0) -> None:
    """Try the calls that running tasks requires, and log what could not be checked.

    A defect of a check does not keep the scheduler from starting: it is logged, and the remaining checks are skipped.
    ``pause`` is the time in seconds before a throttled or unanswered call is repeated, doubled each time.
    Raises HealthCheckError, which has all problems.
    """
    checks = _Checks(ecs, settings, pause)
    try:
        checks.run(store)
    except _FinalError as final:
        checks.problems.append(str(final))
    except Exception as exception:  # noqa: BLE001 - classify logs it with its traceback
        log.warning("The rest of the ECS executor's health check was skipped. %s", classify(exception).reason)
    else:
        if not checks.problems:
            name = settings.run_task["taskDefinition"]
            log.info("The ECS executor is ready: cluster %s, task definition %s", ecs.cluster, name)
    if checks.problems:
        raise HealthCheckError(list(dict.fromkeys(checks.problems)))


class _Checks:
    """The checks of one start; ``problems`` is what they found."""

    def __init__(self, ecs: Ecs, settings: Settings, pause: float) -> None:
        self.problems: list[str] = []
        self._ecs = ecs
        self._settings = settings
        self._pause = pause

    def run(self, store: WorkloadStore | None) -> None:
        client = self._client()
        # StopTask takes "the full Amazon Resource Name (ARN) of the task" (Amazon ECS API Reference); it has taken IDs.
        cluster = self._check_cluster(client)
        task = cluster.replace(":cluster/", ":task/") + f"/{_NO_SUCH_TASK}" if cluster else _NO_SUCH_TASK
        self._ask(lambda: client.describe_tasks(cluster=self._ecs.cluster, tasks=[task]))
        self._ask(lambda: client.stop_task(cluster=self._ecs.cluster, task=task))
        self._check_task_definition()
        if store is not None:
            self._check_store(store)

    def _variable(self, option: Option) -> str:
        return option.variable(self._settings.team)

    def _client(self) -> Any:
        try:
            return self._ecs.client()
        except ConnectionNotUsableError as unusable:
            raise _FinalError(str(unusable)) from None
        except Exception as exception:
            error = classify(exception)
            if error.defect:
                raise
            if error.code == "NoRegionError":
                variable = self._variable(options.REGION_NAME)
                raise _FinalError(f"No AWS region is configured. Set {variable}, for example to eu-west-1.") from None
            if error.kind is ErrorKind.CREDENTIALS:
                raise _FinalError(self._no_credentials(error)) from None
            raise _FinalError(f"No ECS client could be created. {error.reason}") from None

    def _ask(self, call: Callable[[], Mapping[str, Any]], optional: str | None = None) -> Mapping[str, Any] | None:
        """Make a call, and note what is wrong. ``optional`` says what is not checked if the call is denied."""
        attempt = 0
        while True:
            try:
                return call()
            except Exception as exception:
                error = classify(exception)
                if error.defect:
                    raise
            attempt += 1
            if error.kind not in _WORTH_A_RETRY or attempt == _TRIES:
                break
            time.sleep(self._pause * 2.0 ** (attempt - 1))
        if error.code == "InvalidParameterException" and re.search("not found|Amazon Resource Name", error.reason):
            return None  # the answer of StopTask that shows that the call is permitted
        if error.kind is ErrorKind.CREDENTIALS:
            raise _FinalError(self._no_credentials(error))
        if error.kind is ErrorKind.OUTCOME_UNKNOWN:
            raise _FinalError(
                f"ECS does not answer: {error.reason}. Check the region, the endpoint, and the network (NAT gateway, "
                "VPC endpoint com.amazonaws.REGION.ecs, proxy)."
            )
        if error.code == "ClusterNotFoundException":
            raise _FinalError(self._no_cluster())
        if error.kind in (ErrorKind.THROTTLED, ErrorKind.SERVER):
            log.warning("Part of the ECS executor's health check was not possible: %s", error.reason)
        elif not error.denied:
            self.problems.append(error.reason)
        elif optional:
            action = error.action or "the action"
            log.warning("Not checked: %s. Allow %s to have it checked. %s", optional, action, error.reason)
        else:
            action = error.action or "the action"
            self.problems.append(f"The scheduler's role may not {action}: allow it in its IAM policy. {error.reason}")
        return None

    def _check_cluster(self, client: Any) -> str:
        """Return the cluster's ARN, or an empty string if it is not known."""
        name = self._settings.cluster
        answer = self._ask(lambda: client.describe_clusters(clusters=[name]), "the state of the cluster")
        if answer is None:
            return name if name.startswith("arn:") else ""
        clusters = answer.get("clusters") or []
        if not clusters:
            raise _FinalError(self._no_cluster())
        status = clusters[0].get("status")
        if status != "ACTIVE":
            raise _FinalError(
                f"The cluster {name!r} is {status}: create it again (aws ecs create-cluster --cluster-name {name}), or "
                f"set {self._variable(options.CLUSTER)} to another one."
            )
        return str(clusters[0].get("clusterArn") or "")

    def _check_task_definition(self) -> None:
        name = describable(str(self._settings.run_task["taskDefinition"]))
        variable, known = self._variable(options.TASK_DEFINITION), len(self.problems)
        answer = self._ask(lambda: self._ecs.describe_definition(name), "the task definition and its container")
        if answer is None:
            if len(self.problems) > known:
                self.problems[-1] = (
                    f"The task definition {name!r} cannot be described: register it (aws ecs "
                    f"register-task-definition), or correct {variable}. {self.problems[-1]}"
                )
            return
        container_name = self._settings.container_name
        definition = read_definition(answer, container_name)
        if definition.status != "ACTIVE":
            self.problems.append(
                f"The task definition {name!r} is {definition.status}: register a new revision, and omit the revision "
                f"in {variable} to run the latest one."
            )
        if definition.containers and container_name not in definition.containers:
            self.problems.append(
                f"The task definition {name!r} has no container {container_name!r}; it has "
                f"{', '.join(definition.containers)}. Correct {self._variable(options.CONTAINER_NAME)}."
            )

    def _check_store(self, store: WorkloadStore) -> None:
        uri = self._settings.workload_s3_uri
        try:
            store.try_out()
        except Exception as exception:
            error = classify(exception)
            if error.defect:
                raise
            if error.kind is not ErrorKind.PERMANENT:
                log.warning("Not checked: workloads in %s. %s", uri, error.reason)
            elif error.action == "s3:DeleteObject":
                log.warning(
                    "Workloads that no container has read cannot be deleted: allow s3:DeleteObject. %s", error.reason
                )
            else:
                self.problems.append(
                    f"Workloads cannot be stored in {uri}: allow the scheduler's role "
                    f"{error.action or 's3:PutObject'} there, or correct {self._variable(options.WORKLOAD_S3_URI)}. "
                    f"{error.reason}"
                )

    def _no_cluster(self) -> str:
        name = self._settings.cluster
        return (
            f"There is no cluster {name!r} in {self._settings.region_name or 'this region'}: create it (aws ecs "
            f"create-cluster --cluster-name {name}), or correct {self._variable(options.CLUSTER)} and "
            f"{self._variable(options.REGION_NAME)}."
        )

    def _no_credentials(self, error: ApiError) -> str:
        return (
            "There are no valid AWS credentials: give the scheduler a role (ECS task role, EC2 instance profile, "
            f"IRSA), or name an AWS connection in {self._variable(options.AWS_CONN_ID)}. {error.reason}"
        )
