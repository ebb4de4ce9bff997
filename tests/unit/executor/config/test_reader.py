from __future__ import annotations

import json

import pytest
from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.problems import ConfigurationError
from airflow_ecs_executor.config.reader import read_settings
from airflow_ecs_executor.config.settings import with_cluster_default

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


def request(settings):
    return dict(settings.run_task)


def problems(**values):
    with pytest.raises(ConfigurationError) as caught:
        read(**values)
    return caught.value.problems


def the_problem(option, **values):
    (problem,) = problems(**values)
    assert str(problem.option) == option, str(problem)
    return problem


def kwargs_problem(run_task_kwargs, **values):
    return the_problem("[aws_ecs_executor] run_task_kwargs", run_task_kwargs=json.dumps(run_task_kwargs), **values)


def ours(settings):
    return next(entry for entry in settings.run_task["overrides"]["containerOverrides"] if entry["name"] == "worker")


# Defaults


def test_defaults_are_those_of_the_documentation():
    settings = read()
    assert (settings.cluster, settings.container_name, settings.region_name) == ("airflow", "worker", None)
    assert (settings.conn_id, settings.conn_id_named) == ("aws_default", False)
    assert settings.check_health_on_startup is True and settings.max_run_task_attempts == 3
    assert settings.use_cluster_default and settings.fargate and settings.fargate_only == {}
    assert (settings.run_task_rate, settings.run_task_burst, settings.launch_concurrency) == (20.0, 20, 16)
    assert (settings.describe_tasks_rate, settings.poll_interval) == (5.0, 3.0)
    assert (settings.missing_grace_period, settings.adoption_timeout) == (60.0, 30.0)
    assert (settings.spot_interruptions, settings.max_spot_relaunches) == ("relaunch", 3)
    assert settings.launch_wait_limit is None
    assert settings.deployment is None and settings.task_instance_tags is True
    assert settings.container_log_lines == 20
    assert settings.warnings == ()


def test_the_least_request_names_cluster_task_definition_and_container():
    assert request(read()) == {
        "cluster": "airflow",
        "count": 1,
        "taskDefinition": "jobs",
        "platformVersion": "LATEST",
        "overrides": {"containerOverrides": [{"name": "worker"}]},
    }


def test_the_settings_of_the_guide_give_its_request():
    settings = read(
        region_name="eu-west-1",
        launch_type="FARGATE",
        platform_version="LATEST",
        assign_public_ip="True",
        security_groups="sg-1",
        subnets="subnet-1,subnet-2",
    )
    assert settings.region_name == "eu-west-1" and not settings.use_cluster_default
    assert request(settings) == {
        "cluster": "airflow",
        "count": 1,
        "taskDefinition": "jobs",
        "launchType": "FARGATE",
        "platformVersion": "LATEST",
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": ["subnet-1", "subnet-2"],
                "securityGroups": ["sg-1"],
                "assignPublicIp": "ENABLED",
            }
        },
        "overrides": {"containerOverrides": [{"name": "worker"}]},
    }


def test_empty_options_count_as_not_set():
    names = (
        "region_name launch_type capacity_provider_strategy platform_version run_task_kwargs security_groups subnets"
    )
    empty = dict.fromkeys(names.split(), "")
    assert read(**empty, assign_public_ip=" ", max_run_task_attempts="", run_task_rate="", deployment="") == read()


def test_the_request_cannot_be_changed_by_accident():
    with pytest.raises(TypeError):
        read().run_task["cluster"] = "other"


def test_settings_can_be_compared_and_hashed():
    assert read() == read() and hash(read()) == hash(read())
    assert read(cluster="other") != read()


# Required options


@pytest.mark.parametrize("name", sorted(REQUIRED))
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_required_option_is_named_with_its_variable(name, value):
    problem = the_problem(f"[aws_ecs_executor] {name}", **{name: value})
    assert problem.value is None and "required" in problem.text
    assert problem.variable == f"AIRFLOW__AWS_ECS_EXECUTOR__{name.upper()}"


