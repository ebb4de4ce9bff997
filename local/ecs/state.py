"""The resources of an account: clusters, task definitions, and tasks with their cached JSON.

A task's JSON is kept in two parts, what never changes and what does, and as a whole between two changes:
DescribeTasks of a hundred tasks joins a hundred ready texts.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.ecs.answers import refusal
from local.ecs.ends import End
from local.ecs.quotas import Settings

RUNNING, STOPPED = "RUNNING", "STOPPED"
ACTIVE, INACTIVE = "ACTIVE", "INACTIVE"
Document = dict[str, Any]


def now() -> float:
    """Return epoch seconds with milliseconds, as AWS does."""
    return round(time.time(), 3)


def new_id() -> str:
    """Return 32 hexadecimal digits, as in a task's ARN."""
    return os.urandom(16).hex()


def new_uuid() -> str:
    """Return the same with dashes, as in a container's ARN."""
    text = new_id()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def private_dns_name(address: str) -> str:
    """Return the name of an address, as EC2 makes it."""
    return f"ip-{address.replace('.', '-')}.ec2.internal"


@dataclass(slots=True, eq=False)
class TaskDefinition:
    """One revision of a family. ``document`` is what is answered, without the status."""

    arn: str
    family: str
    revision: int
    document: Document
    tags: list[Document]
    status: str = ACTIVE
    deregistered_at: float | None = None

    @property
    def containers(self) -> list[Document]:
        """The container definitions."""
        containers: list[Document] = self.document["containerDefinitions"]
        return containers

    def describe(self) -> Document:
        """Return the answer's ``taskDefinition``."""
        document = {**self.document, "status": self.status}
        if self.deregistered_at is not None:
            document["deregisteredAt"] = self.deregistered_at
        return document


@dataclass(slots=True, eq=False)
class Container:
    """A container of a task."""

    name: str
    essential: bool
    fixed: Document
    last_status: str = "PENDING"
    image_digest: str | None = None
    runtime_id: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    ended_at: float | None = None

    def describe(self, task: Task) -> Document:
        """Return the answer's entry in ``containers``."""
        document = {**self.fixed, "lastStatus": self.last_status, "networkInterfaces": task.network_interfaces}
        if self.image_digest is not None:
            document["imageDigest"] = self.image_digest
        if self.runtime_id is not None:
            document["runtimeId"] = self.runtime_id
        if self.exit_code is not None:
            document["exitCode"] = self.exit_code
        if self.reason is not None:
            document["reason"] = self.reason
        return document


@dataclass(slots=True, eq=False)
class Task:
    """A task. Change it through ``lifecycle`` only, which updates cached texts and indexes."""

    number: int
    id: str
    arn: str
    cluster: Cluster
    definition: TaskDefinition
    request: Document
    overrides: Document
    launch_type: str
    fixed: str
    """What never changes, as the beginning of a JSON object."""
    tags: list[Document]
    containers: list[Container]
    main: Container
    """The container that the request overrides."""
    attachment: Document | None
    created_at: float
    visible_at: float
    started_by: str | None
    provider: str | None = None
    """Its capacity provider."""
    vcpus: float = 0.0
    container_instance: str | None = None
    """Of an EC2 task, once it has its place."""
    version: int = 1
    last_status: str = "PROVISIONING"
    desired_status: str = RUNNING
    connectivity_at: float | None = None
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    stopping_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    end: End | None = None
    """What it was told to end with."""
    _text: str | None = None
    _tagged_text: str | None = None

    @property
    def network_interfaces(self) -> list[Document]:
        """The answer's ``networkInterfaces`` of each container, once the interface is attached."""
        if self.attachment is None or self.attachment["status"] != "ATTACHED":
            return []
        address = next(item["value"] for item in self.attachment["details"] if item["name"] == "privateIPv4Address")
        return [{"attachmentId": self.attachment["id"], "privateIpv4Address": address}]

    def arrive(self) -> None:
        """Place the task on a container instance."""
        self.container_instance = f"{self.cluster.arn.replace(':cluster/', ':container-instance/')}/{self.id[::-1]}"
        self.drop_texts()

    def changed(self) -> None:
        """Discard the cached texts and increment the version, as AWS does."""
        self.version += 1
        self.drop_texts()

    def drop_texts(self) -> None:
        """Discard the cached texts."""
        self._text = self._tagged_text = None

    def text(self, *, tags: bool) -> str:
        """Return the answer's task, as JSON."""
        if self._text is None:
            self._text = self.fixed + json.dumps(self._changing())[1:-1] + ',"tags": '
        if not tags:
            return self._text + "[]}"
        if self._tagged_text is None:
            self._tagged_text = f"{self._text}{json.dumps(self.tags)}}}"
        return self._tagged_text

    def _changing(self) -> Document:
        document: Document = {
            "attachments": [self.attachment] if self.attachment is not None else [],
            "containers": [container.describe(self) for container in self.containers],
            "desiredStatus": self.desired_status,
            "lastStatus": self.last_status,
            "version": self.version,
        }
        if self.connectivity_at is not None:
            document["connectivity"] = "CONNECTED"
        for name, value in (
            ("containerInstanceArn", self.container_instance),
            ("connectivityAt", self.connectivity_at),
            ("pullStartedAt", self.pull_started_at),
            ("pullStoppedAt", self.pull_stopped_at),
            ("startedAt", self.started_at),
            ("stoppingAt", self.stopping_at),
            ("executionStoppedAt", self.execution_stopped_at),
            ("stoppedAt", self.stopped_at),
            ("stopCode", self.stop_code),
            ("stoppedReason", self.stopped_reason),
        ):
            if value is not None:
                document[name] = value
        return document


