"""The table of configurations: what the reference executor and ours are both given, and where they are to differ."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Callable, Dict

Request = Dict[str, Any]  # evaluated, on Python 3.8 too

PLAIN_CLUSTER = "plain"
FARGATE_CLUSTER = "on-fargate"
EC2_CLUSTER = "on-instances"

AIRFLOW_2 = ["airflow", "tasks", "run", "dag", "task", "run", "--local", "--subdir", "DAGS_FOLDER/dag.py"]
AIRFLOW_3 = ["python", "-m", "airflow.sdk.execution_time.execute_workload", "--json-string", '{"token": "x", "ü": 1}']


@dataclass(frozen=True)
class Row:
    """A configuration and a task.

    Without ``defect`` both executors send the same. With it (a row of the table of the reference's defects, or what it
    is) ``reference`` is true of what the reference answers, and ``ours`` of what we answer.
    """

    name: str
    options: dict[str, str] = field(default_factory=dict)
    run_task_kwargs: dict[str, Any] | None = None
    executor_config: Any = None
    command: list[str] = field(default_factory=lambda: list(AIRFLOW_2))
    launches: int = 1
    defect: str = ""
    reference: Callable[[Answer], bool] | None = None
    ours: Callable[[Answer], bool] | None = None

    @property
    def all_options(self) -> dict[str, str]:
        """The options with those that every row has."""
        found = {
            "cluster": PLAIN_CLUSTER,
            "container_name": "worker",
            "task_definition": "jobs",
            "region_name": "us-east-1",
        }
        found.update(self.options)
        if self.run_task_kwargs is not None:
            found["run_task_kwargs"] = json.dumps(self.run_task_kwargs)
        return found


@dataclass(frozen=True)
class Answer:
    """What an executor makes of a row: the requests of its launches, what boto3 refuses of them, or an error."""

    requests: list[Request] = field(default_factory=list)
    refused: str = ""
    error: str = ""

    @property
    def request(self) -> Request:
        """The request of the last launch."""
        assert not self.error, self.error
        return self.requests[-1]

    @property
    def sent(self) -> bool:
        """Whether boto3 would send it."""
        return bool(self.requests) and not self.refused and not self.error

    @property
    def container(self) -> Request:
        """The entry of our container."""
        (found,) = [entry for entry in self.request["overrides"]["containerOverrides"] if entry.get("name") == "worker"]
        return found

    @property
    def network(self) -> Request:
        """The settings of the network interface."""
        found: Request = self.request["networkConfiguration"]["awsvpcConfiguration"]
        return found


FARGATE = {"launch_type": "FARGATE", "subnets": "subnet-1,subnet-2"}
EC2 = {"launch_type": "EC2"}
SPOT = [{"capacityProvider": "FARGATE_SPOT", "weight": 3}, {"capacityProvider": "FARGATE", "weight": 1}]


def containers(*entries: Request, **more: Any) -> Request:
    """An executor_config or run_task_kwargs that overrides containers."""
    return {"overrides": {"containerOverrides": list(entries), **more}}


SAME = [
    Row(
        "the guide's script",
        {**FARGATE, "platform_version": "LATEST", "assign_public_ip": "True", "security_groups": "sg-1"},
    ),
    Row("an Airflow 3 command", FARGATE, command=AIRFLOW_3),
    Row("Fargate without public IP", {**FARGATE, "assign_public_ip": "False"}),
    Row("no network at all", {"launch_type": "FARGATE"}),
    Row("a platform version", {**FARGATE, "platform_version": "1.4.0"}),
    Row("several security groups", {**FARGATE, "security_groups": "sg-1,sg-2,sg-3"}),
    Row("EC2", EC2),
    Row("EC2 with subnets", {**EC2, "subnets": "subnet-1", "security_groups": "sg-1"}),
    Row("EC2 drops the platform version", {**EC2, "platform_version": "1.4.0"}),
    Row("a revision of the task definition", {"launch_type": "FARGATE", "task_definition": "jobs:7"}),
    Row(
        "a task definition by ARN",
        {**FARGATE, "task_definition": "arn:aws:ecs:us-east-1:123456789012:task-definition/jobs:3"},
    ),
    Row("a cluster without default strategy", {"subnets": "subnet-1"}),
    Row("a cluster with a default strategy of Fargate", {"cluster": FARGATE_CLUSTER, "subnets": "subnet-1"}),
    Row("a strategy in run_task_kwargs", {"subnets": "subnet-1"}, {"capacity_provider_strategy": SPOT}),
    Row("launch type in run_task_kwargs", {"subnets": "subnet-1"}, {"launch_type": "FARGATE"}),
    Row("run_task_kwargs beat an option", {**FARGATE, "platform_version": "1.3.0"}, {"platform_version": "1.4.0"}),
    Row("the task definition in run_task_kwargs", FARGATE, {"task_definition": "other:2"}),
    Row(
        "options by name in run_task_kwargs", {"launch_type": "FARGATE"}, {"subnets": "a,b", "assign_public_ip": "True"}
    ),
    Row(
        "parameters in snake_case and camelCase",
        FARGATE,
        {"enable_execute_command": True, "propagateTags": "TASK_DEFINITION", "group": "g", "started_by": "team"},
    ),
    Row("tags as a list", FARGATE, {"tags": [{"key": "team", "value": "data"}]}),
    Row("an entry without a name", FARGATE, containers({"memory": 512}, cpu="1024")),
    Row("an entry of our container", FARGATE, containers({"name": "worker", "cpu": 2})),
    Row("our container first, then a sidecar", FARGATE, containers({"name": "worker"}, {"name": "proxy", "cpu": 1})),
    Row("environment in run_task_kwargs", FARGATE, containers({"environment": [{"name": "A", "value": "1"}]})),
    Row("the network in run_task_kwargs", EC2, {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["x"]}}}),
    Row("a task's cpu and memory", FARGATE, executor_config={"overrides": {"cpu": "1024", "memory": "2048"}}),
    Row("a task's own task definition", FARGATE, executor_config={"taskDefinition": "big:1"}),
    Row(
        "a task's environment",
        FARGATE,
        executor_config=containers({"name": "worker", "environment": [{"name": "A", "value": "1"}]}),
    ),
    Row("a task's sidecar", FARGATE, executor_config=containers({"name": "proxy", "cpu": 1}, {"name": "worker"})),
    Row(
        "a task's network merges with the options'",
        {**FARGATE, "security_groups": "sg-1"},
        executor_config={"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-9"]}}},
    ),
    Row(
        "a task's tags replace", FARGATE, {"tags": [{"key": "a", "value": "1"}]}, {"tags": [{"key": "b", "value": "2"}]}
    ),
    Row(
        "a task's execute command and propagated tags",
        FARGATE,
        None,
        {"enableExecuteCommand": True, "propagateTags": "NONE"},
    ),
    Row(
        "dicts merge and lists replace",
        FARGATE,
        containers({"cpu": 1}, cpu="256"),
        containers({"name": "worker"}, memory="9"),
    ),
    Row("a task without options", FARGATE, executor_config={}),
]

DIFFERENT = [
    Row(
        "a strategy as an option",
        {"capacity_provider_strategy": json.dumps(SPOT), "subnets": "subnet-1"},
        defect="21: a string is passed to boto3",
        reference=lambda answer: "capacityProviderStrategy" in answer.refused and not answer.sent,
        ours=lambda answer: answer.sent and answer.request["capacityProviderStrategy"] == SPOT,
    ),
    Row(
        "camelCase keys and the exclusion",
        FARGATE,
        {"capacityProviderStrategy": SPOT},
        defect="21: camelCase keys dodge the exclusion check",
        reference=lambda answer: {"launchType", "capacityProviderStrategy"} <= set(answer.request),
        ours=lambda answer: "excludes" in answer.error,
    ),
    Row(
        "a lower-case boolean",
        {**FARGATE, "assign_public_ip": "true"},
        defect='21: "true" is not True',
        reference=lambda answer: answer.network["assignPublicIp"] == "DISABLED",
        ours=lambda answer: answer.network["assignPublicIp"] == "ENABLED",
    ),
    Row(
        "lists with spaces",
        {"launch_type": "FARGATE", "subnets": "a, b,", "security_groups": " g "},
        defect="21: lists are split without trimming",
        reference=lambda answer: answer.network["subnets"] == ["a", " b", ""],
        ours=lambda answer: answer.network["subnets"] == ["a", "b"] and answer.network["securityGroups"] == ["g"],
    ),
    Row(
        "bad JSON",
        {**FARGATE, "run_task_kwargs": "{'tags'"},
        defect="21: bad JSON is a raw JSONDecodeError",
        reference=lambda answer: answer.error.startswith("JSONDecodeError"),
        ours=lambda answer: "AIRFLOW__AWS_ECS_EXECUTOR__RUN_TASK_KWARGS" in answer.error,
    ),
    Row(
        "a sidecar listed first",
        FARGATE,
        containers({"name": "proxy", "cpu": 1}),
        defect="21: its name is overwritten",
        reference=lambda answer: answer.container["cpu"] == 1,
        ours=lambda answer: (
            "cpu" not in answer.container
            and answer.request["overrides"]["containerOverrides"][0] == {"name": "proxy", "cpu": 1}
        ),
    ),
    Row(
        "an environment over several launches",
        FARGATE,
        executor_config=containers({"name": "worker", "environment": [{"name": "A", "value": "1"}]}),
        launches=3,
        defect="18: the user's environment list grows",
        reference=lambda answer: len(answer.container["environment"]) == 4,
        ours=lambda answer: len(answer.container["environment"]) == 2,
    ),
    Row(
        "a command of a DAG author",
        FARGATE,
        executor_config={"command": ["x"]},
        defect="2: raises through the heartbeat",
        reference=lambda answer: answer.error.startswith("ValueError"),
        ours=lambda answer: answer.error.startswith("ExecutorConfigError") and "command" in answer.error,
    ),
    Row(
        "overrides over 8,192 characters",
        FARGATE,
        command=[*AIRFLOW_2, "x" * 9000],
        defect="19: the limit is not checked",
        reference=lambda answer: answer.sent,
        ours=lambda answer: "8,192" in answer.error,
    ),
    Row(
        "a task's list without our container",
        FARGATE,
        executor_config=containers({"name": "proxy", "cpu": 1}),
        defect="our container is not added",
        reference=lambda answer: answer.error.startswith("KeyError"),
        ours=lambda answer: answer.sent and answer.container["command"] == AIRFLOW_2,
    ),
    Row(
        "a task's strategy",
        FARGATE,
        executor_config={"capacityProviderStrategy": SPOT},
        defect="the launch type of the options is sent besides",
        reference=lambda answer: {"launchType", "capacityProviderStrategy"} <= set(answer.request),
        ours=lambda answer: answer.request["capacityProviderStrategy"] == SPOT and "launchType" not in answer.request,
    ),
    Row(
        "a task on EC2",
        {**FARGATE, "assign_public_ip": "True"},
        executor_config={"launchType": "EC2"},
        defect="what is Fargate's is sent for EC2",
        reference=lambda answer: "platformVersion" in answer.request and "assignPublicIp" in answer.network,
        ours=lambda answer: "platformVersion" not in answer.request and "assignPublicIp" not in answer.network,
    ),
    Row(
        "capacity providers of EC2",
        {"subnets": "subnet-1"},
        {"capacity_provider_strategy": [{"capacityProvider": "instances", "weight": 1}]},
        defect="the platform version is sent for EC2 capacity providers",
        reference=lambda answer: answer.request["platformVersion"] == "LATEST",
        ours=lambda answer: "platformVersion" not in answer.request and answer.network == {"subnets": ["subnet-1"]},
    ),
    Row(
        "a cluster whose default is EC2",
        {"cluster": EC2_CLUSTER, "subnets": "subnet-1"},
        defect="the platform version is sent for EC2 capacity providers",
        reference=lambda answer: answer.request["platformVersion"] == "LATEST" and "launchType" not in answer.request,
        ours=lambda answer: not {"platformVersion", "launchType"} & set(answer.request),
    ),
    Row(
        "tags as an object",
        FARGATE,
        {"tags": {"key": "schema", "value": "1.0"}},
        defect="the documented example is refused by boto3",
        reference=lambda answer: "tags" in answer.refused,
        ours=lambda answer: answer.sent and answer.request["tags"] == [{"key": "schema", "value": "1.0"}],
    ),
    Row(
        "the documented revision LATEST",
        {**FARGATE, "task_definition": "jobs:LATEST"},
        defect="ECS knows no revision of that name",
        reference=lambda answer: answer.request["taskDefinition"] == "jobs:LATEST",
        ours=lambda answer: answer.request["taskDefinition"] == "jobs",
    ),
    Row(
        "snake_case inside lists",
        FARGATE,
        containers({"name": "worker", "memory_reservation": 5}),
        defect="keys inside lists stay in snake_case",
        reference=lambda answer: "memory_reservation" in answer.refused,
        ours=lambda answer: answer.sent and answer.container["memoryReservation"] == 5,
    ),
    Row(
        "a network in run_task_kwargs against the options",
        FARGATE,
        {"network_configuration": {"awsvpcConfiguration": {"subnets": ["x"]}}},
        defect="the options beat run_task_kwargs",
        reference=lambda answer: answer.network["subnets"] == ["subnet-1", "subnet-2"],
        ours=lambda answer: answer.network["subnets"] == ["x"],
    ),
]

ROWS = SAME + DIFFERENT