@pytest.mark.parametrize("key", ["task_definition", "taskDefinition"])
def test_the_task_definition_may_come_from_run_task_kwargs(key):
    assert read_kwargs({key: "other:3"}, task_definition=None).run_task["taskDefinition"] == "other:3"


def test_run_task_kwargs_beat_the_option():
    assert read_kwargs({"task_definition": "other"}, task_definition="jobs:7").run_task["taskDefinition"] == "other"


@pytest.mark.parametrize(
    "value",
    [
        "jobs",
        "jobs:12",
        "My_jobs-2",
        "arn:aws:ecs:eu-west-1:123456789012:task-definition/jobs:3",
        "arn:aws-cn:ecs:cn-north-1:123456789012:task-definition/jobs",
    ],
)
def test_every_form_of_a_task_definition_is_taken(value):
    assert read(task_definition=f" {value} ").run_task["taskDefinition"] == value


@pytest.mark.parametrize(
    "value", ["jobs:0x1", "my jobs", "jobs:1:2", "arn:aws:ecs:eu-west-1:1:task-definition/jobs", ":1"]
)
def test_a_malformed_task_definition_is_a_problem(value):
    assert the_problem("[aws_ecs_executor] task_definition", task_definition=value).value == value


@pytest.mark.parametrize("value", ["jobs:LATEST", "jobs:latest"])
def test_the_documented_example_with_revision_latest_means_the_family(value):
    settings = read(task_definition=value)
    assert settings.run_task["taskDefinition"] == "jobs"
    assert "LATEST" in settings.warnings[0] and "jobs" in settings.warnings[0]


@pytest.mark.parametrize("value", ["airflow", "arn:aws:ecs:eu-west-1:123456789012:cluster/airflow"])
def test_a_cluster_is_a_name_or_an_arn(value):
    settings = read(cluster=value)
    assert settings.cluster == settings.run_task["cluster"] == value


@pytest.mark.parametrize(
    "name, value", [("cluster", "my cluster"), ("container_name", "my,worker"), ("region_name", "EU")]
)
def test_a_malformed_name_is_a_problem(name, value):
    assert the_problem(f"[aws_ecs_executor] {name}", **{name: value}).value == value


@pytest.mark.parametrize("key, option", [("cluster", "cluster"), ("container_name", "container_name")])
def test_run_task_kwargs_may_repeat_but_not_change_what_the_executor_follows(key, option):
    same = REQUIRED[option]
    assert request(read_kwargs({key: same})) == request(read())
    problem = kwargs_problem({key: "other"})
    assert problem.value == "other" and option in problem.text


# Types


@pytest.mark.parametrize("text", ["True", "true", "TRUE", "t", "1", " true ", "True # as ever"])
def test_true_as_airflow_reads_it(text):
    settings = read(assign_public_ip=text, subnets="subnet-1", task_instance_tags=text, check_health_on_startup=text)
    assert settings.run_task["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "ENABLED"
    assert settings.task_instance_tags is True and settings.check_health_on_startup is True


@pytest.mark.parametrize("text", ["False", "false", "F", "0"])
def test_false_as_airflow_reads_it(text):
    settings = read(assign_public_ip=text, subnets="subnet-1", task_instance_tags=text, check_health_on_startup=text)
    assert settings.run_task["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "DISABLED"
    assert settings.task_instance_tags is False and settings.check_health_on_startup is False


@pytest.mark.parametrize("name", ["assign_public_ip", "check_health_on_startup", "task_instance_tags"])
@pytest.mark.parametrize("text", ["yes", "on", "2", "wahr"])
def test_other_words_are_no_booleans(name, text):
    (problem,) = problems(**{name: text})
    assert problem.option.name == name and problem.value == text and "True or False" in problem.remedy


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("max_run_task_attempts", "1", 1),
        ("run_task_rate", "0.5", 0.5),
        ("run_task_rate", "1e6", 1e6),
        ("run_task_burst", "1", 1),
        ("launch_concurrency", "64", 64),
        ("describe_tasks_rate", ".5", 0.5),
        ("poll_interval", "0", 0.0),
        ("missing_grace_period", "0", 0.0),
        ("adoption_timeout", "5.", 5.0),
        ("max_spot_relaunches", "0", 0),
        ("launch_wait_limit", "0", 0.0),
        ("spot_interruptions", "fail", "fail"),
        ("deployment", "team-a/airflow_2", "team-a/airflow_2"),
        ("deployment", "x" * 64, "x" * 64),
    ],
)
def test_a_value_within_its_bounds(name, text, value):
    read_value = getattr(read(**{name: text}), name)
    assert read_value == value and type(read_value) is type(value)


