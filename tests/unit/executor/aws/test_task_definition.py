from __future__ import annotations

import pytest
from airflow_ecs_executor.aws.task_definition import Platform, family_of, read_definition

ARN = "arn:aws:ecs:eu-west-1:123456789012:task-definition/worker:7"


def definition(container=None, **more):
    document = {
        "taskDefinitionArn": ARN,
        "family": "worker",
        "revision": 7,
        "status": "ACTIVE",
        "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": [
            {"name": "proxy", "image": "proxy:1"},
            {"name": "airflow", "image": "example.com/worker:1", **(container or {})},
        ],
        **more,
    }
    return read_definition(document, "airflow")


def test_our_container_is_found_among_sidecars():
    found = definition()
    assert (found.name, found.arn, found.image) == ("worker:7", ARN, "example.com/worker:1")
    assert found.containers == ("proxy", "airflow")


def test_a_definition_without_our_container_has_no_image():
    assert read_definition({"containerDefinitions": [{"name": "proxy", "image": "proxy:1"}]}, "airflow").image == ""


def test_nothing_is_taken_for_granted():
    found = read_definition({}, "airflow")
    assert (found.name, found.image, found.platform) == (":0", "", None)


def test_the_environment_of_our_container():
    found = definition(
        {
            "environment": [{"name": "A", "value": "1"}, {"name": "B"}],
            "secrets": [{"name": "C", "valueFrom": "arn:…"}],
            "environmentFiles": [{"type": "s3", "value": "arn:…"}],
        }
    )
    assert found.environment == {"A": "1", "B": ""}
    assert found.secrets == {"C"} and found.environment_files
    assert not definition().environment_files


@pytest.mark.parametrize(
    ("stated", "platform"),
    [
        ({"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}, Platform("arm64", "linux")),
        ({"cpuArchitecture": "X86_64"}, Platform("amd64", "linux")),
        ({"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}, Platform("amd64", "windows")),
        ({}, Platform("amd64", "linux")),
    ],
)
def test_fargate_runs_linux_on_x86_64_unless_told_otherwise(stated, platform):
    assert definition(runtimePlatform=stated).platform == platform


def test_on_ec2_a_definition_may_leave_the_platform_to_the_instance():
    assert definition(requiresCompatibilities=["EC2"]).platform is None
    stated = definition(requiresCompatibilities=["EC2"], runtimePlatform={"cpuArchitecture": "ARM64"})
    assert stated.platform == Platform("arm64", "linux")


@pytest.mark.parametrize("name", ["worker", "worker:7", "worker:matching", ARN, ARN.replace(":7", ":matching")])
def test_the_family_is_found_in_every_way_to_name_a_definition(name):
    assert family_of(name) == "worker"
