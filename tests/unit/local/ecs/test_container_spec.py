"""What the engine is told for the containers of a task: pure functions of the task definition and its overrides."""

from __future__ import annotations

from typing import Any

import pytest

from local.ecs.containers.spec import (
    Surroundings,
    container_spec,
    dependencies,
    environment_of,
    exit_reason,
    image_for_engine,
    override_of,
    start_levels,
    stop_seconds,
    task_size,
)

AROUND = Surroundings(
    network_container="n3t",
    environment={"ECS": "set"},
    defaults={"AWS_REGION": "us-east-1"},
    labels={"label": "ours"},
    prefix="task-",
    processors=2,
)
TASK = {"cpu": "1024", "memory": "2048"}


def spec(container: dict[str, Any], override: dict[str, Any] | None = None, **task: Any) -> dict[str, Any]:
    """The engine's request for the container ``main``."""
    overrides = {"containerOverrides": [{"name": "main", **(override or {})}], **task.pop("overrides", {})}
    return container_spec({**TASK, **task}, overrides, {"name": "main", **container}, "sha256:1", {}, AROUND)


def host(container: dict[str, Any], override: dict[str, Any] | None = None, **task: Any) -> dict[str, Any]:
    found: dict[str, Any] = spec(container, override, **task)["HostConfig"]
    return found


def test_a_task_has_the_size_of_its_overrides_first() -> None:
    assert task_size(TASK, {}) == (1024, 2048)
    assert task_size(TASK, {"cpu": "2 vCPU", "memory": "4 GB"}) == (2048, 4096)
    assert task_size({}, {}) == (None, None)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/worker:1", "127.0.0.1:5000/team/worker:1"),
        ("public.ecr.aws/debian:1", "public.ecr.aws/debian:1"),
    ],
)
def test_images_of_ecr_are_in_the_local_registry_and_others_keep_their_name(image: str, name: str) -> None:
    assert image_for_engine(image, "127.0.0.1:5000") == name


class TestCommands:
    def test_of_the_definition_is_passed(self) -> None:
        found = spec({"command": ["a"], "entryPoint": ["e"], "user": "1000", "workingDirectory": "/w"})
        assert (found["Cmd"], found["Entrypoint"], found["User"], found["WorkingDir"]) == (["a"], ["e"], "1000", "/w")

    def test_what_is_not_said_is_left_to_the_image(self) -> None:
        assert not {"Cmd", "Entrypoint", "User", "WorkingDir", "Healthcheck"} & spec({}).keys()

    def test_an_override_replaces_it(self) -> None:
        assert spec({"command": ["a"]}, {"command": ["b", "c"]})["Cmd"] == ["b", "c"]

    def test_an_override_of_another_container_does_not(self) -> None:
        overrides = {"containerOverrides": [{"name": "other", "command": ["b"]}]}
        assert override_of(overrides, "main") == {}
        assert override_of(overrides, "other")["command"] == ["b"]


class TestEnvironment:
    def test_secrets_and_files_give_way_to_the_definition_and_that_to_the_override(self) -> None:
        container = {"environment": [{"name": "B", "value": "definition"}, {"name": "C", "value": "definition"}]}
        override = {"environment": [{"name": "C", "value": "override"}]}
        injected = {"A": "file", "B": "file", "C": "file"}
        expected = {"A": "file", "B": "definition", "C": "override"}
        assert environment_of(container, override, injected) == expected

    def test_what_ecs_sets_counts_last_but_for_the_region(self) -> None:
        own = [{"name": "ECS", "value": "mine"}, {"name": "AWS_REGION", "value": "eu-west-1"}]
        assert {*spec({"environment": own})["Env"]} == {"ECS=set", "AWS_REGION=eu-west-1"}
        assert {*spec({})["Env"]} == {"ECS=set", "AWS_REGION=us-east-1"}


