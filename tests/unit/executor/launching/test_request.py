from __future__ import annotations

import copy
import enum
import json
import types

import pytest
from airflow_ecs_executor.config.reader import read_settings
from airflow_ecs_executor.config.settings import with_cluster_default
from airflow_ecs_executor.launching.request import ExecutorConfigError, build_run_task, check_length

from tests.unit.executor.harness import Configuration

COMMAND = ["airflow", "tasks", "run", "dag", "task", "run"]
IDENTITY = {"AIRFLOW_ECS_TASK_INSTANCE": "0123"}
TAGS = [{"key": "airflow:dag_id", "value": "dag"}, {"key": "airflow:task_id", "value": "task"}]
MARK = {"name": "AIRFLOW_IS_EXECUTOR_CONTAINER", "value": "true"}
OURS = [{"name": "AIRFLOW_ECS_TASK_INSTANCE", "value": "0123"}, MARK]


OPTIONS = {"cluster": "airflow", "container_name": "worker", "task_definition": "jobs", "subnets": "subnet-1"}


def settings_of(run_task_kwargs=None, **values):
    if run_task_kwargs is not None:
        values["run_task_kwargs"] = json.dumps(run_task_kwargs)
    return read_settings(Configuration({**OPTIONS, **values}), {})


FARGATE = settings_of(launch_type="FARGATE")
EC2 = settings_of(launch_type="EC2", assign_public_ip="True", platform_version="1.4.0")


def build(executor_config=None, settings=FARGATE, command=COMMAND, environment=IDENTITY, started_by="us", tags=()):
    request = build_run_task(
        settings, command, executor_config, environment=environment, started_by=started_by, tags=tags
    )
    check_length(settings.container_name, request)
    return request


def overrides_of(*containers, **more):
    return {"overrides": {"containerOverrides": list(containers), **more}}


def ours(request):
    (container,) = [entry for entry in request["overrides"]["containerOverrides"] if entry["name"] == "worker"]
    return container


def refusal(executor_config, settings=FARGATE, **more):
    with pytest.raises(ExecutorConfigError) as caught:
        build(executor_config, settings, **more)
    return str(caught.value)


# Without executor_config


@pytest.mark.parametrize("executor_config", [None, {}, types.MappingProxyType({})])
def test_the_request_of_a_task_without_executor_config(executor_config):
    assert build(executor_config, tags=TAGS) == {
        "cluster": "airflow",
        "count": 1,
        "taskDefinition": "jobs",
        "launchType": "FARGATE",
        "platformVersion": "LATEST",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "DISABLED"}},
        "overrides": {"containerOverrides": [{"name": "worker", "command": COMMAND, "environment": OURS}]},
        "startedBy": "us",
        "tags": TAGS,
    }


def test_no_tags_means_no_parameter():
    assert "tags" not in build(tags=[])


# Copies


def test_nothing_that_was_given_is_changed_or_shared():
    executor_config = {
        **overrides_of({"name": "worker", "environment": [{"name": "A", "value": "1"}]}, {"name": "proxy", "cpu": 1}),
        "networkConfiguration": {"awsvpcConfiguration": {"securityGroups": ["sg-1"]}},
        "tags": [{"key": "team", "value": "data"}],
    }
    settings = settings_of({"tags": {"a": "b"}, "overrides": {"containerOverrides": [{"name": "worker", "cpu": 1}]}})
    command, environment, tags = list(COMMAND), dict(IDENTITY), copy.deepcopy(TAGS)
    given = (executor_config, dict(settings.run_task), command, environment, tags)
    before = copy.deepcopy(given)
    first = build(executor_config, settings, command, environment, "us", tags)
    expected = copy.deepcopy(first)

    def spoil(value):
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            spoil(item)
        if isinstance(value, dict):
            value["spoiled"] = True
        elif isinstance(value, list):
            value.append("spoiled")

    spoil(first)
    assert given == before
    assert build(executor_config, settings, command, environment, "us", tags) == expected


# Merging


