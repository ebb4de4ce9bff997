"""Places for tasks on the local ECS: Fargate's quota of vCPUs, room on container instances, and managed scaling."""

from __future__ import annotations

import time
from typing import Any

import pytest

from local.ecs.control import EcsApi
from tests.unit.local.ecs import calls
from tests.unit.local.ecs.calls import Launch, arns, run_task

CLUSTER = "fleet"
FARGATE: dict[str, Any] = {"launchType": "FARGATE"}
INSTANCES: dict[str, Any] = {"launchType": "EC2"}
SCALING: dict[str, Any] = {"capacityProviderStrategy": [{"capacityProvider": "instances", "weight": 1}]}
SPOT: dict[str, Any] = {"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]}
VCPUS = "You’ve reached the limit on the number of vCPUs you can run concurrently"


@pytest.fixture
def launch(client: Any) -> Launch:
    """RunTask on a cluster that has Fargate and a capacity provider with managed scaling. A task has half a vCPU."""
    client.create_cluster(clusterName=CLUSTER, capacityProviders=["FARGATE", "FARGATE_SPOT", "instances"])

    def run(how: dict[str, Any], **parameters: Any) -> dict[str, Any]:
        return run_task(client, **{"cluster": CLUSTER, "launchType": None, **how, **parameters})

    return run


def reasons(answer: dict[str, Any]) -> list[str]:
    return [failure["reason"] for failure in answer["failures"]]


def reached(client: Any, arn: str, status: str) -> dict[str, Any]:
    return calls.reaches(client, arn, status, CLUSTER)


class TestFargate:
    def test_tasks_over_the_quota_of_vcpus_are_failures_until_others_end(
        self, launch: Launch, client: Any, ecs: EcsApi
    ) -> None:
        ecs.configure(max_vcpus=1)
        answer = launch(FARGATE, count=3)
        assert (len(arns(answer)), reasons(answer)) == (2, [VCPUS])
        assert reasons(launch(FARGATE)) == [VCPUS]
        ecs.finish(arns(answer)[0])
        reached(client, arns(answer)[0], "STOPPED")
        assert (len(arns(launch(FARGATE))), reasons(launch(FARGATE))) == (1, [VCPUS])

    def test_the_size_in_the_override_counts(self, launch: Launch, ecs: EcsApi) -> None:
        ecs.configure(max_vcpus=1)
        assert reasons(launch(FARGATE, overrides={"cpu": "2048"})) == [VCPUS]
        assert arns(launch(FARGATE, overrides={"cpu": "1024"}))

    def test_spot_has_a_quota_of_its_own(self, launch: Launch, ecs: EcsApi) -> None:
        ecs.configure(max_vcpus=0.5)
        assert arns(launch(FARGATE)) and arns(launch(SPOT))
        assert reasons(launch(FARGATE)) == reasons(launch(SPOT)) == [VCPUS]


class TestInstances:
    def test_without_room_the_answer_is_a_failure(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.configure(ec2_room=1)
        answer = launch(INSTANCES, count=2)
        assert (len(arns(answer)), reasons(answer)) == (1, ["RESOURCE:MEMORY"])
        assert "container-instance/fleet/" in answer["failures"][0]["arn"]
        ecs.configure(ec2_shortage="RESOURCE:ENI")
        assert reasons(launch(INSTANCES)) == ["RESOURCE:ENI"]
        client.stop_task(cluster=CLUSTER, task=arns(answer)[0])
        reached(client, arns(answer)[0], "STOPPED")
        assert arns(launch(INSTANCES))

    def test_a_failure_alone_does_not_use_a_client_token_up(self, launch: Launch, ecs: EcsApi) -> None:
        ecs.configure(ec2_room=0)
        assert launch(INSTANCES, clientToken="token")["failures"]
        ecs.configure(ec2_room=1)
        assert arns(launch(INSTANCES, clientToken="token"))


class TestManagedScaling:
    def test_a_task_waits_in_provisioning_until_its_instance_arrives(
        self, launch: Launch, client: Any, ecs: EcsApi
    ) -> None:
        ecs.configure(ec2_room=0, scale_out_seconds=0.3)
        (arn,) = arns(launch(SCALING))
        waiting = calls.described(client, arn, CLUSTER)
        assert (waiting["lastStatus"], waiting["capacityProviderName"]) == ("PROVISIONING", "instances")
        assert "containerInstanceArn" not in waiting
        task = reached(client, arn, "RUNNING")
        assert (task["startedAt"] - task["createdAt"]).total_seconds() >= 0.29
        assert ":container-instance/fleet/" in task["containerInstanceArn"]

    def test_or_until_there_is_room_in_the_order_of_launch(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.configure(ec2_room=1, scale_out_seconds=None)
        first, second, third = (arns(launch(SCALING))[0] for _ in range(3))
        reached(client, first, "RUNNING")
        ecs.finish(first)
        reached(client, second, "RUNNING")
        assert calls.described(client, third, CLUSTER)["lastStatus"] == "PROVISIONING"
        ecs.configure(ec2_room=2)
        reached(client, third, "RUNNING")

    def test_tasks_in_provisioning_are_limited_in_each_cluster(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.configure(ec2_room=1, scale_out_seconds=None, max_provisioning_tasks=2)
        waiting = arns(launch(SCALING, count=3))[2]
        limit = ("ClientException", "Tasks provisioning capacity limit exceeded.")
        assert calls.refused(launch, SCALING) == limit
        client.create_cluster(clusterName="other", capacityProviders=["instances"])
        assert arns(launch(SCALING, cluster="other"))
        client.stop_task(cluster=CLUSTER, task=waiting)
        reached(client, waiting, "STOPPED")
        assert arns(launch(SCALING))

    def test_a_task_that_is_stopped_while_it_waits_never_runs(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.configure(ec2_room=0, scale_out_seconds=None)
        (arn,) = arns(launch(SCALING))
        client.stop_task(cluster=CLUSTER, task=arn, reason="no longer")
        task = reached(client, arn, "STOPPED")
        assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "no longer")
        assert "startedAt" not in task and "containerInstanceArn" not in task
        assert "exitCode" not in task["containers"][0]

    def test_a_task_for_which_no_instance_arrives_is_stopped(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.configure(ec2_room=0, scale_out_seconds=None, provisioning_timeout=0.3)
        (arn,) = arns(launch(SCALING))
        task = reached(client, arn, "STOPPED")
        assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", "TaskFailedToStart: RESOURCE:MEMORY")
        assert (task["stoppedAt"] - task["createdAt"]).total_seconds() >= 0.29
        assert "containerInstanceArn" not in task and "exitCode" not in task["containers"][0]


class TestATaskThatNeverEnds:
    def test_it_stays_running_though_it_is_stopped(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.configure(stop_seconds=None)
        (arn,) = arns(launch(FARGATE))
        reached(client, arn, "RUNNING")
        client.stop_task(cluster=CLUSTER, task=arn)
        time.sleep(0.1)
        task = calls.described(client, arn, CLUSTER)
        assert (task["lastStatus"], task["desiredStatus"], task["stopCode"]) == ("RUNNING", "STOPPED", "UserInitiated")

    def test_until_its_program_ends_by_itself(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.configure(stop_seconds=None)
        (arn,) = arns(launch(FARGATE))
        reached(client, arn, "RUNNING")
        client.stop_task(cluster=CLUSTER, task=arn)
        ecs.finish(arn, exit_code=3)
        task = reached(client, arn, "STOPPED")
        assert (task["containers"][0]["exitCode"], task["stopCode"]) == (3, "UserInitiated")
