from __future__ import annotations

import json

import pytest
from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.reader import read_settings
from airflow_ecs_executor.config.settings import with_cluster_default
from airflow_ecs_executor.config.source import ConfigurationError

REQUIRED = {"cluster": "airflow", "container_name": "worker", "task_definition": "jobs"}
OWN = frozenset(options.named("airflow_ecs_executor"))


class Conf:
    """Airflow's configuration, as far as it is read: text, or the fallback, which must be given."""

    def __init__(self, values, team=None):
        self.values = values
        self.team_name = team

    def get(self, section, key, **kwargs):
        assert section == ("airflow_ecs_executor" if key in OWN else "aws_ecs_executor")
        value = self.values.get(key, kwargs["fallback"])
        if isinstance(value, Exception):
            raise value
        assert value is None or isinstance(value, str)
        return value


def read(environ=None, team=None, **values):
    merged = {**REQUIRED, **values}
    return read_settings(Conf({key: value for key, value in merged.items() if value is not None}, team), environ or {})


def read_kwargs(run_task_kwargs, **values):
    return read(run_task_kwargs=json.dumps(run_task_kwargs), **values)


def vpc(settings):
    return settings.run_task["networkConfiguration"]["awsvpcConfiguration"]


def problems(**values):
    with pytest.raises(ConfigurationError) as caught:
        read(**values)
    return caught.value.problems


def the_problem(name, **values):
    (problem,) = problems(**values)
    assert problem.option.name == name, str(problem)
    return problem


def kwargs_problem(run_task_kwargs, **values):
    return the_problem("run_task_kwargs", run_task_kwargs=json.dumps(run_task_kwargs), **values)


def each(table):
    """The cases of a table that has several for each option."""
    return [(name, case) for name, cases in table.items() for case in cases]


# Defaults


def test_the_least_request_names_cluster_task_definition_and_container():
    settings = read()
    assert settings.use_cluster_default and settings.fargate and settings.fargate_only == {}
    assert settings.warnings == ()
    assert dict(settings.run_task) == {
        "cluster": "airflow",
        "count": 1,
        "taskDefinition": "jobs",
        "platformVersion": "LATEST",
        "overrides": {"containerOverrides": [{"name": "worker"}]},
    }


def test_empty_options_count_as_not_set():
    names = (
        "region_name launch_type capacity_provider_strategy platform_version run_task_kwargs security_groups subnets"
    )
    empty = dict.fromkeys(names.split(), "")
    assert read(**empty, assign_public_ip=" ", max_run_task_attempts="", run_task_rate="", deployment="") == read()


def test_settings_are_values_that_cannot_be_changed_by_accident():
    assert read() == read() and hash(read()) == hash(read())
    assert read(cluster="other") != read()
    with pytest.raises(TypeError):
        read().run_task["cluster"] = "other"


# What an option allows