@pytest.mark.parametrize(
    "name, text",
    [
        ("max_run_task_attempts", "0"),
        ("max_run_task_attempts", "-1"),
        ("max_run_task_attempts", "three"),
        ("max_run_task_attempts", "2.0"),
        ("max_run_task_attempts", "1_0"),
        ("max_run_task_attempts", "٣"),
        ("run_task_rate", "0"),
        ("run_task_rate", "nan"),
        ("run_task_rate", "inf"),
        ("run_task_rate", "1e999"),
        ("run_task_burst", "0"),
        ("launch_concurrency", "0"),
        ("launch_concurrency", "65"),
        ("describe_tasks_rate", "-1"),
        ("poll_interval", "-0.1"),
        ("missing_grace_period", "a minute"),
        ("adoption_timeout", "0"),
        ("max_spot_relaunches", "-1"),
        ("launch_wait_limit", "-1"),
        ("spot_interruptions", "Relaunch it"),
        ("deployment", "has space"),
        ("deployment", "x" * 65),
    ],
)
def test_a_value_out_of_its_bounds_is_a_problem_with_value_and_remedy(name, text):
    (problem,) = problems(**{name: text})
    assert problem.option.name == name and problem.value == text and problem.remedy.startswith("give ")


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
    problem = the_problem("[aws_ecs_executor] aws_conn_id", aws_conn_id="one", conn_id="two")
    assert problem.value == "one" and "two" in problem.text


# Network


@pytest.mark.parametrize(
    "values, expected",
    [
        ({"subnets": "a,b"}, {"subnets": ["a", "b"], "assignPublicIp": "DISABLED"}),
        ({"subnets": " a , ,b,, "}, {"subnets": ["a", "b"], "assignPublicIp": "DISABLED"}),
        (
            {"subnets": "a", "security_groups": "\ng1,\n  g2\n"},
            {"subnets": ["a"], "securityGroups": ["g1", "g2"], "assignPublicIp": "DISABLED"},
        ),
    ],
)
def test_lists_are_trimmed_and_empty_items_dropped(values, expected):
    assert read(**values).run_task["networkConfiguration"] == {"awsvpcConfiguration": expected}


def test_awss_maxima_are_taken():
    network = read(subnets=",".join("abcdefghijklmnop"), security_groups="1,2,3,4,5").run_task["networkConfiguration"]
    assert len(network["awsvpcConfiguration"]["subnets"]) == 16
    assert len(network["awsvpcConfiguration"]["securityGroups"]) == 5


@pytest.mark.parametrize("name, most", [("subnets", 16), ("security_groups", 5)])
def test_more_than_awss_maxima_is_a_problem(name, most):
    values = {"subnets": "a", name: ",".join(map(str, range(most + 1)))}
    problem = the_problem(f"[aws_ecs_executor] {name}", **values)
    assert f"{most + 1} items" in problem.text and f"at most {most}" in problem.remedy


@pytest.mark.parametrize(
    "values", [{"security_groups": "sg-1"}, {"assign_public_ip": "true"}, {"security_groups": "1", "subnets": ", ,"}]
)
def test_security_groups_and_public_ip_need_subnets(values):
    problem = the_problem("[aws_ecs_executor] subnets", **values)
    assert "required" in problem.text and problem.value is None


def test_fargate_without_subnets_is_warned_about():
    (warning,) = read(launch_type="FARGATE").warnings
    assert "AIRFLOW__AWS_ECS_EXECUTOR__SUBNETS" in warning
    assert read(launch_type="EC2").warnings == ()


