"""The Amazon ECS API as the executor calls it, and the search for ECS tasks by identity.

The client does not retry: only the executor knows which requests may be sent again, when, and with which client token.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Callable, Iterable, Iterator, Mapping, NamedTuple, Sequence

from airflow_ecs_executor.aws.connection import ProcessClient
from airflow_ecs_executor.aws.errors import classify
from airflow_ecs_executor.aws.identity import identity_in

DESCRIBE_LIMIT = 100
"""ARNs in one DescribeTasks call (Amazon ECS API Reference, DescribeTasks)."""
_ARN = re.compile(r"arn:[\w-]+:ecs:[\w-]*:\d*:task/(?:(?P<cluster>[^/]+)/)?[\w-]+")
_REASON_LENGTH = 255
"""Characters of StopTask's reason (Amazon ECS API Reference, StopTask)."""


def is_task_arn(text: str | None) -> bool:
    """Return whether an external executor ID is the ARN of an ECS task, rather than another executor's."""
    return bool(text and _ARN.fullmatch(text))


class Described(NamedTuple):
    """The answer of DescribeTasks: the tasks by ARN, and the ARNs that it does not know."""

    tasks: dict[str, Mapping[str, Any]]
    missing: list[str]


class Ecs:
    """The ECS API of one cluster. Its methods raise what botocore raises."""

    def __init__(self, connect: Callable[[], Any], cluster: str) -> None:
        """Connect with the first call. ``connect`` creates a boto3 client, and is called again after ``renew``."""
        self._client = ProcessClient(connect)
        self.cluster = cluster

    def client(self) -> Any:
        """Return the client of this process."""
        return self._client.get()

    def renew(self) -> None:
        """Create a new client with the next call, because the credentials of this one have expired."""
        self._client.renew()

    def run_task(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call RunTask with a complete request, including the client token."""
        answer: Mapping[str, Any] = self.client().run_task(**request)
        return answer

    def describe(self, arns: Sequence[str]) -> Described:
        """Describe up to 100 tasks, each in the cluster of its ARN, which may be that of a former configuration."""
        tasks: dict[str, Mapping[str, Any]] = {}
        missing: list[str] = []
        for cluster, group in self._by_cluster(arns).items():
            try:
                answer = self.client().describe_tasks(cluster=cluster, tasks=group)
            except Exception as error:
                if cluster == self.cluster or classify(error).code != "ClusterNotFoundException":
                    raise
                answer = {}  # the cluster of a former configuration was deleted, and its tasks with it
            for task in answer.get("tasks") or ():
                tasks[task["taskArn"]] = task
            missing.extend(arn for arn in group if arn not in tasks)
        return Described(tasks, missing)

    def stop(self, arn: str, reason: str) -> None:
        """Stop a task."""
        cluster = next(iter(self._by_cluster([arn])))
        self.client().stop_task(cluster=cluster, task=arn, reason=reason[:_REASON_LENGTH])

    def default_capacity_providers(self) -> list[Mapping[str, Any]]:
        """Return the default capacity provider strategy of the cluster."""
        clusters = self.client().describe_clusters(clusters=[self.cluster]).get("clusters") or [{}]
        return list(clusters[0].get("defaultCapacityProviderStrategy") or [])

    def describe_definition(self, name: str) -> Mapping[str, Any]:
        """Describe a task definition: a family (the latest active revision), ``family:revision``, or an ARN."""
        answer = self.client().describe_task_definition(taskDefinition=name)
        found: Mapping[str, Any] = answer.get("taskDefinition") or {}
        return found

    def active_revisions(self, family: str) -> Iterator[str]:
        """Yield the ARNs of the active revisions of a family, newest first, page by page."""
        parameters = {"familyPrefix": family, "status": "ACTIVE", "sort": "DESC"}
        while True:
            answer = self.client().list_task_definitions(**parameters)
            yield from answer.get("taskDefinitionArns") or ()
            if not answer.get("nextToken"):
                return
            parameters["nextToken"] = answer["nextToken"]

    def list_running(self, started_by: str) -> list[str]:
        """List the tasks that a deployment started and that have not stopped, which is the default of ListTasks."""
        return self._list(startedBy=started_by)

    def list_stopped(self, started_by: str) -> list[str]:
        """List the stopped tasks that ECS still knows: those that a deployment started, or all of the cluster.

        "When you specify startedBy as the filter, it must be the only filter that you use" (Amazon ECS API Reference,
        ListTasks), but public code combines it with desiredStatus. If ECS refuses that, all tasks are listed.
        """
        try:
            return self._list(startedBy=started_by, desiredStatus="STOPPED")
        except Exception as error:
            if classify(error).code != "InvalidParameterException":
                raise
        return self._list(desiredStatus="STOPPED")

    def _list(self, **filters: str) -> list[str]:
        arns: list[str] = []
        parameters = {"cluster": self.cluster, **filters}
        while True:
            answer = self.client().list_tasks(**parameters)
            arns.extend(answer.get("taskArns") or ())
            if not answer.get("nextToken"):
                return arns
            parameters["nextToken"] = answer["nextToken"]

    def _by_cluster(self, arns: Iterable[str]) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        own = self.cluster.rpartition("/")[2]
        for arn in arns:
            match = _ARN.fullmatch(arn)
            name = match["cluster"] if match and match["cluster"] else own
            groups.setdefault(self.cluster if name == own else name, []).append(arn)
        return groups


class Sighting(NamedTuple):
    """An ECS task that was found by its identity."""

    arn: str
    task: Mapping[str, Any]


def describe_many(
    ecs: Ecs, arns: Sequence[str], concurrency: int, timeout: float
) -> tuple[dict[str, Mapping[str, Any]], list[str], BaseException | None]:
    """Describe any number of tasks concurrently, within ``timeout`` seconds.

    Return the tasks that ECS knows, by ARN; the ARNs that could not be described; and the first error.
    """
    tasks: dict[str, Mapping[str, Any]] = {}
    unknown: list[str] = []
    first_error: BaseException | None = None
    parts = [arns[start : start + DESCRIBE_LIMIT] for start in range(0, len(arns), DESCRIBE_LIMIT)]
    if not parts:
        return tasks, unknown, None
    pool = ThreadPoolExecutor(min(concurrency, len(parts)), thread_name_prefix="airflow-ecs-adopt")
    try:
        futures = {pool.submit(ecs.describe, part): part for part in parts}
        wait(futures, timeout=timeout)
        for future, part in futures.items():
            error: BaseException | None = TimeoutError("DescribeTasks did not answer in time")
            if future.done():
                error = future.exception()
            if error is None:
                tasks.update(future.result().tasks)
            else:
                future.cancel()
                unknown.extend(part)
                first_error = first_error or error
    finally:
        pool.shutdown(wait=False)
    return tasks, unknown, first_error


def find(
    ecs: Ecs, started_by: str, wanted: Mapping[str, float | None], concurrency: int, timeout: float
) -> dict[str, Sighting]:
    """Find ECS tasks of a deployment by identity, running or stopped. If there are several, the newest counts.

    ``wanted`` has, by identity, the time (seconds since the epoch) before which a task belongs to an earlier run of the
    same try, such as before a deferral; None for any time. An incomplete search must not look like nothing found: it
    raises TimeoutError, or what botocore raises.
    """
    found: dict[str, Sighting] = {}
    for listed in (ecs.list_running, ecs.list_stopped):
        left = {identity for identity in wanted if identity not in found}
        if not left:
            break
        arns = listed(started_by)
        tasks, unknown, error = describe_many(ecs, arns, concurrency, timeout)
        if unknown:
            raise error or TimeoutError("DescribeTasks did not answer in time")
        for arn, task in tasks.items():
            identity = identity_in(task)
            if identity is None or identity not in left or not is_of_this_run(task, identity, wanted[identity]):
                continue
            other = found.get(identity)
            if other is None or (_created_at(task) or 0.0) > (_created_at(other.task) or 0.0):
                found[identity] = Sighting(arn, task)
    return found


def _created_at(task: Mapping[str, Any]) -> float | None:
    """Return when a described task was created, in seconds since the epoch; None if ECS does not say."""
    moment: Any = task.get("createdAt")
    return float(moment.timestamp()) if hasattr(moment, "timestamp") else None


def is_of_this_run(task: Mapping[str, Any], identity: str, since: float | None) -> bool:
    """Return whether a described task belongs to this run of this try of a task instance.

    Airflow keeps the ARN of an earlier run or try until the new container is reported. A task without an identity was
    launched by another executor, so its ARN is trusted. If ECS does not say when the task was created, the identity
    decides.
    """
    found, created = identity_in(task), _created_at(task)
    return found in (None, identity) and (since is None or created is None or created >= since)