ARN = "arn:aws:ecs:eu-west-1:123456789012:"
VALID = {
    "cluster": [("airflow", "airflow"), (f"{ARN}cluster/airflow", f"{ARN}cluster/airflow")],
    "max_run_task_attempts": [("1", 1)],
    "run_task_rate": [("0.5", 0.5), ("1e6", 1e6)],
    "run_task_burst": [("1", 1)],
    "launch_concurrency": [("64", 64)],
    "describe_tasks_rate": [(".5", 0.5)],
    "poll_interval": [("0", 0.0)],
    "missing_grace_period": [("0", 0.0)],
    "adoption_timeout": [("5.", 5.0)],
    "max_spot_relaunches": [("0", 0)],
    "launch_wait_limit": [("0", 0.0)],
    "spot_interruptions": [("fail", "fail")],
    "deployment": [("team-a/airflow_2", "team-a/airflow_2"), ("x" * 64, "x" * 64)],
    "task_instance_tags": [
        *((text, True) for text in ("True", "true", "TRUE", "t", "1", " true ", "True # as ever")),
        *((text, False) for text in ("False", "false", "F", "0")),
    ],
}
CHINA = "arn:aws-cn:ecs:cn-north-1:123456789012:task-definition/jobs"
VALID_IN_THE_REQUEST = {
    ("task_definition", "taskDefinition"): [
        *((text, text) for text in ("jobs", "jobs:12", "My_jobs-2", f"{ARN}task-definition/jobs:3", CHINA)),
        (" jobs ", "jobs"),
    ],
    ("launch_type", "launchType"): [("FARGATE", "FARGATE"), ("ec2", "EC2"), (" External ", "EXTERNAL")],
    ("platform_version", "platformVersion"): [("latest", "LATEST"), ("1.4", "1.4")],
}
NOT_VALID = {
    "cluster": ["my cluster"],
    "container_name": ["my,worker"],
    "region_name": ["EU"],
    "task_definition": ["jobs:0x1", "my jobs", "jobs:1:2", "arn:aws:ecs:eu-west-1:1:task-definition/jobs", ":1"],
    "assign_public_ip": ["yes", "on", "2", "wahr"],
    "check_health_on_startup": ["yes"],
    "launch_type": ["FARGATE_SPOT", "EC2,FARGATE", "SERVERLESS"],
    "platform_version": ["newest"],
    "max_run_task_attempts": ["0", "-1", "three", "2.0", "1_0", "٣"],
    "run_task_rate": ["0", "nan", "inf", "1e999"],
    "run_task_burst": ["0"],
    "launch_concurrency": ["0", "65"],
    "describe_tasks_rate": ["-1"],
    "poll_interval": ["-0.1"],
    "missing_grace_period": ["a minute"],
    "adoption_timeout": ["0"],
    "max_spot_relaunches": ["-1"],
    "launch_wait_limit": ["-1"],
    "spot_interruptions": ["Relaunch it"],
    "deployment": ["has space", "x" * 65],
    "capacity_provider_strategy": [
        *("FARGATE_SPOT", "[]", "{}", '["FARGATE_SPOT"]', '[{"provider": "cp"}]', '[{"capacityProvider": ""}]'),
        '[{"capacityProvider": "cp", "wait": 1}]',
        *(f'[{{"capacityProvider": "cp", "weight": {weight}}}]' for weight in ("-1", "1001", "1.5", "true")),
        '[{"capacityProvider": "cp", "base": 100001}]',
        '[{"capacityProvider": "a"}, {"capacityProvider": "b", "weight": 0}]',
        '[{"capacityProvider": "a", "weight": 1, "base": 1}, {"capacityProvider": "b", "base": 1}]',
        json.dumps([{"capacityProvider": f"cp{number}", "weight": 1} for number in range(21)]),
    ],
}


@pytest.mark.parametrize("name, case", each(VALID))
def test_a_valid_value(name, case):
    text, value = case
    found = getattr(read(**{name: text}), name)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("names, case", each(VALID_IN_THE_REQUEST))
def test_a_valid_value_of_the_request(names, case):
    (name, key), (text, value) = names, case
    assert read(subnets="a", **{name: text}).run_task[key] == value


@pytest.mark.parametrize("name, text", each(NOT_VALID))
def test_a_value_that_is_not_valid_is_a_problem_with_value_and_remedy(name, text):
    problem = the_problem(name, **{name: text})
    assert problem.value == text and problem.remedy.startswith("give ")


@pytest.mark.parametrize("name", sorted(REQUIRED))
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_required_option_is_named_with_its_variable(name, value):
    problem = the_problem(name, **{name: value})
    assert problem.value is None and "required" in problem.text
    assert problem.variable == f"AIRFLOW__AWS_ECS_EXECUTOR__{name.upper()}"


@pytest.mark.parametrize("value", ["jobs:LATEST", "jobs:latest"])
def test_the_documented_example_with_revision_latest_means_the_family(value):
    settings = read(task_definition=value)
    assert settings.run_task["taskDefinition"] == "jobs"
    assert "LATEST" in settings.warnings[0] and "jobs" in settings.warnings[0]


# The connection


@pytest.mark.parametrize(
    "values, environ, expected",
    [
        ({}, [], ("aws_default", False)),
        ({"conn_id": "aws_default"}, [], ("aws_default", False)),
        ({"conn_id": "aws_default"}, ["AIRFLOW__AWS_ECS_EXECUTOR__CONN_ID"], ("aws_default", True)),
        ({"conn_id": "prod"}, [], ("prod", True)),
        ({"aws_conn_id": "prod"}, [], ("prod", True)),
        ({"aws_conn_id": "aws_default"}, [], ("aws_default", True)),
        ({"aws_conn_id": "prod", "conn_id": "aws_default"}, [], ("prod", True)),
        ({"aws_conn_id": "prod", "conn_id": "prod"}, [], ("prod", True)),
        ({"conn_id": ""}, [], (None, False)),
        ({"aws_conn_id": ""}, [], (None, False)),
        ({"aws_conn_id": " ", "conn_id": "aws_default"}, [], (None, False)),
    ],
)
def test_the_connection_by_both_names(values, environ, expected):
    settings = read(environ=dict.fromkeys(environ, ""), **values)
    assert (settings.conn_id, settings.conn_id_named) == expected