@pytest.mark.parametrize("network", ["networkConfiguration", "network_configuration"])
def test_the_network_of_run_task_kwargs_beats_the_options_value_by_value(network):
    settings = read_kwargs(
        {network: {"awsvpc_configuration": {"subnets": ["x"], "assign_public_ip": "ENABLED"}}},
        subnets="a,b",
        security_groups="g",
    )
    assert settings.run_task["networkConfiguration"] == {
        "awsvpcConfiguration": {"subnets": ["x"], "securityGroups": ["g"], "assignPublicIp": "ENABLED"}
    }


def test_the_network_of_run_task_kwargs_alone_is_sent_as_it_is():
    network = {"awsvpcConfiguration": {"subnets": ["x"]}}
    assert read_kwargs({"networkConfiguration": network}).run_task["networkConfiguration"] == network


@pytest.mark.parametrize("public_ip", [True, "true", "True", "ENABLED", "enabled", 1])
@pytest.mark.parametrize("subnets", ["a, b", ["a", " b "]])
def test_options_by_name_in_run_task_kwargs_are_options(subnets, public_ip):
    settings = read_kwargs({"subnets": subnets, "security_groups": "g", "assign_public_ip": public_ip}, subnets="z")
    assert settings.run_task["networkConfiguration"] == {
        "awsvpcConfiguration": {"subnets": ["a", "b"], "securityGroups": ["g"], "assignPublicIp": "ENABLED"}
    }
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


@pytest.mark.parametrize("text, value", [("FARGATE", "FARGATE"), ("ec2", "EC2"), (" External ", "EXTERNAL")])
def test_a_launch_type(text, value):
    settings = read(launch_type=text, subnets="a")
    assert settings.run_task["launchType"] == value and not settings.use_cluster_default


@pytest.mark.parametrize("text", ["FARGATE_SPOT", "EC2,FARGATE", "serverless"])
def test_another_launch_type_is_a_problem(text):
    assert "FARGATE" in the_problem("[aws_ecs_executor] launch_type", launch_type=text).remedy


SPOT = [{"capacityProvider": "FARGATE_SPOT", "weight": 3}, {"capacityProvider": "FARGATE", "weight": 1, "base": 2}]


@pytest.mark.parametrize(
    "text, value",
    [
        (json.dumps(SPOT), SPOT),
        (repr(SPOT), SPOT),
        (json.dumps(SPOT[0]), SPOT[:1]),
        ('[{"capacity_provider": "cp", "weight": "5"}]', [{"capacityProvider": "cp", "weight": 5}]),
        ('[{"capacityProvider": " cp "}]', [{"capacityProvider": "cp"}]),
        # The example of the provider's configuration reference.
        (
            "[{'capacityProvider': 'cp1', 'weight': 5}, {'capacityProvider': 'cp2', 'weight': 1}]",
            [{"capacityProvider": "cp1", "weight": 5}, {"capacityProvider": "cp2", "weight": 1}],
        ),
    ],
)
def test_a_strategy_in_each_form(text, value):
    settings = read(capacity_provider_strategy=text, subnets="a")
    assert settings.run_task["capacityProviderStrategy"] == value
    assert "launchType" not in settings.run_task and not settings.use_cluster_default
    for key in ("capacity_provider_strategy", "capacityProviderStrategy"):
        assert read_kwargs({key: text}, subnets="a").run_task == settings.run_task


@pytest.mark.parametrize(
    "text",
    [
        "FARGATE_SPOT",
        "[]",
        "{}",
        '["FARGATE_SPOT"]',
        '[{"provider": "cp"}]',
        '[{"capacityProvider": ""}]',
        '[{"capacityProvider": "cp", "wait": 1}]',
        '[{"capacityProvider": "cp", "weight": -1}]',
        '[{"capacityProvider": "cp", "weight": 1001}]',
        '[{"capacityProvider": "cp", "weight": 1.5}]',
        '[{"capacityProvider": "cp", "weight": true}]',
        '[{"capacityProvider": "cp", "base": 100001}]',
        '[{"capacityProvider": "a"}, {"capacityProvider": "b", "weight": 0}]',
        '[{"capacityProvider": "a", "weight": 1, "base": 1}, {"capacityProvider": "b", "base": 1}]',
        json.dumps([{"capacityProvider": f"cp{number}", "weight": 1} for number in range(21)]),
    ],
)
def test_a_strategy_that_aws_would_refuse_is_a_problem_with_an_example(text):
    problem = the_problem("[aws_ecs_executor] capacity_provider_strategy", capacity_provider_strategy=text)
    assert problem.value == text and "capacityProvider" in problem.remedy


