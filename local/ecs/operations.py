"""The operations of the API: from a checked request to the JSON of the answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from local.ecs import rules, strictness
from local.ecs.answers import refusal
from local.ecs.capacity import Capacity
from local.ecs.ends import ENDS
from local.ecs.errors import ApiError, client_error, invalid_parameter
from local.ecs.lifecycle import Lifecycle
from local.ecs.notation import CPU_UNITS, units
from local.ecs.state import (
    ACTIVE,
    INACTIVE,
    RUNNING,
    STOPPED,
    Account,
    Cluster,
    Container,
    Document,
    Launch,
    Task,
    TaskDefinition,
    new_id,
    new_uuid,
    now,
)

Request = Mapping[str, Any]
_PAGE = 100
# What AWS answers for members of a container definition that were not given.
_CONTAINER_DEFAULTS: Document = {
    "cpu": 0, "portMappings": [], "essential": True, "environment": [], "mountPoints": [], "volumesFrom": [],
    "systemControls": [],
}  # fmt: skip
_FARGATE_PLATFORM = "1.4.0"
_STOPPED = replace(ENDS["stopped_by_user"], exit_code=None)


class Operations:
    """The operations of one account."""

    def __init__(self, account: Account, capacity: Capacity, lifecycle: Lifecycle) -> None:
        """Work on this account."""
        self._account = account
        self._capacity = capacity
        self._lifecycle = lifecycle

    def carry_out(self, operation: str, request: Request, size: int, hidden: float = 0.0) -> str:
        """Carry out a request and return the answer as JSON. Raises ApiError.

        ``size``: of the request, in bytes. ``hidden``: seconds for which new tasks stay unknown to other operations.
        """
        self._account.forget_old()
        if self._account.settings.strict:
            strictness.check(operation, request)
        if operation == "RunTask":
            return self.run_task(request, size, hidden)
        answer = OPERATIONS[operation](self, request)
        return answer if isinstance(answer, str) else json.dumps(answer)

    # Tasks

    def run_task(self, request: Request, size: int = 0, hidden: float = 0.0) -> str:
        """Launch one to ten equal tasks, or describe those of the same client token."""
        account = self._account
        rules.check_run_task(request, size)
        cluster = account.cluster(request.get("cluster"))
        token = request.get("clientToken")
        if token is not None and (launch := cluster.launched_by(token, account.settings)) is not None:
            if launch.request != request:
                raise refusal("conflict", resourceIds=[task.arn for task in launch.tasks])
            return _launched(launch.tasks)
        definition = account.definition_to_run(request["taskDefinition"])
        placement = rules.check_launch(request, cluster, definition)
        if account.settings.strict:
            strictness.check_launch(request, definition, placement[0])
        count = request.get("count", 1)
        settings = account.settings
        if settings.launches is not None and not settings.launches.take(count):
            raise refusal("throttle")
        if settings.max_running_tasks is not None and account.living + count > settings.max_running_tasks:
            raise refusal("task_quota_error")
        vcpus = _vcpus(request, definition)
        placed, reason = self._capacity.admit(cluster, *placement, vcpus, count)
        tasks = _new_tasks(account, cluster, definition, request, placement, vcpus, placed, hidden)
        for task in tasks:
            self._lifecycle.launch(task)
        if token is not None and tasks:
            cluster.launches[token] = Launch(dict(request), tasks, time.time())
        return _launched(tasks, failures(account, cluster.name, reason, count - placed))

    def describe_tasks(self, request: Request) -> str:
        """Return the texts of up to 100 tasks."""
        account = self._account
        asked: list[str] = request["tasks"]
        if not asked:
            raise refusal("no_tasks")
        if len(asked) > rules.MAX_DESCRIBED:
            raise invalid_parameter(f"Tasks cannot be more than {rules.MAX_DESCRIBED}.")
        cluster = account.cluster(request.get("cluster"))
        tags = "TAGS" in request.get("include", ())
        omitted = account.settings.omit
        found, missing = [], []
        moment = time.time()
        for name in asked:
            task = cluster.tasks.get(account.task_id(cluster, name))
            if task is None or task.visible_at > moment:
                missing.append({"arn": account.task_arn(cluster, name), "reason": "MISSING"})
            else:
                text = task.text(tags=tags)
                found.append(_without(text, omitted) if omitted else text)
        return f'{{"tasks": [{",".join(found)}], "failures": {json.dumps(missing)}}}'

    def stop_task(self, request: Request) -> str:
        """Stop a task. A stopped task is only described."""
        rules.check_reason(request.get("reason"))
        cluster = self._account.cluster(request.get("cluster"))
        if not request["task"]:
            raise invalid_parameter("Task can not be blank.")
        task = cluster.tasks.get(self._account.task_id(cluster, request["task"]))
        if task is None:
            raise refusal("unknown_task")
        reason = request.get("reason")
        self._lifecycle.stop(task, replace(_STOPPED, reason=reason) if reason else _STOPPED)
        return f'{{"task": {task.text(tags=True)}}}'

    def list_tasks(self, request: Request) -> Document:
        """List ARNs by desired status, startedBy, family or launch type."""
        rules.check_list_tasks(request)
        cluster = self._account.cluster(request.get("cluster"))
        moment = time.time()
        family, launch_type = request.get("family"), request.get("launchType")
        tasks = cluster.listed(request.get("startedBy"), request.get("desiredStatus", RUNNING))
        chosen = [
            (task.number, task.arn)
            for task in tasks
            if task.visible_at <= moment
            and (family is None or task.definition.family == family)
            and (launch_type is None or task.launch_type == launch_type)
        ]
        return _page("taskArns", request, sorted(chosen))

    # Task definitions

    def register_task_definition(self, request: Request) -> Document:
        """Add a revision to a family."""
        rules.check_definition(request)
        account = self._account
        revisions = account.families.setdefault(request["family"], [])
        revision = len(revisions) + 1
        arn = account.arn(f"task-definition/{request['family']}:{revision}")
        compatibilities = ["EC2", "FARGATE"] if _fits_fargate(request) else ["EXTERNAL", "EC2"]
        document: Document = {
            "volumes": [],
            "placementConstraints": [],
            **{name: value for name, value in request.items() if name != "tags"},
            "taskDefinitionArn": arn,
            "revision": revision,
            "containerDefinitions": [{**_CONTAINER_DEFAULTS, **item} for item in request["containerDefinitions"]],
            "compatibilities": compatibilities,
            "registeredAt": now(),
            "registeredBy": account.user,
        }
        definition = TaskDefinition(arn, request["family"], revision, document, list(request.get("tags", ())))
        revisions.append(definition)
        return {"taskDefinition": definition.describe(), "tags": definition.tags}

    def describe_task_definition(self, request: Request) -> Document:
        """Describe a revision, which may be INACTIVE."""
        definition = self._account.definition(request["taskDefinition"])
        if definition is None:
            raise refusal("undescribed_definition")
        tags = definition.tags if "TAGS" in request.get("include", ()) else []
        return {"taskDefinition": definition.describe(), "tags": tags}

    def deregister_task_definition(self, request: Request) -> Document:
        """Deregister a revision: make it INACTIVE."""
        name: str = request["taskDefinition"]
        if ":" not in name.rpartition("/")[2]:
            raise client_error("Unexpected task definition identifier: it needs a revision.")
        definition = self._account.definition(name)
        if definition is None:
            raise client_error("The specified task definition does not exist.")
        if definition.status == ACTIVE:
            definition.status = INACTIVE
            definition.deregistered_at = now()
        return {"taskDefinition": definition.describe()}

    def list_task_definitions(self, request: Request) -> Document:
        """List ARNs of revisions by family and status."""
        status, family = request.get("status", ACTIVE), request.get("familyPrefix")
        chosen = [
            definition
            for name in sorted(self._account.families)
            if family is None or name == family
            for definition in self._account.families[name]
            if definition.status == status
        ]
        if request.get("sort") == "DESC":
            chosen.reverse()
        return _page("taskDefinitionArns", request, [*enumerate((item.arn for item in chosen), 1)])

    # Clusters

    def create_cluster(self, request: Request) -> Document:
        """Create a cluster, or describe the ACTIVE one of that name."""
        name = request.get("clusterName") or "default"
        rules.check_name("Cluster name", name)
        rules.check_tags(request.get("tags", ()))
        known = self._account.clusters.get(name)
        if known is None or known.status != ACTIVE:
            settings = {key: value for key, value in request.items() if key not in ("clusterName", "tags")}
            known = Cluster(name, self._account.arn(f"cluster/{name}"), settings, list(request.get("tags", ())))
            self._account.clusters[name] = known
        return {"cluster": known.describe(["TAGS", "SETTINGS"])}

    def describe_clusters(self, request: Request) -> Document:
        """Describe clusters of any status; unknown ones are failures."""
        asked = request.get("clusters") or ["default"]
        if len(asked) > _PAGE:
            raise invalid_parameter(f"Clusters cannot be more than {_PAGE}.")
        found, missing = [], []
        for name in asked:
            cluster = self._account.known_cluster(name)
            if cluster is None:
                missing.append({"arn": self._account.cluster_arn(name), "reason": "MISSING"})
            else:
                found.append(cluster.describe(request.get("include", ())))
        return {"clusters": found, "failures": missing}

    def list_clusters(self, request: Request) -> Document:
        """List the ARNs of the ACTIVE clusters."""
        arns = (cluster.arn for cluster in self._account.clusters.values() if cluster.status == ACTIVE)
        return _page("clusterArns", request, [*enumerate(arns, 1)])

    def delete_cluster(self, request: Request) -> Document:
        """Delete a cluster without tasks: make it INACTIVE."""
        cluster = self._account.cluster(request["cluster"])
        if any(task.last_status != STOPPED for task in cluster.tasks.values()):
            raise ApiError("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
        cluster.status = INACTIVE
        return {"cluster": cluster.describe()}


Handler = Callable[[Operations, Request], "Document | str"]
OPERATIONS: Mapping[str, Handler] = {
    "RunTask": Operations.run_task,
    "DescribeTasks": Operations.describe_tasks,
    "StopTask": Operations.stop_task,
    "ListTasks": Operations.list_tasks,
    "RegisterTaskDefinition": Operations.register_task_definition,
    "DescribeTaskDefinition": Operations.describe_task_definition,
    "DeregisterTaskDefinition": Operations.deregister_task_definition,
    "ListTaskDefinitions": Operations.list_task_definitions,
    "CreateCluster": Operations.create_cluster,
    "DescribeClusters": Operations.describe_clusters,
    "ListClusters": Operations.list_clusters,
    "DeleteCluster": Operations.delete_cluster,
}


def _launched(tasks: Sequence[Task], failed: Sequence[Document] = ()) -> str:
    """Return RunTask's answer."""
    return f'{{"tasks": [{",".join(task.text(tags=True) for task in tasks)}], "failures": {json.dumps(failed)}}}'