def test_two_connections_are_a_problem():
    problem = the_problem("aws_conn_id", aws_conn_id="one", conn_id="two")
    assert problem.value == "one" and "two" in problem.text


# Network


@pytest.mark.parametrize(
    "values, expected",
    [
        ({"subnets": "a,b"}, {"subnets": ["a", "b"], "assignPublicIp": "DISABLED"}),
        ({"subnets": " a , ,b,, "}, {"subnets": ["a", "b"], "assignPublicIp": "DISABLED"}),
        (
            {"subnets": "a", "security_groups": "\ng1,\n  g2\n", "assign_public_ip": "t"},
            {"subnets": ["a"], "securityGroups": ["g1", "g2"], "assignPublicIp": "ENABLED"},
        ),
    ],
)
def test_lists_are_trimmed_and_empty_items_dropped(values, expected):
    assert vpc(read(**values)) == expected


@pytest.mark.parametrize("name, key, most", [("subnets", "subnets", 16), ("security_groups", "securityGroups", 5)])
def test_no_more_than_aws_accepts(name, key, most):
    items = [f"x{number}" for number in range(most + 1)]
    assert vpc(read(**{"subnets": "a", name: ",".join(items[:-1])}))[key] == items[:-1]
    problem = the_problem(name, **{"subnets": "a", name: ",".join(items)})
    assert f"{most + 1} items" in problem.text and f"at most {most}" in problem.remedy


@pytest.mark.parametrize(
    "values", [{"security_groups": "sg-1"}, {"assign_public_ip": "true"}, {"security_groups": "1", "subnets": ", ,"}]
)
def test_security_groups_and_public_ip_need_subnets(values):
    problem = the_problem("subnets", **values)
    assert "required" in problem.text and problem.value is None


@pytest.mark.parametrize(
    "team, variable",
    [(None, "(AIRFLOW__AWS_ECS_EXECUTOR__SUBNETS)"), ("red", "(AIRFLOW__RED___AWS_ECS_EXECUTOR__SUBNETS)")],
)
def test_fargate_without_subnets_is_warned_about(team, variable):
    for settings in (read(launch_type="FARGATE", team=team), with_cluster_default(read(team=team), [])):
        (warning,) = settings.warnings
        assert variable in warning
    assert read(launch_type="EC2").warnings == ()


@pytest.mark.parametrize("network", ["networkConfiguration", "network_configuration"])
def test_the_network_of_run_task_kwargs_beats_the_options_value_by_value(network):
    given = {network: {"awsvpc_configuration": {"subnets": ["x"], "assign_public_ip": "ENABLED"}}}
    settings = read_kwargs(given, subnets="a,b", security_groups="g")
    assert vpc(settings) == {"subnets": ["x"], "securityGroups": ["g"], "assignPublicIp": "ENABLED"}
    network = {"awsvpcConfiguration": {"subnets": ["x"]}}
    assert read_kwargs({"networkConfiguration": network}).run_task["networkConfiguration"] == network


@pytest.mark.parametrize("public_ip", [True, "true", "True", "ENABLED", "enabled", 1])
@pytest.mark.parametrize("subnets", ["a, b", ["a", " b "]])
def test_options_by_name_in_run_task_kwargs_are_options(subnets, public_ip):
    settings = read_kwargs({"subnets": subnets, "security_groups": "g", "assign_public_ip": public_ip}, subnets="z")
    assert vpc(settings) == {"subnets": ["a", "b"], "securityGroups": ["g"], "assignPublicIp": "ENABLED"}
    assert not {"subnets", "securityGroups", "assignPublicIp"} & set(settings.run_task)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"networkConfiguration": "subnet-1"},
        {"networkConfiguration": {"awsvpcConfiguration": ["subnet-1"]}},
        {"networkConfiguration": {"awsvpcConfiguration": {"subnets": "subnet-1"}}},
        {"networkConfiguration": {"awsvpcConfiguration": {"subnets": [1]}}},
        {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["a"] * 17}}},
        {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["a"], "securityGroups": ["g"] * 6}}},
        {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["a"], "assignPublicIp": True}}},
        {"subnets": 7},
        {"subnets": ["a"], "assign_public_ip": "maybe"},
    ],
)
def test_a_malformed_network_in_run_task_kwargs_is_a_problem(kwargs):
    kwargs_problem(kwargs)