STRATEGY = '[{"capacityProvider": "cp", "weight": 1}]'


@pytest.mark.parametrize(
    "strategy_key", ["capacity_provider_strategy", "capacityProviderStrategy", "CapacityProviderStrategy"]
)
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
        {"run_task_kwargs": '{"launchType": "EC2"}'},
        {"run_task_kwargs": '{"launch_type": "EC2", "platformVersion": "LATEST"}'},
    ],
)
def test_what_is_fargates_is_not_sent_elsewhere(values):
    settings = read(subnets="a", **values)
    assert "platformVersion" not in settings.run_task and not settings.fargate
    assert settings.run_task["networkConfiguration"] == {"awsvpcConfiguration": {"subnets": ["a"]}}
    assert settings.fargate_only == {"platformVersion": "LATEST", "assignPublicIp": "DISABLED"}
    assert settings.warnings == ()


def test_what_was_asked_for_but_is_not_sent_is_said():
    (warning,) = read(launch_type="EC2", subnets="a", platform_version="1.4.0", assign_public_ip="1").warnings
    assert "1.4.0" in warning and "public IP" in warning and "EC2" in warning


def test_fargate_strategies_keep_the_platform_version():
    settings = read(capacity_provider_strategy=json.dumps(SPOT), subnets="a", platform_version="1.4.0")
    assert settings.run_task["platformVersion"] == "1.4.0" and settings.fargate


@pytest.mark.parametrize("text, value", [("latest", "LATEST"), ("1.4.0", "1.4.0"), ("1.4", "1.4")])
def test_platform_versions(text, value):
    assert read(platform_version=text).run_task["platformVersion"] == value


def test_a_malformed_platform_version_is_a_problem():
    assert the_problem("[aws_ecs_executor] platform_version", platform_version="newest").value == "newest"


# The cluster's default


def test_a_cluster_without_default_strategy_means_fargate():
    settings = with_cluster_default(read(subnets="a"), [])
    assert settings.run_task["launchType"] == "FARGATE" and settings.run_task["platformVersion"] == "LATEST"
    assert not settings.use_cluster_default and settings.fargate and settings.warnings == ()


def test_fargate_by_default_without_subnets_is_warned_about_too():
    assert "SUBNETS" in with_cluster_default(read(), []).warnings[0]


@pytest.mark.parametrize("provider", ["FARGATE", "FARGATE_SPOT"])
def test_a_default_strategy_of_fargate_is_left_to_ecs(provider):
    before = read(subnets="a")
    settings = with_cluster_default(before, [{"capacityProvider": provider, "weight": 1, "base": 0}])
    assert settings.run_task == before.run_task and settings.fargate and not settings.use_cluster_default