def test_dicts_merge_and_lists_replace():
    settings = settings_of(
        {
            "overrides": {"cpu": "256", "memory": "512", "containerOverrides": [{"name": "worker", "cpu": 1}]},
            "placementStrategy": [{"type": "random"}],
        },
        launch_type="EC2",
        security_groups="sg-1",
    )
    request = build(
        {
            "overrides": {"memory": "2048"},
            "placementStrategy": [{"type": "spread", "field": "host"}],
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-9"]}},
            "enableExecuteCommand": True,
        },
        settings,
    )
    assert request["overrides"]["cpu"] == "256" and request["overrides"]["memory"] == "2048"
    assert ours(request)["cpu"] == 1
    assert request["placementStrategy"] == [{"type": "spread", "field": "host"}]
    assert request["networkConfiguration"] == {
        "awsvpcConfiguration": {"subnets": ["subnet-9"], "securityGroups": ["sg-1"]}
    }
    assert request["enableExecuteCommand"] is True


def test_the_list_of_containers_replaces_that_of_the_settings():
    settings = settings_of(overrides_of({"name": "worker", "cpu": 1}, {"name": "proxy", "cpu": 2}))
    request = build(overrides_of({"name": "worker", "memory": 3}), settings)
    (container,) = request["overrides"]["containerOverrides"]
    assert container["memory"] == 3 and "cpu" not in container


@pytest.mark.parametrize("containers", [[], [{"name": "proxy", "cpu": 1}], [{"name": "proxy"}, {"name": "agent"}]])
def test_our_container_is_added_where_the_users_list_lacks_it(containers):
    request = build(overrides_of(*containers))
    assert request["overrides"]["containerOverrides"] == [
        *containers,
        {"name": "worker", "command": COMMAND, "environment": OURS},
    ]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_our_container_is_found_by_name_and_sidecars_stay_as_they_are(place):
    sidecars = [
        {"name": "proxy", "command": ["serve"], "environment": [{"name": "A", "value": "1"}]},
        {"name": "agent"},
    ]
    containers = [*sidecars[:place], {"name": "worker", "memoryReservation": 64}, *sidecars[place:]]
    request = build(overrides_of(*containers))
    found = request["overrides"]["containerOverrides"]
    assert found[place]["command"] == COMMAND and found[place]["memoryReservation"] == 64
    assert [entry for entry in found if entry["name"] != "worker"] == sidecars


def test_a_parameter_that_is_not_known_is_passed_on_as_it_is():
    assert build({"brand_new": {"inner_key": [1, 2.5, True]}})["brand_new"] == {"inner_key": [1, 2.5, True]}


def test_none_counts_as_not_given():
    assert build({"launchType": None, "overrides": {"cpu": None}}) == build()


class Size(str, enum.Enum):
    LARGE = "4096"


class Count(enum.IntEnum):
    ONE = 1


def test_texts_and_numbers_of_other_classes_become_plain():
    request = build({"overrides": {"cpu": Size.LARGE, "ephemeralStorage": {"sizeInGiB": Count.ONE}}, "group": ("x",)})
    assert type(request["overrides"]["cpu"]) is str and request["overrides"]["cpu"] == "4096"
    assert type(request["overrides"]["ephemeralStorage"]["sizeInGiB"]) is int
    assert request["group"] == ["x"]


def test_a_count_of_one_and_the_executors_own_cluster_pass():
    assert build({"count": 1, "cluster": "airflow"}) == build()


# Environment


def test_ours_are_added_to_the_users_variables():
    mine = [{"name": "B", "value": ""}, {"name": "A", "value": "1"}]
    assert ours(build(overrides_of({"name": "worker", "environment": mine})))["environment"] == mine + OURS


def test_ours_replace_those_of_the_same_name():
    mine = [
        {"name": "AIRFLOW_IS_EXECUTOR_CONTAINER", "value": "false"},
        {"name": "A", "value": "1"},
        {"name": "AIRFLOW_ECS_TASK_INSTANCE", "value": "fake"},
    ]
    request = build(overrides_of({"name": "worker", "environment": mine}))
    assert ours(request)["environment"] == [{"name": "A", "value": "1"}, *OURS]


def test_variables_of_the_settings_are_kept():
    settings = settings_of(overrides_of({"name": "worker", "environment": [{"name": "A", "value": "1"}]}))
    assert ours(build(None, settings))["environment"] == [{"name": "A", "value": "1"}, *OURS]


def test_the_mark_of_an_executors_container_is_always_there():
    assert ours(build(environment={}))["environment"] == [MARK]