# Capacity


SPOT = [{"capacityProvider": "FARGATE_SPOT", "weight": 3}, {"capacityProvider": "FARGATE", "weight": 1, "base": 2}]
STRATEGY = '[{"capacityProvider": "cp", "weight": 1}]'


@pytest.mark.parametrize(
    "text, value",
    [
        (json.dumps(SPOT), SPOT),
        (repr(SPOT), SPOT),  # as the example of the provider's configuration reference
        (json.dumps(SPOT[0]), SPOT[:1]),
        ('[{"capacity_provider": "cp", "weight": "5"}]', [{"capacityProvider": "cp", "weight": 5}]),
        ('[{"capacityProvider": " cp "}]', [{"capacityProvider": "cp"}]),
    ],
)
def test_a_strategy_in_each_form(text, value):
    settings = read(capacity_provider_strategy=text, subnets="a")
    assert settings.run_task["capacityProviderStrategy"] == value
    assert "launchType" not in settings.run_task and not settings.use_cluster_default
    for key in ("capacity_provider_strategy", "capacityProviderStrategy"):
        assert read_kwargs({key: text}, subnets="a").run_task == settings.run_task


@pytest.mark.parametrize("strategy_key", ["capacity_provider_strategy", "CapacityProviderStrategy"])
@pytest.mark.parametrize("type_key", ["launch_type", "launchType", "LAUNCH_TYPE"])
def test_launch_type_and_strategy_exclude_each_other_in_every_spelling(strategy_key, type_key):
    strategy = json.loads(STRATEGY)
    assert "both" in kwargs_problem({strategy_key: strategy, type_key: "EC2"}).text
    assert "both" in kwargs_problem({strategy_key: strategy}, launch_type="EC2").text
    (problem,) = problems(capacity_provider_strategy=STRATEGY, run_task_kwargs=json.dumps({type_key: "EC2"}))
    assert "launchType of [aws_ecs_executor] run_task_kwargs" in problem.text
    (problem,) = problems(capacity_provider_strategy=STRATEGY, launch_type="EC2")
    assert "remove one" in problem.remedy


@pytest.mark.parametrize(
    "values",
    [
        {"launch_type": "EC2"},
        {"launch_type": "EXTERNAL"},
        {"capacity_provider_strategy": STRATEGY},
        {"run_task_kwargs": '{"launch_type": "EC2", "platformVersion": "LATEST"}'},
    ],
)
def test_what_is_fargates_is_not_sent_elsewhere(values):
    settings = read(subnets="a", **values)
    assert "platformVersion" not in settings.run_task and not settings.fargate
    assert vpc(settings) == {"subnets": ["a"]}
    assert settings.fargate_only == {"platformVersion": "LATEST", "assignPublicIp": "DISABLED"}
    assert settings.warnings == ()


def test_what_was_asked_for_but_is_not_sent_is_said():
    (warning,) = read(launch_type="EC2", subnets="a", platform_version="1.4.0", assign_public_ip="1").warnings
    assert "1.4.0" in warning and "public IP" in warning and "EC2" in warning


def test_fargate_strategies_keep_the_platform_version():
    settings = read(capacity_provider_strategy=json.dumps(SPOT), subnets="a", platform_version="1.4.0")
    assert settings.run_task["platformVersion"] == "1.4.0" and settings.fargate


# The cluster's default


def test_a_cluster_without_default_strategy_means_fargate():
    settings = with_cluster_default(read(subnets="a"), [])
    assert settings.run_task["launchType"] == "FARGATE" and settings.run_task["platformVersion"] == "LATEST"
    assert not settings.use_cluster_default and settings.fargate and settings.warnings == ()


@pytest.mark.parametrize("provider", ["FARGATE", "FARGATE_SPOT"])
def test_a_default_strategy_of_fargate_is_left_to_ecs(provider):
    before = read(subnets="a")
    settings = with_cluster_default(before, [{"capacityProvider": provider, "weight": 1, "base": 0}])
    assert settings.run_task == before.run_task and settings.fargate and not settings.use_cluster_default