def test_a_default_strategy_of_ec2_takes_what_is_fargates_away():
    before = read(subnets="a", assign_public_ip="1")
    settings = with_cluster_default(before, [{"capacityProvider": "my-instances"}])
    assert settings.run_task["networkConfiguration"] == {"awsvpcConfiguration": {"subnets": ["a"]}}
    assert not {"platformVersion", "launchType", "capacityProviderStrategy"} & set(settings.run_task)
    assert not settings.fargate
    assert settings.fargate_only == {"platformVersion": "LATEST", "assignPublicIp": "ENABLED"}
    assert before.run_task["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "ENABLED"


def test_a_configured_capacity_does_not_look_at_the_default():
    settings = read(launch_type="EC2")
    assert with_cluster_default(settings, [{"capacityProvider": "FARGATE"}]) is settings


# run_task_kwargs


@pytest.mark.parametrize(
    "text",
    ["{", "{'a'", "[1]", '"text"', "7", "null x", '{"cpu": NaN}', '{"a": {1, 2}}', "{" * 2000, "[" * 100_000],
)
def test_run_task_kwargs_that_are_no_json_object_are_a_problem(text):
    problem = the_problem("[aws_ecs_executor] run_task_kwargs", run_task_kwargs=text)
    assert "JSON" in problem.text


def test_bad_json_tells_the_place_but_not_the_text():
    problem = the_problem("[aws_ecs_executor] run_task_kwargs", run_task_kwargs='{"password": "hunter2",,}')
    assert "line 1 column 24" in problem.text and "hunter2" not in str(problem)


def test_keys_are_taken_in_both_spellings_at_any_depth():
    snake = {
        "enable_execute_command": True,
        "enable_ecs_managed_tags": True,
        "propagate_tags": "TASK_DEFINITION",
        "placement_constraints": [{"type": "memberOf", "expression": "attribute:a_b == c"}],
        "overrides": {
            "task_role_arn": "arn:x",
            "ephemeral_storage": {"size_in_gi_b": 30},
            "container_overrides": [
                {"name": "worker", "memory_reservation": 5, "resource_requirements": [{"type": "GPU"}]}
            ],
        },
        "volume_configurations": [{"name": "v", "managed_ebs_volume": {"role_arn": "r", "size_in_gib": 4}}],
    }
    camel = {
        "enableExecuteCommand": True,
        "enableECSManagedTags": True,
        "propagateTags": "TASK_DEFINITION",
        "placementConstraints": [{"type": "memberOf", "expression": "attribute:a_b == c"}],
        "overrides": {
            "taskRoleArn": "arn:x",
            "ephemeralStorage": {"sizeInGiB": 30},
            "containerOverrides": [
                {"name": "worker", "memoryReservation": 5, "resourceRequirements": [{"type": "GPU"}]}
            ],
        },
        "volumeConfigurations": [{"name": "v", "managedEBSVolume": {"roleArn": "r", "sizeInGiB": 4}}],
    }
    assert read_kwargs(snake).run_task == read_kwargs(camel).run_task
    assert {key: read_kwargs(snake).run_task[key] for key in camel} == camel


def test_a_key_in_two_spellings_is_a_problem():
    assert "twice" in kwargs_problem({"launch_type": "EC2", "launchType": "FARGATE"}).text


def test_null_counts_as_not_given():
    assert read_kwargs({"launch_type": None, "overrides": {"cpu": None}}).run_task == read().run_task


def test_an_unknown_parameter_is_warned_about_and_sent():
    settings = read_kwargs({"propagate_tag": "NONE", "brand_new_thing": {"inner_key": 1}})
    assert settings.run_task["propagateTag"] == "NONE" and settings.run_task["brandNewThing"] == {"innerKey": 1}
    new, typo = settings.warnings
    assert "brandNewThing" in new and "did you mean propagateTags?" in typo


@pytest.mark.parametrize("count", [0, 2, "1"])
def test_a_count_other_than_one_is_a_problem(count):
    assert "count" in kwargs_problem({"count": count}).text


def test_a_count_of_one_passes():
    assert read_kwargs({"count": 1}).run_task == read().run_task


@pytest.mark.parametrize("key", ["clientToken", "client_token"])
def test_a_client_token_is_a_problem(key):
    assert "clientToken" in kwargs_problem({key: "x"}).text


@pytest.mark.parametrize("value", ["team-a", "a/b_c", "x" * 128])
def test_started_by_is_passed_on(value):
    assert read_kwargs({"started_by": value}).run_task["startedBy"] == value


@pytest.mark.parametrize("value", ["", "x" * 129, "has space", "dot.", 5])
def test_a_started_by_that_aws_refuses_is_a_problem(value):
    assert "128" in kwargs_problem({"startedBy": value}).text


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
    ],
)
def test_tags_in_each_form_with_their_keys_untouched(tags, expected):
    found = read_kwargs({"tags": tags}).run_task["tags"]
    assert [(tag["key"], tag["value"]) for tag in found] == expected


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