# startedBy and tags


def test_the_users_started_by_wins():
    settings = settings_of({"startedBy": "configured"})
    assert build()["startedBy"] == "us"
    assert build(None, settings)["startedBy"] == "configured"
    assert build({"started_by": "task"}, settings)["startedBy"] == "task"


@pytest.mark.parametrize("tags", [{"team": "data"}, [{"key": "team", "value": "data"}]])
def test_ours_are_appended_to_the_users_tags(tags):
    assert build({"tags": tags}, tags=TAGS)["tags"] == [{"key": "team", "value": "data"}, *TAGS]


def test_the_users_tag_wins():
    request = build({"tags": {"airflow:dag_id": "mine"}}, tags=TAGS)
    assert request["tags"] == [{"key": "airflow:dag_id", "value": "mine"}, TAGS[1]]


def test_tags_of_the_task_replace_those_of_the_settings():
    settings = settings_of({"tags": {"a": "1"}})
    assert build(None, settings, tags=TAGS)["tags"] == [{"key": "a", "value": "1"}, *TAGS]
    assert build({"tags": {"b": "2"}}, settings)["tags"] == [{"key": "b", "value": "2"}]


@pytest.mark.parametrize("count, left", [(48, 2), (49, 1), (50, 0)])
def test_ours_give_way_to_awss_limit(count, left):
    mine = {f"k{number}": "v" for number in range(count)}
    tags = build({"tags": mine}, tags=TAGS)["tags"]
    assert len(tags) == count + left and tags[count:] == TAGS[:left]


# Capacity

STRATEGY = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
INSTANCES = [{"capacityProvider": "my-instances", "weight": 1}]


@pytest.mark.parametrize("strategy", [STRATEGY, STRATEGY[0], json.dumps(STRATEGY)])
def test_a_strategy_replaces_the_launch_type_of_the_settings(strategy):
    request = build({"capacityProviderStrategy": strategy})
    assert request["capacityProviderStrategy"] == STRATEGY and "launchType" not in request
    assert request["platformVersion"] == "LATEST"


def test_a_launch_type_replaces_the_strategy_of_the_settings():
    settings = settings_of(capacity_provider_strategy=json.dumps(STRATEGY))
    request = build({"launchType": "fargate"}, settings)
    assert request["launchType"] == "FARGATE" and "capacityProviderStrategy" not in request


@pytest.mark.parametrize(
    "config", [{"launchType": "EC2"}, {"capacityProviderStrategy": INSTANCES}, {"launchType": "EXTERNAL"}]
)
@pytest.mark.parametrize("more", [{}, {"platformVersion": "1.4.0"}])
def test_what_is_fargates_is_dropped_for_ec2(config, more):
    network = {"awsvpcConfiguration": {"subnets": ["a"], "assignPublicIp": "ENABLED"}}
    request = build({**config, **more, "networkConfiguration": network})
    assert "platformVersion" not in request
    assert request["networkConfiguration"] == {"awsvpcConfiguration": {"subnets": ["a"]}}


