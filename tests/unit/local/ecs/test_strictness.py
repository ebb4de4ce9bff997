"""The local ECS when it is strict: what AWS's documentation says is refused is refused."""

from __future__ import annotations

from typing import Any

import pytest

from local.ecs.control import EcsApi
from tests.unit.local.ecs.calls import CLUSTER, NETWORK, connect, refused, run_task

DEFINITION: dict[str, Any] = {
    "family": "other",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "256",
    "memory": "512",
    "containerDefinitions": [{"name": "airflow", "image": "image"}],
}
CONSTRAINT = {"type": "memberOf", "expression": "attribute:ecs.instance-type == t3.large"}


class TestListTasks:
    @pytest.mark.parametrize("status", ["RUNNING", "STOPPED"])
    def test_started_by_must_be_the_only_filter(self, client: Any, ecs: EcsApi, status: str) -> None:
        asked = {"cluster": CLUSTER, "startedBy": "me", "desiredStatus": status}
        assert client.list_tasks(**asked)["taskArns"] == []
        ecs.configure(strict=True)
        alone = ("InvalidParameterException", "cannot specify startedBy with other arguments")
        assert refused(client.list_tasks, **asked) == alone
        assert client.list_tasks(cluster=CLUSTER, startedBy="me")["taskArns"] == []
        assert client.list_tasks(cluster=CLUSTER, desiredStatus=status, family="worker")["taskArns"] == []


class TestStopTask:
    def test_it_takes_full_arns(self, client: Any, ecs: EcsApi) -> None:
        arn = run_task(client)["tasks"][0]["taskArn"]
        ecs.configure(strict=True)
        identifier = arn.rpartition("/")[2]
        assert refused(client.stop_task, cluster=CLUSTER, task=identifier)[0] == "InvalidParameterException"
        assert client.stop_task(cluster=CLUSTER, task=arn)["task"]["desiredStatus"] == "STOPPED"


class TestRunTask:
    @pytest.mark.parametrize(
        ("parameters", "part"),
        [
            ({"placementConstraints": [CONSTRAINT]}, "Placement constraints are not supported with FARGATE"),
            ({"placementConstraints": [CONSTRAINT] * 11}, "up to 10 constraints"),
            ({"placementStrategy": [{"type": "random"}]}, "Placement strategies are not supported with FARGATE"),
            ({"placementStrategy": [{"type": "random"}] * 6}, "maximum of 5 strategy rules"),
            ({"propagateTags": "SERVICE"}, "SERVICE option"),
            ({"overrides": {"cpu": "1024"}, "taskDefinition": "small"}, "No Fargate configuration exists"),
        ],
    )
    def test_what_it_refuses(self, client: Any, ecs: EcsApi, parameters: dict[str, Any], part: str) -> None:
        client.register_task_definition(**{**DEFINITION, "family": "small"})
        assert run_task(client, **parameters)["tasks"]
        ecs.configure(strict=True)
        assert part in refused(run_task, client, **parameters)[1]
        assert run_task(client)["tasks"]

    def test_a_strategy_has_at_most_20_capacity_providers(self, client: Any, ecs: EcsApi) -> None:
        ecs.configure(strict=True)
        strategy = [{"capacityProvider": "FARGATE", "weight": 1}] * 21
        asked = {"cluster": CLUSTER, "taskDefinition": "worker", "networkConfiguration": NETWORK}
        assert "maximum of 20" in refused(client.run_task, capacityProviderStrategy=strategy, **asked)[1]
        assert client.run_task(capacityProviderStrategy=strategy[:1], **asked)["tasks"]

    def test_the_platform_version_is_fargate_s(self, client: Any, ecs: EcsApi) -> None:
        containers = [{"name": "airflow", "image": "image", "memory": 128}]
        client.register_task_definition(family="anywhere", networkMode="bridge", containerDefinitions=containers)
        asked = {"cluster": CLUSTER, "taskDefinition": "anywhere", "launchType": "EXTERNAL"}
        ecs.configure(strict=True)
        assert client.run_task(**asked)["tasks"]
        assert "platform version must be null" in refused(client.run_task, platformVersion="1.4.0", **asked)[1]


class TestRegisterTaskDefinition:
    @pytest.mark.parametrize(
        ("parameters", "part"),
        [
            ({"cpu": "1024", "memory": "512"}, "No Fargate configuration exists for given values."),
            ({"cpu": ".25 vCPU", "memory": "3 GB"}, "No Fargate configuration exists for given values."),
            ({"cpu": "300"}, "No Fargate configuration exists for given values."),
            ({"placementConstraints": [CONSTRAINT]}, "Placement constraints are not supported"),
            ({"placementConstraints": [CONSTRAINT] * 11}, "maximum of 10 constraints"),
            ({"ipcMode": "task"}, "ipcMode"),
            ({"pidMode": "host"}, "pidMode"),
            ({"ephemeralStorage": {"sizeInGiB": 20}}, "from 21 to 200 GiB"),
            ({"ephemeralStorage": {"sizeInGiB": 201}}, "from 21 to 200 GiB"),
            ({"containerDefinitions": [{"name": "airflow", "image": "i", "stopTimeout": 121}]}, "120 seconds"),
            ({"containerDefinitions": [{"name": "airflow", "image": "i", "privileged": True}]}, "privileged"),
        ],
    )
    def test_what_fargate_does_not_have(self, client: Any, ecs: EcsApi, parameters: dict[str, Any], part: str) -> None:
        assert client.register_task_definition(**{**DEFINITION, **parameters})
        ecs.configure(strict=True)
        code, message = refused(client.register_task_definition, **{**DEFINITION, **parameters})
        assert code == "ClientException" and part in message
        assert client.register_task_definition(**DEFINITION)

    def test_there_are_no_ports_without_a_network(self, client: Any, ecs: EcsApi) -> None:
        container = {"name": "airflow", "image": "i", "memory": 128, "portMappings": [{"containerPort": 80}]}
        ecs.configure(strict=True)
        asked = {"family": "lonely", "networkMode": "none"}
        message = refused(client.register_task_definition, containerDefinitions=[container], **asked)[1]
        assert "port mappings" in message


class TestWhereItIsAskedFor:
    def test_the_server_is_started_strict_and_stays_so(self) -> None:
        with EcsApi(environment={"LOCAL_ECS_STRICT": "1"}) as strict:
            client = connect(strict)
            strict.reset()
            assert refused(client.list_tasks, cluster=CLUSTER, startedBy="me", desiredStatus="STOPPED")
            strict.configure(strict=False)
            assert client.list_tasks(cluster=CLUSTER, startedBy="me", desiredStatus="STOPPED")["taskArns"] == []
            client.close()


def test_described_tasks_may_lack_members(client: Any, ecs: EcsApi) -> None:
    arn = run_task(client)["tasks"][0]["taskArn"]
    ecs.configure(omit=["createdAt"])
    (task,) = client.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"]
    assert task["taskArn"] == arn and "createdAt" not in task
    ecs.configure(omit=[])
    (task,) = client.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"]
    assert "createdAt" in task