@dataclass(slots=True, eq=False)
class Launch:
    """The request and the tasks of a client token."""

    request: Document
    tasks: list[Task]
    launched_at: float

    def expired(self, settings: Settings) -> bool:
        """Return whether the token means nothing any more."""
        ended = [task.stopped_at for task in self.tasks if task.stopped_at is not None]
        end = self.launched_at + settings.token_life
        if len(ended) == len(self.tasks):
            end = min(end, max(ended, default=end) + settings.token_life_after_stop)
        return end < time.time()


@dataclass(slots=True, eq=False)
class Cluster:
    """A cluster, and the tasks in it that are not forgotten."""

    name: str
    arn: str
    settings: Document
    tags: list[Document]
    status: str = ACTIVE
    tasks: dict[str, Task] = field(default_factory=dict)
    launches: dict[str, Launch] = field(default_factory=dict)
    _index: dict[tuple[str | None, str], dict[str, Task]] = field(default_factory=dict)

    def add(self, task: Task) -> None:
        """Add a new task."""
        self.tasks[task.id] = task
        self._enter(task)

    def forget(self, task: Task) -> None:
        """Remove a task."""
        if self.tasks.pop(task.id, None) is not None:
            self._leave(task)
            task.drop_texts()

    def desire_stopped(self, task: Task) -> None:
        """Change a task's desired status, by which it is listed."""
        self._leave(task)
        task.desired_status = STOPPED
        self._enter(task)

    def listed(self, started_by: str | None, desired_status: str) -> Iterable[Task]:
        """Return the tasks of a desired status, all or those of one ``startedBy``, in the order of the change."""
        return self._index.get((started_by, desired_status), {}).values()

    def launched_by(self, token: str, settings: Settings) -> Launch | None:
        """Return what a client token launched, if it is still remembered."""
        launch = self.launches.get(token)
        if launch is not None and launch.expired(settings):
            del self.launches[token]
            return None
        return launch

    def describe(self, include: Iterable[str] = ()) -> Document:
        """Return the answer's cluster."""
        tasks = [*self.listed(None, RUNNING), *self.listed(None, STOPPED)]
        pending = ("PROVISIONING", "PENDING", "ACTIVATING")
        running = ("RUNNING", "DEACTIVATING", "STOPPING")
        return {
            "clusterArn": self.arn,
            "clusterName": self.name,
            "status": self.status,
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": sum(task.last_status in running for task in tasks),
            "pendingTasksCount": sum(task.last_status in pending for task in tasks),
            "activeServicesCount": 0,
            "statistics": [],
            "tags": self.tags if "TAGS" in include else [],
            "settings": self.settings.get("settings", []) if "SETTINGS" in include else [],
            "capacityProviders": self.settings.get("capacityProviders", []),
            "defaultCapacityProviderStrategy": self.settings.get("defaultCapacityProviderStrategy", []),
        }

    def _keys(self, task: Task) -> Iterator[tuple[str | None, str]]:
        yield None, task.desired_status
        if task.started_by is not None:
            yield task.started_by, task.desired_status

    def _enter(self, task: Task) -> None:
        for key in self._keys(task):
            self._index.setdefault(key, {})[task.id] = task

    def _leave(self, task: Task) -> None:
        for key in self._keys(task):
            group = self._index[key]
            del group[task.id]
            if not group:
                del self._index[key]