def test_a_default_strategy_of_ec2_takes_what_is_fargates_away():
    before = read(subnets="a", assign_public_ip="1")
    settings = with_cluster_default(before, [{"capacityProvider": "my-instances"}])
    assert vpc(settings) == {"subnets": ["a"]}
    assert not {"platformVersion", "launchType", "capacityProviderStrategy"} & set(settings.run_task)
    assert not settings.fargate
    assert settings.fargate_only == {"platformVersion": "LATEST", "assignPublicIp": "ENABLED"}
    assert vpc(before)["assignPublicIp"] == "ENABLED"


def test_a_configured_capacity_does_not_look_at_the_default():
    settings = read(launch_type="EC2")
    assert with_cluster_default(settings, [{"capacityProvider": "FARGATE"}]) is settings


# run_task_kwargs


@pytest.mark.parametrize("key", ["task_definition", "taskDefinition"])
def test_run_task_kwargs_beat_the_option(key):
    for option in (None, "jobs:7"):
        assert read_kwargs({key: "other:3"}, task_definition=option).run_task["taskDefinition"] == "other:3"


@pytest.mark.parametrize("name", ["cluster", "container_name"])
def test_run_task_kwargs_may_repeat_but_not_change_what_the_executor_follows(name):
    assert read_kwargs({name: REQUIRED[name]}) == read()
    problem = kwargs_problem({name: "other"})
    assert problem.value == "other" and name in problem.text


@pytest.mark.parametrize(
    "text",
    ["{", "{'a'", "[1]", '"text"', "7", "null x", '{"cpu": NaN}', '{"a": {1, 2}}', "{" * 2000, "[" * 100_000],
)
def test_run_task_kwargs_that_are_no_json_object_are_a_problem(text):
    assert "JSON" in the_problem("run_task_kwargs", run_task_kwargs=text).text


def test_bad_json_tells_the_place_but_not_the_text():
    problem = the_problem("run_task_kwargs", run_task_kwargs='{"password": "hunter2",,}')
    assert "line 1 column 24" in problem.text and "hunter2" not in str(problem)


@pytest.mark.parametrize(
    "snake, camel",
    [
        ({"enable_execute_command": True}, {"enableExecuteCommand": True}),
        ({"enable_ecs_managed_tags": True}, {"enableECSManagedTags": True}),
        (
            {"placement_constraints": [{"type": "memberOf", "expression": "attribute:a_b == c"}]},
            {"placementConstraints": [{"type": "memberOf", "expression": "attribute:a_b == c"}]},
        ),
        (
            {
                "overrides": {
                    "task_role_arn": "arn:x",
                    "container_overrides": [{"name": "worker", "memory_reservation": 5}],
                }
            },
            {"overrides": {"taskRoleArn": "arn:x", "containerOverrides": [{"name": "worker", "memoryReservation": 5}]}},
        ),
        (
            {"volume_configurations": [{"managed_ebs_volume": {"role_arn": "r", "size_in_gib": 4}}]},
            {"volumeConfigurations": [{"managedEBSVolume": {"roleArn": "r", "sizeInGiB": 4}}]},
        ),
    ],
)
def test_keys_are_taken_in_both_spellings_at_any_depth(snake, camel):
    assert read_kwargs(snake).run_task == read_kwargs(camel).run_task == {**read().run_task, **camel}


@pytest.mark.parametrize("kwargs", [{"launch_type": None, "overrides": {"cpu": None}}, {"count": 1}])
def test_what_changes_nothing(kwargs):
    assert read_kwargs(kwargs) == read()


def test_an_unknown_parameter_is_warned_about_and_sent():
    settings = read_kwargs({"propagate_tag": "NONE", "brand_new_thing": {"inner_key": 1}})
    assert settings.run_task["propagateTag"] == "NONE" and settings.run_task["brandNewThing"] == {"innerKey": 1}
    new, typo = settings.warnings
    assert "brandNewThing" in new and "did you mean propagateTags?" in typo


@pytest.mark.parametrize("value", ["team-a", "a/b_c", "x" * 128])
def test_started_by_is_passed_on(value):
    assert read_kwargs({"started_by": value}).run_task["startedBy"] == value