class TestLimits:
    def test_of_the_task_hold_for_each_container(self) -> None:
        found = host({})
        assert found["NanoCpus"] == 1_000_000_000
        assert found["Memory"] == found["MemorySwap"] == 2048 * 1024**2

    def test_of_a_container_and_its_override_count_first(self) -> None:
        assert host({"memory": 512})["Memory"] == 512 * 1024**2
        assert host({"memory": 512}, {"memory": 256})["Memory"] == 256 * 1024**2
        assert host({"cpu": 10})["CpuShares"] == 10
        assert host({"cpu": 10}, {"cpu": 20})["CpuShares"] == 20

    def test_of_the_task_s_own_overrides_too(self) -> None:
        found = host({}, overrides={"cpu": "512", "memory": "1 GB"})
        assert (found["NanoCpus"], found["Memory"]) == (500_000_000, 1024 * 1024**2)

    def test_are_no_more_than_the_engine_has(self) -> None:
        assert host({}, cpu="16 vCPU")["NanoCpus"] == 2_000_000_000
        assert host({"cpu": 1})["CpuShares"] == 2

    def test_a_reservation_is_not_above_the_limit(self) -> None:
        assert host({"memoryReservation": 128})["MemoryReservation"] == 128 * 1024**2
        assert "MemoryReservation" not in host({"memoryReservation": 4096})

    def test_without_any_there_are_none(self) -> None:
        assert not {"NanoCpus", "Memory", "CpuShares", "MemoryReservation"} & host({}, cpu=None, memory=None).keys()

    def test_ulimits_are_passed(self) -> None:
        limits = [{"name": "nofile", "softLimit": 1, "hardLimit": 2}]
        assert host({"ulimits": limits})["Ulimits"] == [{"Name": "nofile", "Soft": 1, "Hard": 2}]


class TestWhatATaskShares:
    def test_is_the_network_of_one_container(self) -> None:
        assert host({})["NetworkMode"] == "container:n3t"

    def test_and_volumes_that_are_the_task_s_alone(self) -> None:
        points = [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}]
        (mount,) = host({"mountPoints": points})["Mounts"]
        assert (mount["Source"], mount["Target"], mount["ReadOnly"]) == ("task-data", "/data", True)
        assert mount["VolumeOptions"]["Labels"] == {"label": "ours"}

    def test_or_those_of_another_container(self) -> None:
        sources = [{"sourceContainer": "other", "readOnly": True}, {"sourceContainer": "third"}]
        assert host({"volumesFrom": sources})["VolumesFrom"] == ["task-other:ro", "task-third:rw"]

    def test_labels_of_ours_cannot_be_taken(self) -> None:
        assert spec({"dockerLabels": {"a": "b", "label": "x"}})["Labels"] == {"a": "b", "label": "ours"}


def test_output_can_be_read_whatever_the_engine_s_own_driver_is() -> None:
    assert host({})["LogConfig"]["Type"] == "json-file"


def test_a_health_check_has_ecs_s_defaults_in_the_engine_s_unit() -> None:
    second = 1_000_000_000
    check = {"command": ["CMD", "x"], "startPeriod": 3}
    assert spec({"healthCheck": check})["Healthcheck"] == {
        "Test": ["CMD", "x"], "Interval": 30 * second, "Timeout": 5 * second, "Retries": 3, "StartPeriod": 3 * second,
    }  # fmt: skip


@pytest.mark.parametrize(("container", "seconds"), [({}, 30), ({"stopTimeout": 2}, 2), ({"stopTimeout": 600}, 120)])
def test_a_stop_lasts_30_seconds_or_as_told_up_to_two_minutes(container: dict[str, Any], seconds: int) -> None:
    assert stop_seconds(container) == seconds


class TestDependencies:
    def test_are_those_of_depends_on_and_of_volumes_from(self) -> None:
        container = {
            "name": "main",
            "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}],
            "volumesFrom": [{"sourceContainer": "data"}, {"sourceContainer": "init"}],
        }
        assert dependencies(container) == {"data": "START", "init": "SUCCESS"}

    def test_make_steps_in_which_containers_start(self) -> None:
        def on(name: str, *others: str) -> dict[str, Any]:
            return {"name": name, "dependsOn": [{"containerName": other, "condition": "START"} for other in others]}

        steps = start_levels([on("d", "b", "c"), on("b", "a"), on("c"), on("a")])
        assert [[item["name"] for item in step] for step in steps] == [["c", "a"], ["b"], ["d"]]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"ExitCode": 0, "OOMKilled": False, "Error": ""}, None),
        ({"ExitCode": 137, "OOMKilled": True}, "OutOfMemoryError: Container killed due to memory usage"),
        ({"ExitCode": 127, "Error": "no such file"}, "CannotStartContainerError: no such file"),
    ],
)
def test_the_reason_of_an_end_is_ecs_s(state: dict[str, Any], reason: str | None) -> None:
    assert exit_reason(state) == reason