class Account:
    """An AWS account in one region, with its ECS resources."""

    def __init__(self, region: str, number: str, strict: bool = False) -> None:
        """Begin empty."""
        self.region = region
        self.number = number
        self.settings = Settings(strict=strict)
        self.clusters: dict[str, Cluster] = {}
        self.families: dict[str, list[TaskDefinition]] = {}
        self.launched: list[Task] = []
        """Every task ever, forgotten ones too."""
        self.living = 0
        """Tasks that are not STOPPED."""
        self._stopped: deque[Task] = deque()

    def arn(self, resource: str) -> str:
        """Return the ARN of a resource such as ``cluster/airflow``."""
        return f"arn:aws:ecs:{self.region}:{self.number}:{resource}"

    @property
    def user(self) -> str:
        """The ARN of the caller, for messages."""
        return f"arn:aws:sts::{self.number}:assumed-role/airflow-scheduler/session"

    # Clusters

    def cluster(self, name_or_arn: str | None) -> Cluster:
        """Return the ACTIVE cluster of a request; ``default`` without a name. Raises ClusterNotFoundException."""
        found = self.known_cluster(name_or_arn)
        if found is None or found.status != ACTIVE:
            raise refusal("unknown_cluster")
        return found

    def known_cluster(self, name_or_arn: str | None) -> Cluster | None:
        """Return a cluster, INACTIVE ones too."""
        name = name_or_arn or "default"
        if name.startswith("arn:"):
            if not name.startswith(self.arn("cluster/")):
                return None
            name = name.rpartition("/")[2]
        return self.clusters.get(name)

    def cluster_arn(self, name_or_arn: str) -> str:
        """Return the ARN that a cluster of this name would have."""
        return name_or_arn if name_or_arn.startswith("arn:") else self.arn(f"cluster/{name_or_arn}")

    # Tasks

    def task_id(self, cluster: Cluster, id_or_arn: str) -> str:
        """Return the id in a task's ARN, or the id itself; empty when the ARN is one of elsewhere."""
        if not id_or_arn.startswith("arn:"):
            return id_or_arn
        prefix = self.arn(f"task/{cluster.name}/")
        return id_or_arn[len(prefix) :] if id_or_arn.startswith(prefix) else ""

    def task_arn(self, cluster: Cluster, id_or_arn: str) -> str:
        """Return the ARN that a task of this id would have."""
        return id_or_arn if id_or_arn.startswith("arn:") else self.arn(f"task/{cluster.name}/{id_or_arn}")

    def has_stopped(self, task: Task) -> None:
        """Record that a task has stopped, after which it is remembered for some time."""
        self.living -= 1
        self._stopped.append(task)

    def forget_old(self) -> None:
        """Forget the tasks that stopped long enough ago."""
        stopped = self._stopped
        if not stopped:
            return
        before = time.time() - self.settings.forget_after
        while stopped and (stopped[0].stopped_at or 0.0) <= before:
            task = stopped.popleft()
            task.cluster.forget(task)

    def find_task(self, arn: str) -> Task | None:
        """Return a task by its ARN, wherever it is, as long as it is not forgotten."""
        cluster, _, identifier = arn.rpartition("/")
        found = self.clusters.get(cluster.rpartition("/")[2])
        return found.tasks.get(identifier) if found is not None else None

    # Task definitions

    def definition(self, name: str) -> TaskDefinition | None:
        """Return a revision by ``family`` (the latest ACTIVE one), ``family:revision`` or ARN."""
        prefix = self.arn("task-definition/")
        if name.startswith("arn:"):
            if not name.startswith(prefix):
                return None
            name = name[len(prefix) :]
        family, colon, revision = name.partition(":")
        revisions = self.families.get(family, [])
        if not colon:
            return next((found for found in reversed(revisions) if found.status == ACTIVE), None)
        return revisions[int(revision) - 1] if revision.isdigit() and 0 < int(revision) <= len(revisions) else None

    def definition_to_run(self, name: str) -> TaskDefinition:
        """Return the task definition of a RunTask request."""
        found = self.definition(name)
        if found is None:
            raise refusal("unknown_definition")
        if found.status != ACTIVE:
            raise refusal("inactive_definition")
        return found


def as_mapping(pairs: Iterable[Mapping[str, str]], name: str = "name") -> dict[str, str]:
    """Return one of AWS's lists of names and values (or keys and values) as a dict."""
    return {pair[name]: pair.get("value", "") for pair in pairs if name in pair}