def failures(account: Account, cluster: str, reason: str, count: int) -> list[Document]:
    """Return RunTask's failures of ``count`` tasks; failures of resources name a container instance."""
    failure = {"reason": reason}
    if reason.startswith("RESOURCE:"):
        failure["arn"] = account.arn(f"container-instance/{cluster}/0123456789abcdef0123456789abcdef")
    return [failure] * count


def _without(text: str, names: Iterable[str]) -> str:
    """Return a task's text without some of its members."""
    return json.dumps({name: value for name, value in json.loads(text).items() if name not in names})


def _page(name: str, request: Request, items: Sequence[tuple[int, str]]) -> Document:
    """Return one page of numbered ARNs. The token is the number of the last one."""
    size = request.get("maxResults", _PAGE)
    if not 1 <= size <= _PAGE:
        raise invalid_parameter(f"maxResults must be from 1 to {_PAGE}.")
    token = request.get("nextToken")
    if token is not None:
        if not token.isdecimal():
            raise invalid_parameter("Invalid token.")
        items = [item for item in items if item[0] > int(token)]
    page = items[:size]
    answer: Document = {name: [arn for _, arn in page]}
    if len(items) > size:
        answer["nextToken"] = str(page[-1][0])
    return answer


def _fits_fargate(request: Request) -> bool:
    """Return whether a task definition can run on Fargate."""
    return request.get("networkMode") == "awsvpc" and bool(request.get("cpu")) and bool(request.get("memory"))