def test_fifty_long_tags_pass():
    tags = {f"{number:0>128}": "v" * 256 for number in range(50)}
    assert len(read_kwargs({"tags": tags}).run_task["tags"]) == 50


# Container overrides


def test_an_entry_without_a_name_is_ours():
    settings = read_kwargs({"overrides": {"containerOverrides": [{"memory": 512}], "cpu": "1024"}})
    assert settings.run_task["overrides"] == {
        "containerOverrides": [{"memory": 512, "name": "worker"}],
        "cpu": "1024",
    }


def test_a_sidecar_listed_first_keeps_its_name():
    settings = read_kwargs({"overrides": {"containerOverrides": [{"name": "proxy", "command": ["run"], "cpu": 1}]}})
    assert settings.run_task["overrides"]["containerOverrides"] == [
        {"name": "proxy", "command": ["run"], "cpu": 1},
        {"name": "worker"},
    ]


def test_our_entry_is_found_by_name_wherever_it_stands():
    entries = [{"name": "proxy"}, {"name": "worker", "cpu": 2, "command": []}, {"name": "agent"}]
    settings = read_kwargs({"overrides": {"containerOverrides": entries}})
    assert ours(settings) == {"name": "worker", "cpu": 2}
    assert len(settings.run_task["overrides"]["containerOverrides"]) == 3


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
    assert sorted(problem.option.name for problem in found) == [
        "assign_public_ip",
        "cluster",
        "launch_type",
        "max_run_task_attempts",
        "run_task_kwargs",
        "run_task_kwargs",
        "spot_interruptions",
        "subnets",
    ]


def test_the_message_has_a_line_for_each_problem_with_option_value_remedy_and_variable():
    with pytest.raises(ConfigurationError) as caught:
        read(max_run_task_attempts="many", cluster=None)
    head, *lines = str(caught.value).splitlines()
    assert "2 problems" in head and len(lines) == 2
    (line,) = [line for line in lines if "max_run_task_attempts" in line]
    for part in ("[aws_ecs_executor]", "'many'", "whole number", "AIRFLOW__AWS_ECS_EXECUTOR__MAX_RUN_TASK_ATTEMPTS"):
        assert part in line


def test_long_values_are_shortened_in_the_message():
    with pytest.raises(ConfigurationError) as caught:
        read(launch_type="x" * 5000)
    assert len(str(caught.value)) < 500


def test_an_option_that_airflow_cannot_read_is_a_problem():
    problem = the_problem("[aws_ecs_executor] region_name", region_name=RuntimeError("the command failed"))
    assert "the command failed" in problem.text


def test_a_teams_problem_names_the_teams_variable():
    problem = the_problem("[aws_ecs_executor] launch_type", launch_type="x", team="red")
    assert problem.variable == "AIRFLOW__RED___AWS_ECS_EXECUTOR__LAUNCH_TYPE"


# Variables that nobody reads


@pytest.mark.parametrize(
    "variable, right",
    [
        ("AIRFLOW__ECS_EXECUTOR__SUBNETS", "AIRFLOW__AWS_ECS_EXECUTOR__SUBNETS"),
        ("AIRFLOW__ECS_EXECUTOR__SECURITY_GROUPS", "AIRFLOW__AWS_ECS_EXECUTOR__SECURITY_GROUPS"),
        ("AIRFLOW__ECS_FARGATE__REGION", "AIRFLOW__AWS_ECS_EXECUTOR__REGION_NAME"),
        ("AIRFLOW__ECS_FARGATE__CLUSTER", "AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER"),
        ("AIRFLOW__ECS_EXECUTOR__COLOUR", "[aws_ecs_executor]"),
        ("AIRFLOW__AWS_ECS_EXECUTOR__SUBNET", "AIRFLOW__AWS_ECS_EXECUTOR__SUBNETS"),
        ("AIRFLOW__AWS_ECS_EXECUTOR__TASK_DEFINTION", "AIRFLOW__AWS_ECS_EXECUTOR__TASK_DEFINITION"),
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
        "AIRFLOW__AWS_ECS_EXECUTOR__CONN_ID",
        "AIRFLOW__AWS_ECS_EXECUTOR__AWS_CONN_ID",
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