@pytest.mark.parametrize("config", [{"launchType": "FARGATE"}, {"capacityProviderStrategy": STRATEGY}])
def test_a_task_that_goes_to_fargate_alone_gets_what_is_fargates(config):
    assert "platformVersion" not in build(None, EC2)
    request = build(config, EC2)
    assert request["platformVersion"] == "1.4.0"
    assert request["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "ENABLED"
    assert build({**config, "platformVersion": "1.3.0"}, EC2)["platformVersion"] == "1.3.0"


def test_the_clusters_default_decides_for_a_task_that_says_nothing():
    settings = with_cluster_default(settings_of(), [{"capacityProvider": "my-instances"}])
    assert "platformVersion" not in build({"platformVersion": "1.4.0"}, settings)
    assert build({"launchType": "FARGATE"}, settings)["platformVersion"] == "LATEST"


# What a DAG author cannot have


class Raising(dict):
    def items(self):
        raise RuntimeError("boo")


class Untruthful:
    def __bool__(self):
        raise RuntimeError("boo")


CIRCLE = {}
CIRCLE["overrides"] = CIRCLE
DEEP = {}
for _ in range(5000):
    DEEP = {"a": DEEP}


@pytest.mark.parametrize(
    "executor_config, said",
    [
        ({"command": ["rm"]}, "command"),
        ({"name": "other"}, "name"),
        ({"count": 2}, "count must be 1"),
        ({"count": "1"}, "count must be 1"),
        ({"cluster": "other"}, "'airflow'"),
        ({"client_token": "x"}, "clientToken"),
        ({"launchType": "EC2", "launch_type": "EC2"}, "twice"),
        ({"launchType": 5}, "launchType"),
        ({"launch_type": "EC2", "capacityProviderStrategy": INSTANCES}, "exclude"),
        ({"startedBy": "has space"}, "128"),
        ({"tags": {"k": "a,b"}}, "tags"),
        ({"capacityProviderStrategy": "FARGATE_SPOT"}, "capacityProviderStrategy"),
        ({"capacityProviderStrategy": [{"capacityProvider": "a", "weight": 5000}]}, "weight"),
        ({"overrides": []}, "overrides must be a dict"),
        ({"networkConfiguration": ["subnet-1"]}, "networkConfiguration must be a dict"),
        ({"overrides": {"containerOverrides": {"name": "worker"}}}, "list of dicts"),
        (overrides_of({"cpu": 1}), "no 'name'"),
        (overrides_of({"name": 5}), "no 'name'"),
        (overrides_of({"name": "worker", "Command": ["rm"]}), "command"),
        (overrides_of({"name": "worker"}, {"name": "worker"}), "two entries"),
        (overrides_of({"name": "worker", "environment": {"A": "1"}}), "environment"),
        (overrides_of({"name": "worker", "environment": [{"name": "A", "value": 1}]}), "environment"),
        ({"overrides": {"cpu": object()}}, "overrides.cpu is of the type object"),
        ({"pod_override": Untruthful()}, "Untruthful"),
        ({"overrides": {"cpu": {1, 2}}}, "set"),
        ({"overrides": {"memory": b"512"}}, "bytes"),
        ({"overrides": {"memory": float("nan")}}, "nan"),
        ({"overrides": {5: "x"}}, "keys must be strings"),
        (CIRCLE, "nested too deeply"),
        (DEEP, "nested too deeply"),
        (Raising(a=1), "RuntimeError"),
        ([], "must be a dict"),
        ("", "must be a dict"),
        (Untruthful(), "must be a dict"),
    ],
)
def test_an_executor_config_that_cannot_be_used_is_refused_with_the_reason(executor_config, said):
    assert said in refusal(executor_config)


def test_a_refused_command_tells_the_right_place_for_other_settings():
    text = refusal({"command": ["x"], "memory": 512})
    assert "overrides.containerOverrides" in text and "'worker'" in text


# The length


def padded(length, part):
    """An executor_config or a command that makes the overrides ``length`` characters long."""
    empty = build(overrides_of({"name": "worker", "environment": [{"name": "A", "value": ""}]}), command=["x"])
    fill = length - len(json.dumps(empty["overrides"], separators=(",", ":"), ensure_ascii=False))
    value = "y" * fill if part == "environment" else ""
    command = ["x" + "y" * fill] if part == "command" else ["x"]
    return overrides_of({"name": "worker", "environment": [{"name": "A", "value": value}]}), command


@pytest.mark.parametrize("part", ["command", "environment"])
def test_8192_characters_pass(part):
    config, command = padded(8192, part)
    overrides = build(config, command=command)["overrides"]
    assert len(json.dumps(overrides, separators=(",", ":"))) == 8192


@pytest.mark.parametrize("part, other", [("command", "environment"), ("environment", "command")])
def test_8193_characters_are_refused_with_what_takes_the_room(part, other):
    config, command = padded(8193, part)
    text = refusal(config, command=command)
    assert "8,193" in text and "8,192" in text
    assert text.index(f"the {part}") < text.index(f"the {other}")


def test_a_character_counts_once_whatever_its_script():
    config = overrides_of({"name": "worker", "environment": [{"name": "A", "value": "ü" * 7800}]})
    assert build(config)
    config["overrides"]["containerOverrides"][0]["environment"][0]["value"] = '"' * 4200
    assert "environment" in refusal(config)


def test_a_long_command_is_refused_without_executor_config_too():
    assert "the command" in refusal(None, command=["x" * 9000])