# New tasks


def _new_tasks(
    account: Account,
    cluster: Cluster,
    definition: TaskDefinition,
    request: Request,
    placement: tuple[str, str | None],
    vcpus: float,
    count: int,
    hidden: float,
) -> list[Task]:
    """Return the tasks of one RunTask request: so many have a place, or wait for one."""
    launch_type, provider = placement
    overrides = _filled_overrides(request, definition)
    tags = [*request.get("tags", ())]
    if request.get("propagateTags") == "TASK_DEFINITION":
        own = {tag["key"] for tag in tags}
        tags += [tag for tag in definition.tags if tag["key"] not in own]
    if request.get("enableECSManagedTags"):
        tags.append({"key": "aws:ecs:clusterName", "value": cluster.name})
    shared = _shared_members(cluster, definition, request, overrides, launch_type, provider, f"{account.region}a")
    shared_text = json.dumps(shared)[:-1]
    main = _main_container(request, definition)
    moment = now()
    tasks = []
    for number in range(len(account.launched), len(account.launched) + count):
        identifier = new_id()
        arn = account.arn(f"task/{cluster.name}/{identifier}")
        containers = [_new_container(account, cluster, arn, identifier, item) for item in definition.containers]
        fixed = f'{shared_text}, "taskArn": "{arn}", "createdAt": {moment}, '
        tasks.append(
            Task(
                number=number + 1,
                id=identifier,
                arn=arn,
                cluster=cluster,
                definition=definition,
                request=dict(request),
                overrides=overrides,
                launch_type=launch_type,
                fixed=fixed,
                tags=[*tags],
                containers=containers,
                main=next(container for container in containers if container.name == main),
                attachment=_attachment(request),
                created_at=moment,
                visible_at=moment + hidden if hidden else 0.0,
                started_by=request.get("startedBy"),
                provider=provider,
                vcpus=vcpus,
            )
        )
    return tasks