@pytest.mark.parametrize(
    "kwargs, words",
    [
        ({"launch_type": "EC2", "launchType": "FARGATE"}, "twice"),
        *(({"count": count}, "count") for count in (0, 2, "1")),
        *(({key: "x"}, "clientToken") for key in ("clientToken", "client_token")),
        *(({"startedBy": value}, "128") for value in ("", "x" * 129, "has space", "dot.", 5)),
    ],
)
def test_a_parameter_that_cannot_be_sent_is_a_problem(kwargs, words):
    assert words in kwargs_problem(kwargs).text


@pytest.mark.parametrize(
    "tags, expected",
    [
        ([{"key": "team", "value": "data"}], [("team", "data")]),
        ([{"Key": "team", "Value": "data"}], [("team", "data")]),
        ([{"key": "bare"}], [("bare", "")]),
        ({"team": "data", "cost_center": "7"}, [("team", "data"), ("cost_center", "7")]),
        # The example of the provider's configuration reference.
        ({"key": "schema", "value": "1.0"}, [("schema", "1.0")]),
        ('{"team": "data"}', [("team", "data")]),
        ({"snake_key": "a b", "Dot.Key": "ü"}, [("snake_key", "a b"), ("Dot.Key", "ü")]),
        ({"number": 5, "flag": True}, [("number", "5"), ("flag", "true")]),
        ({"launch_type": "x"}, [("launch_type", "x")]),
        ({"k" * 128: "v" * 256, **{str(number): "" for number in range(49)}}, None),
    ],
)
def test_tags_in_each_form_with_their_keys_untouched(tags, expected):
    found = read_kwargs({"tags": tags}).run_task["tags"]
    assert [(tag["key"], tag["value"]) for tag in found] == (expected or list(tags.items()))


@pytest.mark.parametrize(
    "tags",
    [
        "team",
        ["team"],
        [{"name": "team"}],
        [{"key": "team", "value": None}],
        [{"key": "team", "value": ["a"]}],
        [{"key": []}],
        {"": "x"},
        {"k" * 129: "x"},
        {"k": "x" * 257},
        {"aws:team": "x"},
        {"AWS:team": "x"},
        {"k": "a,b"},
        {"k!": "x"},
        [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}],
        {f"k{number}": "x" for number in range(51)},
    ],
)
def test_tags_that_aws_would_refuse_are_a_problem(tags):
    assert "tags" in kwargs_problem({"tags": tags}).text


# Container overrides


@pytest.mark.parametrize(
    "given, expected",
    [
        ([{"memory": 512}], [{"memory": 512, "name": "worker"}]),
        (
            [{"name": "proxy", "command": ["run"], "cpu": 1}],
            [{"name": "proxy", "command": ["run"], "cpu": 1}, {"name": "worker"}],
        ),
        (
            [{"name": "proxy"}, {"name": "worker", "cpu": 2, "command": []}, {"name": "agent"}],
            [{"name": "proxy"}, {"name": "worker", "cpu": 2}, {"name": "agent"}],
        ),
    ],
    ids=["without a name it is ours", "a sidecar keeps its name", "ours by name wherever it stands"],
)
def test_the_entry_of_our_container(given, expected):
    settings = read_kwargs({"overrides": {"containerOverrides": given, "cpu": "1024"}})
    assert settings.run_task["overrides"] == {"containerOverrides": expected, "cpu": "1024"}


@pytest.mark.parametrize(
    "overrides",
    [
        "x",
        {"containerOverrides": {"name": "worker"}},
        {"containerOverrides": ["worker"]},
        {"containerOverrides": [{"cpu": 1}, {"cpu": 2}]},
        {"containerOverrides": [{"cpu": 1}, {"name": "worker"}]},
        {"containerOverrides": [{"name": "worker"}, {"name": "worker"}]},
        {"containerOverrides": [{"name": "worker", "command": ["x"]}]},
        {"container_overrides": [{"Command": ["x"]}]},
        {"containerOverrides": [{"name": "worker", "environment": {"A": "b"}}]},
        {"containerOverrides": [{"name": "proxy", "environment": [{"name": "A", "value": 1}]}]},
    ],
)
def test_overrides_that_cannot_work_are_a_problem(overrides):
    kwargs_problem({"overrides": overrides})


# All at once


