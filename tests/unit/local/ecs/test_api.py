"""The operations of the local ECS API, called by boto3 over HTTP: what is accepted, refused and answered.

Every answer of every test is held to botocore's service model.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.ecs.control import EcsApi
from local.ecs.model import answer_check
from tests.unit.local.ecs.calls import CLUSTER, USUAL, Launch, arns, connect, described, reaches, refused, until

TASK_DEFINITION: dict[str, Any] = {
    "family": "other",
    "networkMode": "bridge",
    "containerDefinitions": [{"name": "main", "image": "image", "memory": 128}],
}
FARGATE = {"networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "512", "memory": "1024"}
AWSLOGS = {"awslogs-group": "/airflow", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "task"}
LIFE = ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"]


@pytest.fixture(scope="module")
def connected(server: EcsApi) -> Iterator[Any]:
    client = connect(server, parameter_validation=False)

    def check(response_dict: dict[str, Any], event_name: str, **_: Any) -> None:
        if response_dict["status_code"] == 200:
            answer_check(event_name.rpartition(".")[2])(json.loads(response_dict["body"]), "")

    client.meta.events.register("response-received.ecs", check)
    yield client
    client.close()


def command(*words: str, **environment: str) -> dict[str, Any]:
    """Overrides of the container `airflow`."""
    pairs = [{"name": name, "value": value} for name, value in environment.items()]
    return {"containerOverrides": [{"name": "airflow", "command": list(words), "environment": pairs}]}


class TestRunTask:
    def test_a_task_is_described_as_aws_does(self, launch: Launch) -> None:
        overrides = command("airflow", "version", GREETING="grüß")
        tags = [{"key": "team", "value": "data"}]
        task = launch(overrides=overrides, tags=tags, startedBy="deployment-1")["tasks"][0]
        cluster, _, identifier = task["taskArn"].rpartition("/")
        assert cluster == "arn:aws:ecs:us-east-1:123456789012:task/airflow" and len(identifier) == 32
        assert task["clusterArn"].endswith(":cluster/airflow")
        assert task["taskDefinitionArn"].endswith(":task-definition/worker:1")
        assert task["overrides"]["containerOverrides"] == overrides["containerOverrides"]
        assert (task["desiredStatus"], task["lastStatus"], task["version"]) == ("RUNNING", "PROVISIONING", 1)
        assert (task["launchType"], task["platformVersion"], task["group"]) == ("FARGATE", "1.4.0", "family:worker")
        assert (task["tags"], task["startedBy"]) == (tags, "deployment-1")
        assert [item["lastStatus"] for item in task["containers"]] == ["PENDING"]
        assert task["attachments"][0]["details"] == [{"name": "subnetId", "value": "subnet-1"}]
        assert abs(task["createdAt"].timestamp() - time.time()) < 5

    @pytest.mark.parametrize("count", [0, 11, -1])
    def test_not_none_and_not_more_than_ten(self, launch: Launch, count: int) -> None:
        assert refused(launch, count=count)[0] == "InvalidParameterException"

    def test_containers_without_overrides_are_answered_by_name(self, launch: Launch) -> None:
        task = launch(taskDefinition="worker-with-sidecar", overrides=command("x"))["tasks"][0]
        assert [item["name"] for item in task["overrides"]["containerOverrides"]] == ["airflow", "sidecar"]
        assert [item["name"] for item in task["containers"]] == ["sidecar", "airflow"]

    def test_cpu_and_memory_can_be_overridden(self, launch: Launch) -> None:
        task = launch(overrides={"cpu": "1024", "memory": "4096"})["tasks"][0]
        assert (task["cpu"], task["memory"]) == ("1024", "4096")

    def test_a_capacity_provider_takes_the_place_of_the_launch_type(self, launch: Launch) -> None:
        strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}, {"capacityProvider": "FARGATE", "weight": 0}]
        task = launch(launchType=None, capacityProviderStrategy=strategy)["tasks"][0]
        assert (task["capacityProviderName"], task["launchType"]) == ("FARGATE_SPOT", "FARGATE")

    def test_without_either_the_cluster_s_default_strategy_decides(self, launch: Launch, client: Any) -> None:
        client.create_cluster(
            clusterName="spot",
            capacityProviders=["FARGATE", "FARGATE_SPOT"],
            defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        )
        assert launch(cluster="spot", launchType=None)["tasks"][0]["capacityProviderName"] == "FARGATE_SPOT"

    def test_and_then_ec2(self, launch: Launch) -> None:
        task = launch(launchType=None)["tasks"][0]
        assert task["launchType"] == "EC2" and "platformVersion" not in task and "containerInstanceArn" in task

    def test_tags_of_the_definition_are_taken_over_on_request(self, launch: Launch, client: Any) -> None:
        tags = [{"key": "a", "value": "definition"}, {"key": "b", "value": "definition"}]
        client.register_task_definition(**TASK_DEFINITION, tags=tags)
        own = {"propagateTags": "TASK_DEFINITION", "tags": [{"key": "a", "value": "own"}]}
        task = launch(taskDefinition="other", launchType="EC2", networkConfiguration=None, **own)["tasks"][0]
        assert task["tags"] == [{"key": "a", "value": "own"}, {"key": "b", "value": "definition"}]

    def test_overrides_have_8192_characters_at_most(self, launch: Launch) -> None:
        frame = len(json.dumps(command(""), separators=(",", ":")))
        assert launch(overrides=command("x" * (8192 - frame)))["tasks"]
        assert refused(launch, overrides=command("x" * (8193 - frame))) == (
            "InvalidParameterException",
            "Container Overrides length must be at most 8192",
        )
        assert launch(overrides=command("é" * (8192 - frame)))["tasks"]  # characters, not bytes

    @pytest.mark.parametrize(
        ("parameters", "code", "part"),
        [
            ({"cluster": "other"}, "ClusterNotFoundException", "Cluster not found."),
            ({"cluster": None}, "ClusterNotFoundException", "Cluster not found."),
            ({"taskDefinition": "other"}, "ClientException", "TaskDefinition not found."),
            ({"taskDefinition": "worker:2"}, "ClientException", "TaskDefinition not found."),
            ({"taskDefinition": ""}, "ClientException", "blank"),
            ({"taskDefinition": None}, "InvalidParameterException", "taskDefinition"),
            (
                {"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
                "InvalidParameterException",
                "both a launch type and capacity provider strategy",
            ),
            (
                {"launchType": None, "capacityProviderStrategy": [{"capacityProvider": "mine"}]},
                "InvalidParameterException",
                "not associated with the cluster",
            ),
            (
                {"networkConfiguration": None},
                "InvalidParameterException",
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            ),
            (
                {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet"] * 17}}},
                "InvalidParameterException",
                "at most 16",
            ),
            (
                {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"], "securityGroups": ["sg"] * 6}}},
                "InvalidParameterException",
                "at most 5",
            ),
            (
                {"networkConfiguration": {"awsvpcConfiguration": {"securityGroups": ["sg"]}}},
                "InvalidParameterException",
                "subnets",
            ),
            ({"launchType": "EC2", "platformVersion": "LATEST"}, "InvalidParameterException", "platform version"),
            ({"launchType": "fargate"}, "InvalidParameterException", "[EC2, FARGATE, "),
            ({"launchType": "EXTERNAL"}, "InvalidParameterException", "does not support launch_type EXTERNAL"),
            (
                {"overrides": {"containerOverrides": [{"name": "main"}]}},
                "InvalidParameterException",
                "Override for container named main is not a container in the TaskDefinition.",
            ),
            ({"startedBy": "x" * 129}, "InvalidParameterException", "startedBy"),
            ({"startedBy": "a b"}, "InvalidParameterException", "startedBy"),
            ({"clientToken": "x" * 65}, "InvalidParameterException", "token"),
            ({"clientToken": "a b"}, "InvalidParameterException", "token"),
            ({"tags": [{"key": str(n), "value": ""} for n in range(51)]}, "InvalidParameterException", "50"),
            ({"tags": [{"key": "k" * 129, "value": ""}]}, "InvalidParameterException", "128"),
            ({"tags": [{"key": "k", "value": "v" * 257}]}, "InvalidParameterException", "256"),
            ({"tags": [{"key": "k", "value": "a;b"}]}, "InvalidParameterException", "invalid characters"),
            ({"tags": [{"key": "aws:k", "value": "v"}]}, "InvalidParameterException", "aws:"),
            ({"tags": [{"key": "k", "value": "1"}, {"key": "k", "value": "2"}]}, "InvalidParameterException", "Duplic"),
            ({"count": "1"}, "SerializationException", "count must be a whole number"),
            ({"overrides": []}, "SerializationException", "overrides must be a structure"),
            ({"tags": {}}, "SerializationException", "tags must be a list"),
            ({"enableExecuteCommand": 1}, "SerializationException", "true or false"),
            ({"taskdefinition": "worker"}, "InvalidParameterException", "Unknown parameter: taskdefinition"),
            ({"overrides": {"containeroverrides": []}}, "InvalidParameterException", "overrides.containeroverrides"),
        ],
    )
    def test_wrong_requests_are_refused_and_launch_nothing(
        self, server: EcsApi, ecs: EcsApi, parameters: dict[str, Any], code: str, part: str
    ) -> None:
        status, document = raw(server, "RunTask", json.dumps({**USUAL, **parameters}))
        assert (status, document["__type"]) == (400, code)
        assert part in document["message"]
        assert ecs.tasks() == []


class TestClientTokens:
    def test_the_same_request_is_the_same_task_as_it_is_now(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        first = launch(clientToken="token", count=2, overrides=command("a"))
        reaches(client, arns(first)[1], "RUNNING")
        second = launch(clientToken="token", count=2, overrides=command("a"))
        assert arns(second) == arns(first)
        assert [task["lastStatus"] for task in second["tasks"]] == ["RUNNING", "RUNNING"]
        assert len(ecs.tasks()) == 2

    def test_another_request_is_a_conflict_that_names_the_tasks(self, launch: Launch, client: Any) -> None:
        first = launch(clientToken="token")
        with pytest.raises(client.exceptions.ConflictException) as caught:
            launch(clientToken="token", startedBy="other")
        assert caught.value.response["resourceIds"] == arns(first)

    def test_another_cluster_knows_nothing_of_it(self, launch: Launch, client: Any) -> None:
        client.create_cluster(clusterName="second")
        assert arns(launch(clientToken="token")) != arns(launch(clientToken="token", cluster="second"))

    def test_it_still_stands_for_its_task_when_that_is_forgotten(
        self, launch: Launch, client: Any, ecs: EcsApi
    ) -> None:
        ecs.configure(forget_after=0, run_seconds=0)
        first = launch(clientToken="token")
        until(lambda: client.describe_tasks(cluster=CLUSTER, tasks=arns(first))["failures"])
        assert arns(launch(clientToken="token")) == arns(first)

    def test_the_time_since_the_launch_can_be_set(self, launch: Launch, ecs: EcsApi) -> None:
        ecs.configure(run_seconds=None, token_life=0.3)
        first = launch(clientToken="token")
        assert arns(launch(clientToken="token")) == arns(first)
        until(lambda: arns(launch(clientToken="token")) != arns(first))

    def test_and_that_since_the_end_of_the_last_task(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.configure(run_seconds=None, token_life_after_stop=0)
        first = launch(clientToken="token", count=2)
        for arn in arns(first):
            assert arns(launch(clientToken="token", count=2)) == arns(first)
            ecs.finish(arn)
            reaches(client, arn, "STOPPED")
        assert arns(launch(clientToken="token", count=2)) != arns(first)

    def test_a_refused_request_does_not_use_it_up(self, launch: Launch, ecs: EcsApi) -> None:
        ecs.configure(max_running_tasks=0)
        refused(launch, clientToken="token")
        ecs.configure(max_running_tasks=None)
        assert launch(clientToken="token", startedBy="other")["tasks"]


class TestExecuteCommand:
    def test_it_needs_a_task_role_of_the_definition_or_of_the_request(self, launch: Launch) -> None:
        code, message = refused(launch, enableExecuteCommand=True)
        assert code == "InvalidParameterException" and "a valid task role is not being used" in message
        role = "arn:aws:iam::123456789012:role/task"
        assert launch(enableExecuteCommand=True, overrides={"taskRoleArn": role})["tasks"]


class TestDescribeTasks:
    def test_ids_arns_and_unknown_ones(self, launch: Launch, client: Any) -> None:
        first, second = arns(launch(count=2))
        prefix = first.rpartition("/")[0]
        answer = client.describe_tasks(
            cluster=CLUSTER, tasks=[first, second.rpartition("/")[2], "0" * 32, f"{prefix}/x"]
        )
        assert arns(answer) == [first, second]
        assert answer["failures"] == [
            {"arn": f"{prefix}/{'0' * 32}", "reason": "MISSING"},
            {"arn": f"{prefix}/x", "reason": "MISSING"},
        ]

    def test_a_task_of_another_cluster_is_missing(self, launch: Launch, client: Any) -> None:
        client.create_cluster(clusterName="second")
        (arn,) = arns(launch())
        answer = client.describe_tasks(cluster="second", tasks=[arn])
        assert answer["failures"] == [{"arn": arn, "reason": "MISSING"}]

    def test_tags_are_answered_on_request(self, launch: Launch, client: Any) -> None:
        tags = [{"key": "a", "value": "b"}]
        (arn,) = arns(launch(tags=tags))
        assert described(client, arn)["tags"] == []
        assert described(client, arn, include=["TAGS"])["tags"] == tags

    def test_a_hundred_at_most_and_one_at_least(self, launch: Launch, client: Any) -> None:
        known = [arn for _ in range(10) for arn in arns(launch(count=10))]
        assert len(client.describe_tasks(cluster=CLUSTER, tasks=known)["tasks"]) == 100
        code, message = refused(client.describe_tasks, cluster=CLUSTER, tasks=[*known, "more"])
        assert (code, message) == ("InvalidParameterException", "Tasks cannot be more than 100.")
        assert refused(client.describe_tasks, cluster=CLUSTER, tasks=[])[0] == "InvalidParameterException"


class TestLife:
    def test_every_state_is_seen_in_order_with_its_times(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.configure(start_seconds=0.6, run_seconds=0.2, deprovision_seconds=0.2)
        (arn,) = arns(launch())
        seen: list[tuple[str, str]] = []
        while not seen or seen[-1][0] != "STOPPED":
            task = described(client, arn)
            state = (task["lastStatus"], task["containers"][0]["lastStatus"])
            if state not in seen:
                seen.append(state)
        places = [LIFE.index(status) for status, _ in seen]
        assert places == sorted(places)
        assert [state for state in seen if state[0] in ("PENDING", "ACTIVATING", "RUNNING", "DEPROVISIONING")] == [
            ("PENDING", "PENDING"),
            ("ACTIVATING", "PENDING"),
            ("RUNNING", "RUNNING"),
            ("DEPROVISIONING", "STOPPED"),
        ]
        times = [
            "createdAt",
            "pullStartedAt",
            "pullStoppedAt",
            "startedAt",
            "stoppingAt",
            "executionStoppedAt",
            "stoppedAt",
        ]
        assert [task[name] for name in times] == sorted(task[name] for name in times)
        assert (task["stopCode"], task["stoppedReason"], task["desiredStatus"]) == (
            "EssentialContainerExited",
            "Essential container in task exited",
            "STOPPED",
        )
        assert task["containers"][0]["exitCode"] == 0 and task["version"] > 5
        assert task["attachments"][0]["status"] == "DELETED"

    def test_the_exit_code_is_there_while_the_task_is_still_being_put_away(
        self, launch: Launch, client: Any, ecs: EcsApi
    ) -> None:
        ecs.configure(run_seconds=0, exit_code=3, deprovision_seconds=30)
        task = reaches(client, arns(launch())[0], "DEPROVISIONING")
        assert (task["containers"][0]["lastStatus"], task["containers"][0]["exitCode"]) == ("STOPPED", 3)
        assert "stoppedAt" not in task and "executionStoppedAt" in task

    def test_a_running_container_has_a_runtime_id_and_an_address(self, launch: Launch, client: Any) -> None:
        task = reaches(client, arns(launch())[0], "RUNNING")
        (container,) = task["containers"]
        assert container["runtimeId"] and "exitCode" not in container
        assert container["networkInterfaces"][0]["privateIpv4Address"].startswith("10.0.")
        interface = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
        assert re.fullmatch(r"0a(:[0-9a-f]{2}){5}", interface["macAddress"])

    def test_a_stopped_task_is_forgotten_after_a_while(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.configure(run_seconds=0, forget_after=0.5)
        (arn,) = arns(launch())
        reaches(client, arn, "STOPPED")
        assert client.list_tasks(cluster=CLUSTER, desiredStatus="STOPPED")["taskArns"] == [arn]
        until(
            lambda: (
                client.describe_tasks(cluster=CLUSTER, tasks=[arn])["failures"] == [{"arn": arn, "reason": "MISSING"}]
            )
        )
        assert client.list_tasks(cluster=CLUSTER, desiredStatus="STOPPED")["taskArns"] == []
        assert [(task["arn"], task["forgotten"]) for task in ecs.tasks()] == [(arn, True)]


class TestStopTask:
    def test_a_running_task_gets_its_signal_and_ends(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.configure(stop_seconds=2)  # STOPPING has to be seen on a busy machine, too
        (arn,) = arns(launch())
        reaches(client, arn, "RUNNING")
        task = client.stop_task(cluster=CLUSTER, task=arn, reason="enough")["task"]
        assert (task["lastStatus"], task["desiredStatus"]) == ("RUNNING", "STOPPED")
        assert reaches(client, arn, "STOPPING")["containers"][0]["lastStatus"] == "RUNNING"
        task = reaches(client, arn, "STOPPED")
        assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
        assert task["containers"][0]["exitCode"] == 143

    def test_a_task_that_does_not_run_yet_ends_without_exit_code(
        self, launch: Launch, client: Any, ecs: EcsApi
    ) -> None:
        ecs.configure(start_seconds=60)
        (arn,) = arns(launch())
        client.stop_task(cluster=CLUSTER, task=arn)
        task = reaches(client, arn, "STOPPED")
        assert "exitCode" not in task["containers"][0] and "startedAt" not in task
        assert task["stopCode"] == "UserInitiated"

    def test_a_stopped_task_is_only_described(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.configure(run_seconds=0)
        (arn,) = arns(launch())
        reaches(client, arn, "STOPPED")
        task = client.stop_task(cluster=CLUSTER, task=arn.rpartition("/")[2], reason="late")["task"]
        assert (task["taskArn"], task["stopCode"]) == (arn, "EssentialContainerExited")

    def test_the_first_reason_counts(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.configure(stop_seconds=0.1)
        (arn,) = arns(launch())
        client.stop_task(cluster=CLUSTER, task=arn, reason="first")
        client.stop_task(cluster=CLUSTER, task=arn, reason="second")
        assert reaches(client, arn, "STOPPED")["stoppedReason"] == "first"

    def test_unknown_tasks_and_long_reasons_are_refused(self, launch: Launch, client: Any) -> None:
        assert refused(client.stop_task, cluster=CLUSTER, task="0" * 32) == (
            "InvalidParameterException",
            "The referenced task was not found.",
        )
        (arn,) = arns(launch())
        code, _ = refused(client.stop_task, cluster=CLUSTER, task=arn, reason="x" * 256)
        assert code == "InvalidParameterException"


class TestListTasks:
    def test_by_desired_status(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.configure(stop_seconds=30)
        first, second = arns(launch(count=2))
        reaches(client, first, "RUNNING")
        client.stop_task(cluster=CLUSTER, task=first)
        assert client.list_tasks(cluster=CLUSTER)["taskArns"] == [second]
        assert client.list_tasks(cluster=CLUSTER, desiredStatus="STOPPED")["taskArns"] == [first]
        assert client.list_tasks(cluster=CLUSTER, desiredStatus="PENDING")["taskArns"] == []

    def test_by_who_started_them_family_and_launch_type(self, launch: Launch, client: Any) -> None:
        (mine,) = arns(launch(startedBy="me"))
        (other,) = arns(launch(startedBy="you", taskDefinition="worker-with-sidecar", launchType="EC2"))
        assert client.list_tasks(cluster=CLUSTER, startedBy="me")["taskArns"] == [mine]
        assert client.list_tasks(cluster=CLUSTER, startedBy="nobody")["taskArns"] == []
        assert client.list_tasks(cluster=CLUSTER, family="worker-with-sidecar")["taskArns"] == [other]
        assert client.list_tasks(cluster=CLUSTER, launchType="EC2")["taskArns"] == [other]

    def test_pages_hold_each_task_once_though_tasks_come_and_go(self, launch: Launch, client: Any) -> None:
        known = [arn for _ in range(25) for arn in arns(launch(count=10, startedBy="me"))]
        page = client.list_tasks(cluster=CLUSTER, startedBy="me")
        found = page["taskArns"]
        assert len(found) == 100
        client.stop_task(cluster=CLUSTER, task=known[0])
        launch(startedBy="me")
        while "nextToken" in page:
            page = client.list_tasks(cluster=CLUSTER, startedBy="me", nextToken=page["nextToken"], maxResults=60)
            found += page["taskArns"]
        assert found[:250] == known and len(found) == 251

    def test_wrong_filters_are_refused(self, client: Any) -> None:
        wrong: list[dict[str, Any]] = [
            {"startedBy": "me", "family": "worker"},
            {"startedBy": "me", "launchType": "FARGATE"},
            {"maxResults": 101},
            {"nextToken": "x"},
            {"desiredStatus": "running"},
            {"startedBy": "a b"},
        ]
        codes = [refused(client.list_tasks, cluster=CLUSTER, **parameters)[0] for parameters in wrong]
        assert codes == ["InvalidParameterException"] * len(wrong)
        assert refused(client.list_tasks, cluster=CLUSTER, serviceName="s")[0] == "ServiceNotFoundException"


class TestTaskDefinitions:
    def test_revisions_count_up_and_the_latest_active_one_is_meant(self, launch: Launch, client: Any) -> None:
        tags = [{"key": "a", "value": "b"}]
        first = client.register_task_definition(**TASK_DEFINITION)["taskDefinition"]
        client.register_task_definition(**TASK_DEFINITION, tags=tags)
        assert (first["revision"], first["status"], first["containerDefinitions"][0]["essential"]) == (
            1,
            "ACTIVE",
            True,
        )
        answer = client.describe_task_definition(taskDefinition="other", include=["TAGS"])
        assert (answer["taskDefinition"]["revision"], answer["tags"]) == (2, tags)
        answer = client.describe_task_definition(taskDefinition="other")
        assert answer["tags"] == []
        client.deregister_task_definition(taskDefinition="other:2")
        assert client.describe_task_definition(taskDefinition="other")["taskDefinition"]["revision"] == 1
        task = launch(taskDefinition="other", launchType="EC2", networkConfiguration=None)["tasks"][0]
        assert task["taskDefinitionArn"] == first["taskDefinitionArn"] and task["attachments"] == []

    def test_an_inactive_one_is_described_but_not_run(self, launch: Launch, client: Any) -> None:
        client.deregister_task_definition(taskDefinition="worker:1")
        found = client.describe_task_definition(taskDefinition="worker:1")["taskDefinition"]
        assert found["status"] == "INACTIVE" and found["deregisteredAt"]
        inactive = ("ClientException", "TaskDefinition is inactive")
        assert refused(launch, taskDefinition="worker:1") == inactive
        assert refused(launch, taskDefinition=found["taskDefinitionArn"]) == inactive
        assert refused(launch, taskDefinition="worker") == ("ClientException", "TaskDefinition not found.")

    def test_they_are_listed_by_family_and_status(self, client: Any) -> None:
        client.register_task_definition(**TASK_DEFINITION)
        client.deregister_task_definition(taskDefinition="worker:1")

        def listed(**parameters: Any) -> list[str]:
            found = client.list_task_definitions(**parameters)["taskDefinitionArns"]
            return [arn.rpartition("/")[2] for arn in found]

        assert listed() == ["other:1", "worker-with-sidecar:1"]
        assert listed(sort="DESC", maxResults=1) == ["worker-with-sidecar:1"]
        assert listed(familyPrefix="worker", status="INACTIVE") == ["worker:1"]

    @pytest.mark.parametrize(
        "change",
        [
            {"family": "a b"},
            {"containerDefinitions": []},
            {"containerDefinitions": [{"name": "main", "image": "image"}]},
            {"containerDefinitions": [{"name": "main", "image": "image", "memory": 4}] * 2},
            {"requiresCompatibilities": ["FARGATE"]},
            {"requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "memory": "512"},
        ],
    )
    def test_wrong_ones_are_refused(self, client: Any, change: dict[str, Any]) -> None:
        code, _ = refused(client.register_task_definition, **{**TASK_DEFINITION, **change})
        assert code in ("ClientException", "InvalidParameterException")

    @pytest.mark.parametrize(
        ("main", "others", "task", "message"),
        [
            ({"dependsOn": [{"containerName": "x", "condition": "START"}]}, [], {},
             "Cannot depend on container + 'x' because it does not exist"),
            ({"volumesFrom": [{"sourceContainer": "x"}]}, [], {},
             "Cannot depend on container + 'x' because it does not exist"),
            ({"dependsOn": [{"containerName": "other", "condition": "SUCCESS"}]}, [{}], {},
             "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"),
            ({"dependsOn": [{"containerName": "other", "condition": "START"}]},
             [{"dependsOn": [{"containerName": "main", "condition": "START"}]}], {},
             "Container dependencies have a cycle: "),
            ({"mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}, [], {"volumes": [{"name": "x"}]},
             "Unknown volume 'data'."),
            ({"logConfiguration": {"logDriver": "awslogs"}}, [], {},
             "Log driver awslogs requires options: awslogs-region, awslogs-group"),
            ({"secrets": [{"name": "KEY", "valueFrom": "key"}], "environment": [{"name": "KEY", "value": "x"}]}, [], {},
             "The secret name must be unique and not shared with any new or existing environment variables set on the "
             "container, such as 'KEY'."),
            ({"secrets": [{"name": "KEY", "valueFrom": "key"}]}, [], {},
             "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."),
            ({"logConfiguration": {"logDriver": "awslogs", "options": AWSLOGS}}, [], FARGATE,
             "Fargate requires task definition to have execution role ARN to support log driver awslogs."),
            ({"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/worker:1"}, [], FARGATE,
             "Fargate requires task definition to have execution role ARN to support ECR images."),
            ({}, [], {"cpu": "much"}, "Invalid 'cpu' setting for task."),
            ({"cpu": 300}, [{"cpu": 213}], {"cpu": "0.5 vCPU"},
             "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'."),
        ],
    )  # fmt: skip
    def test_contradictions_are_refused_in_aws_s_words(
        self, client: Any, main: dict[str, Any], others: list[dict[str, Any]], task: dict[str, Any], message: str
    ) -> None:
        base = TASK_DEFINITION["containerDefinitions"][0]
        containers = [{**base, **main}, *({**base, "name": "other", **other} for other in others)]
        definition = {**TASK_DEFINITION, "containerDefinitions": containers, **task}
        code, text = refused(client.register_task_definition, **definition)
        assert code == "ClientException" and text.startswith(message)

    def test_what_needs_an_execution_role_is_taken_with_one(self, client: Any) -> None:
        container = {
            "name": "main",
            "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/worker:1",
            "logConfiguration": {"logDriver": "awslogs", "options": AWSLOGS},
            "secrets": [{"name": "KEY", "valueFrom": "key"}],
            "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}],
        }
        init = {"name": "init", "image": "image", "essential": False}
        role = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"
        client.register_task_definition(
            family="worker", containerDefinitions=[container, init], executionRoleArn=role, **FARGATE
        )

    def test_an_override_may_not_set_what_is_a_secret(self, client: Any, launch: Launch) -> None:
        container = {"name": "main", "image": "image", "secrets": [{"name": "KEY", "valueFrom": "key"}]}
        client.register_task_definition(
            family="worker", containerDefinitions=[container], executionRoleArn="arn:aws:iam::1:role/x", **FARGATE
        )
        overrides = [{"name": "main", "environment": [{"name": "KEY", "value": "x"}]}]
        code, text = refused(launch, overrides={"containerOverrides": overrides})
        assert code == "InvalidParameterException" and text.endswith("such as 'KEY'.")

    def test_unknown_ones_too(self, client: Any) -> None:
        assert refused(client.describe_task_definition, taskDefinition="nothing") == (
            "ClientException",
            "Unable to describe task definition.",
        )
        assert refused(client.deregister_task_definition, taskDefinition="worker")[0] == "ClientException"


class TestClusters:
    def test_the_two_of_a_fresh_server_and_what_it_holds(self, launch: Launch, client: Any) -> None:
        (arn,) = arns(launch())
        reaches(client, arn, "RUNNING")
        answer = client.describe_clusters(clusters=[CLUSTER, "other"], include=["TAGS", "SETTINGS", "STATISTICS"])
        (cluster,) = answer["clusters"]
        assert (cluster["status"], cluster["runningTasksCount"], cluster["pendingTasksCount"]) == ("ACTIVE", 1, 0)
        assert answer["failures"] == [{"arn": "arn:aws:ecs:us-east-1:123456789012:cluster/other", "reason": "MISSING"}]
        assert client.list_clusters()["clusterArns"] == [cluster["clusterArn"]]


def raw(server: EcsApi, operation: str, body: str) -> tuple[int, dict[str, Any]]:
    """A call without boto3: the status and the answer."""
    connection = http.client.HTTPConnection(server.url.split("//")[1], timeout=10)
    try:
        headers = {"X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}"}
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


class TestProtocol:
    @pytest.mark.parametrize("body", ["{", "[]", '"x"', "\udcff"])
    def test_a_request_that_cannot_be_read_is_refused(self, server: EcsApi, body: str) -> None:
        status, document = raw(server, "ListTasks", body.encode("utf-8", "surrogateescape").decode("latin-1"))
        assert (status, document["__type"]) == (400, "SerializationException")

    @pytest.mark.parametrize("operation", ["", "CreateService", "runTask"])
    def test_unknown_operations_too(self, server: EcsApi, operation: str) -> None:
        status, document = raw(server, operation, "{}")
        assert (status, document["__type"]) == (400, "UnknownOperationException")

    def test_null_is_the_same_as_nothing(self, server: EcsApi, ecs: EcsApi) -> None:
        status, document = raw(server, "ListTasks", '{"cluster": "airflow", "startedBy": null, "maxResults": null}')
        assert (status, document) == (200, {"taskArns": []})

    def test_an_empty_body_is_an_empty_request(self, server: EcsApi, ecs: EcsApi) -> None:
        status, document = raw(server, "ListClusters", "")
        assert (status, len(document["clusterArns"])) == (200, 1)