def _vcpus(request: Request, definition: TaskDefinition) -> float:
    """Return the size of a task that counts for the quota of Fargate."""
    size = request.get("overrides", {}).get("cpu") or definition.document.get("cpu") or ""
    return (units(size) or 0) / CPU_UNITS


def _filled_overrides(request: Request, definition: TaskDefinition) -> Document:
    """Return the request's overrides, with an entry for each container, as AWS answers them."""
    overrides: Document = {**request.get("overrides", {})}
    given: list[Document] = overrides.get("containerOverrides", [])
    named = {override.get("name") for override in given}
    rest = [{"name": item["name"]} for item in definition.containers if item["name"] not in named]
    return {"inferenceAcceleratorOverrides": [], **overrides, "containerOverrides": [*given, *rest]}


def _shared_members(
    cluster: Cluster,
    definition: TaskDefinition,
    request: Request,
    overrides: Document,
    launch_type: str,
    provider: str | None,
    zone: str,
) -> Document:
    """Return what the answers for all tasks of one request have in common and never changes."""
    document = definition.document
    members: Document = {
        "attributes": [{"name": "ecs.cpu-architecture", "value": _architecture(document)}],
        "availabilityZone": zone,
        "clusterArn": cluster.arn,
        "enableExecuteCommand": request.get("enableExecuteCommand", False),
        "group": request.get("group") or f"family:{definition.family}",
        "launchType": launch_type,
        "overrides": overrides,
        "taskDefinitionArn": definition.arn,
    }
    for name in ("cpu", "memory"):
        value = overrides.get(name) or document.get(name)
        if value:
            members[name] = value
    if provider is not None:
        members["capacityProviderName"] = provider
    if request.get("startedBy") is not None:
        members["startedBy"] = request["startedBy"]
    if launch_type == "FARGATE":
        version = request.get("platformVersion", "LATEST")
        storage = overrides.get("ephemeralStorage") or document.get("ephemeralStorage") or {"sizeInGiB": 20}
        members["platformVersion"] = _FARGATE_PLATFORM if version == "LATEST" else version
        members["platformFamily"] = "Linux"
        members["ephemeralStorage"] = members["fargateEphemeralStorage"] = storage
    return members


def _architecture(definition: Request) -> str:
    """Return the architecture of a task definition; X86_64 is ECS's default."""
    return "arm64" if definition.get("runtimePlatform", {}).get("cpuArchitecture") == "ARM64" else "x86_64"


def _main_container(request: Request, definition: TaskDefinition) -> str:
    """Return the container that a request is about.

    That is the container whose command it overrides, else any that it overrides, else the first essential one.
    """
    overrides: Iterable[Document] = request.get("overrides", {}).get("containerOverrides", ())
    for member in ("command", "name"):
        for override in overrides:
            if override.get(member):
                name: str = override["name"]
                return name
    first: str = next(item["name"] for item in definition.containers if item["essential"])
    return first


def _new_container(account: Account, cluster: Cluster, task_arn: str, task_id: str, definition: Document) -> Container:
    """Return a container of a new task."""
    fixed: Document = {
        "containerArn": account.arn(f"container/{cluster.name}/{task_id}/{new_uuid()}"),
        "taskArn": task_arn,
        "name": definition["name"],
        "image": definition["image"],
        "cpu": str(definition["cpu"]),
    }
    for name in ("memory", "memoryReservation"):
        if name in definition:
            fixed[name] = str(definition[name])
    return Container(definition["name"], definition["essential"], fixed)


def _attachment(request: Request) -> Document | None:
    """Return the network interface of an awsvpc task."""
    network = request.get("networkConfiguration", {}).get("awsvpcConfiguration")
    if network is None:
        return None
    return {
        "id": new_uuid(),
        "type": "ElasticNetworkInterface",
        "status": "PRECREATED",
        "details": [{"name": "subnetId", "value": network["subnets"][0]}],
    }