def test_every_problem_is_told_at_once():
    found = problems(
        cluster=None,
        subnets=",".join("abcdefghijklmnopq"),
        max_run_task_attempts="many",
        launch_type="EC3",
        spot_interruptions="ignore",
        run_task_kwargs='{"clientToken": "x", "count": 2, "tags": {"a": "b"}}',
        assign_public_ip="perhaps",
    )
    once = {"assign_public_ip", "cluster", "launch_type", "max_run_task_attempts", "spot_interruptions", "subnets"}
    assert sorted(problem.option.name for problem in found) == sorted([*once, "run_task_kwargs", "run_task_kwargs"])


def test_the_message_has_a_line_for_each_problem_with_option_value_remedy_and_variable():
    with pytest.raises(ConfigurationError) as caught:
        read(max_run_task_attempts="many" * 1000, cluster=None, team="red")
    head, *lines = str(caught.value).splitlines()
    assert "2 problems" in head and len(lines) == 2
    (line,) = [line for line in lines if "max_run_task_attempts" in line]
    variable = "AIRFLOW__RED___AWS_ECS_EXECUTOR__MAX_RUN_TASK_ATTEMPTS"
    for part in ("[aws_ecs_executor]", "'manymany", "whole number", variable):
        assert part in line
    assert len(line) < 400, "long values are shortened"


def test_an_option_that_airflow_cannot_read_is_a_problem():
    problem = the_problem("region_name", region_name=RuntimeError("the command failed"))
    assert "the command failed" in problem.text


# Variables that nobody reads


@pytest.mark.parametrize(
    "variable, right",
    [
        ("AIRFLOW__ECS_EXECUTOR__SUBNETS", "AIRFLOW__AWS_ECS_EXECUTOR__SUBNETS"),
        ("AIRFLOW__ECS_FARGATE__REGION", "AIRFLOW__AWS_ECS_EXECUTOR__REGION_NAME"),
        ("AIRFLOW__ECS_FARGATE__CLUSTER", "AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER"),
        ("AIRFLOW__ECS_EXECUTOR__COLOUR", "[aws_ecs_executor]"),
        ("AIRFLOW__AWS_ECS_EXECUTOR__SUBNET", "AIRFLOW__AWS_ECS_EXECUTOR__SUBNETS"),
        ("AIRFLOW__AIRFLOW_ECS_EXECUTOR__RUNTASK_RATE", "AIRFLOW__AIRFLOW_ECS_EXECUTOR__RUN_TASK_RATE"),
        ("AIRFLOW__AWS_ECS_EXECUTOR__RUN_TASK_RATE", "AIRFLOW__AIRFLOW_ECS_EXECUTOR__RUN_TASK_RATE"),
        ("AIRFLOW__AIRFLOW_ECS_EXECUTOR__CLUSTER", "AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER"),
        ("AIRFLOW__AWS_ECS_EXECUTOR__cluster", "AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER"),
        ("airflow__aws_ecs_executor__cluster", "AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER"),
        ("AIRFLOW__AWS_ECS_EXECUTOR__RUN_TASK_KWARGS_CMD", "AIRFLOW__AWS_ECS_EXECUTOR__RUN_TASK_KWARGS"),
        ("AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER_SECRET", "AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER"),
        ("AIRFLOW__AWS_ECS_EXECUTOR__COMPLETELY_ELSE", "no such option"),
    ],
)
def test_a_variable_that_is_not_read_is_warned_about_with_the_right_name(variable, right):
    (warning,) = read(environ={variable: "hunter2"}).warnings
    assert warning.startswith(f"{variable} is not read") and right in warning
    assert "hunter2" not in warning


@pytest.mark.parametrize(
    "variable",
    [
        "AIRFLOW__AWS_ECS_EXECUTOR__SUBNETS",
        "AIRFLOW__AIRFLOW_ECS_EXECUTOR__DEPLOYMENT",
        "AIRFLOW__RED___AWS_ECS_EXECUTOR__CLUSTR",
        "AIRFLOW__AWS_BATCH_EXECUTOR__WHATEVER",
        "AIRFLOW__CORE__EXECUTOR",
        "ECS_EXECUTOR__CLUSTER",
    ],
)
def test_other_variables_are_left_alone(variable):
    assert read(environ={variable: "x"}).warnings == ()


def test_an_old_variable_beside_the_right_one_is_told_apart():
    names = ["AIRFLOW__ECS_EXECUTOR__SUBNETS", "AIRFLOW__AWS_ECS_EXECUTOR__SUBNETS"]
    (warning,) = read(environ=dict.fromkeys(names, "a"), subnets="a").warnings
    assert "set, too" in warning
