from __future__ import annotations

import json

import pytest
from airflow_ecs_executor.aws.task_definition import read_definition
from airflow_ecs_executor.checks.environment import container_of, differences
from airflow_ecs_executor.image_check.facts import ImageFacts

POSTGRES = "postgresql+psycopg2://airflow:hunter2@db.internal:5432/airflow"
API = "http://airflow.internal:8080/execution/"
IN_ORDER_2 = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": POSTGRES}
IN_ORDER_3 = {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": API}


class Conf:
    def __init__(self, values):
        self.values = values

    def get(self, section, key, fallback=None):
        value = self.values.get(f"{section}.{key}", fallback)
        if isinstance(value, Exception):
            raise value
        return value


def found(airflow, environment, secrets=(), image=None, known=True, overrides=None, files=False, **scheduler):
    container = {
        "name": "airflow",
        "image": "worker:1",
        "environment": [{"name": name, "value": value} for name, value in environment.items()],
        "secrets": [{"name": name, "valueFrom": "arn:…"} for name in secrets],
        "environmentFiles": [{"type": "s3", "value": "arn:…"}] if files else [],
    }
    definition = read_definition({"containerDefinitions": [container]}, "airflow")
    facts = ImageFacts(environment=image or {}) if known else None
    conf = Conf({name.replace("__", "."): value for name, value in scheduler.items()})
    return list(differences(conf, container_of(definition, facts, overrides or {}), is_airflow_2=airflow == 2))


def on_2(environment=None, **more):
    more.setdefault("database__sql_alchemy_conn", POSTGRES)
    return found(2, {**IN_ORDER_2, **(environment or {})}, **more)


def on_3(environment=None, **more):
    return found(3, {**IN_ORDER_3, **(environment or {})}, **more)


def the(warnings, *words):
    (warning,) = warnings
    for word in words:
        assert word in warning
    return warning


def test_nothing_is_said_of_an_environment_in_order():
    assert on_2() == on_3() == []


# The database, and the API server


def test_airflow_2_needs_the_database():
    the(found(2, {}), "sql_alchemy_conn is not set", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN as a secret")
    assert found(3, IN_ORDER_3) == []


@pytest.mark.parametrize("suffix", ["", "_CMD", "_SECRET"])
def test_the_database_may_come_in_each_of_airflows_ways(suffix):
    assert found(2, {}, secrets=[f"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN{suffix}"]) == []


def test_another_database_is_told_without_its_password():
    other = POSTGRES.replace("db.internal", "elsewhere")
    text = the(on_2({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": other}), "another database")
    assert "hunter2" not in text and "elsewhere" not in text


@pytest.mark.parametrize(
    "url", ["postgresql://tasks:other@db.internal:5432/airflow", POSTGRES.replace(":5432", "")], ids=["user", "port"]
)
def test_another_user_or_driver_and_the_usual_port_are_the_same_database(url):
    assert on_2({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}) == []


def test_a_url_that_is_none_is_another():
    the(on_3({"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://[api:8080/"}, core__execution_api_server_url=API), API)


def test_airflow_3_needs_the_api_server():
    the(found(3, {}), "execution_api_server_url is not set", "AIRFLOW__CORE__EXECUTION_API_SERVER_URL")
    assert "sql_alchemy_conn" not in str(found(3, {}))


def test_an_api_server_in_the_container_itself_is_a_mistake():
    the(on_3({"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://localhost:8080/execution/"}), "the container itself")


def test_another_api_server():
    the(on_3(core__execution_api_server_url="http://other:8080/execution/"), "other:8080", "airflow.internal")
    assert on_3(core__execution_api_server_url=API.rstrip("/")) == []


def test_on_airflow_2_the_fernet_key_has_to_be_the_same():
    the(on_2(core__fernet_key="k1"), "fernet_key is not set", "as a secret")
    text = the(on_2({"AIRFLOW__CORE__FERNET_KEY": "k2"}, core__fernet_key="k1"), "fernet_key differs")
    assert "k1" not in text and "k2" not in text
    assert on_2(secrets=["AIRFLOW__CORE__FERNET_KEY"], core__fernet_key="k1") == []
    assert on_3(core__fernet_key="k1") == []


# DAGs


def test_an_image_that_loads_from_s3_has_to_be_told_from_where():
    image = {"AIRFLOW_ECS_DAGS": "s3"}
    the(on_2(image=image), "S3_URI is not set")
    assert on_2({"S3_URI": "s3://bucket/dags"}, image=image) == []
    assert on_2(secrets=["S3_URI"], image=image) == []
    assert on_2(overrides={"S3_URI": "s3://bucket/dags"}, image=image) == []
    assert on_2(image={"AIRFLOW_ECS_DAGS": "local"}) == []


def test_another_dag_folder():
    the(on_2(image={"AIRFLOW_ECS_DAGS": "local"}, core__dags_folder="/srv/dags"), "/srv/dags", "/opt/airflow/dags")
    moved = {"CONTAINER_DAG_PATH": "/srv/dags/"}
    assert on_2(moved, image={"AIRFLOW_ECS_DAGS": "local"}, core__dags_folder="/srv/dags") == []
    the(on_2({"AIRFLOW__CORE__DAGS_FOLDER": "/data"}, core__dags_folder="/srv/dags"), "/data")


def test_a_bundle_that_the_container_does_not_have():
    bundles = json.dumps([{"name": "dags-folder", "classpath": "…"}, {"name": "sales", "classpath": "…"}])
    options = {"dag_processor__dag_bundle_config_list": bundles}
    the(on_3(**options), "DAG bundle sales", "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST")
    assert on_3({"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": bundles}, **options) == []
    assert on_2(**options) == []


def test_bundles_that_are_no_json_are_somebody_elses_business():
    assert on_3(dag_processor__dag_bundle_config_list="{") == []


# Logs


def test_remote_logging_that_the_container_does_not_have():
    the(on_3(logging__remote_logging="True"), "remote_logging is on in the scheduler", "LOGGING__REMOTE_LOGGING=True")
    the(on_3({"AIRFLOW__LOGGING__REMOTE_LOGGING": "True"}), "on in the container and off in the scheduler")
    assert on_3({"AIRFLOW__LOGGING__REMOTE_LOGGING": "False"}) == []


def test_remote_logging_to_another_place():
    logging = {"AIRFLOW__LOGGING__REMOTE_LOGGING": "True"}
    options = {"logging__remote_logging": "True", "logging__remote_base_log_folder": "s3://logs/a"}
    the(on_3(logging, **options), "remote_base_log_folder", "not set in the container")
    there = {**logging, "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "s3://logs/b"}
    the(on_3(there, **options), "s3://logs/a", "s3://logs/b")
    same = {**logging, "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "s3://logs/a/"}
    assert on_3(same, **options) == []


# The executor


def test_this_executor_is_not_installed_in_the_container():
    named = {"AIRFLOW__CORE__EXECUTOR": "airflow_ecs_executor.AwsEcsExecutor"}
    the(on_2(named, core__executor="airflow_ecs_executor.AwsEcsExecutor"), "omit the variable")
    assert on_2({"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}) == []


def test_options_of_the_executor_that_differ():
    option = {"AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER": "other"}
    the(on_2(option, aws_ecs_executor__cluster="airflow"), "[aws_ecs_executor] cluster", "airflow", "other")
    assert on_2(option, aws_ecs_executor__cluster="other") == []


@pytest.mark.parametrize(
    "name, ours, theirs",
    [
        ("assign_public_ip", "True", "true"),
        ("max_run_task_attempts", "3", "03"),
        ("run_task_kwargs", '{"count": 1, "group": "a"}', '{"group":"a","count":1}'),
    ],
)
def test_one_value_may_be_written_in_several_ways(name, ours, theirs):
    assert on_2({f"AIRFLOW__AWS_ECS_EXECUTOR__{name.upper()}": theirs}, **{f"aws_ecs_executor__{name}": ours}) == []


def test_run_task_kwargs_are_not_shown():
    secret = '{"overrides": {"containerOverrides": [{"environment": [{"name": "KEY", "value": "hunter2"}]}]}}'
    option = {"AIRFLOW__AWS_ECS_EXECUTOR__RUN_TASK_KWARGS": secret}
    warning = the(on_2(option, aws_ecs_executor__run_task_kwargs="{}"), "run_task_kwargs differs")
    assert "hunter2" not in warning


# What cannot be seen


@pytest.mark.parametrize("blind", [{"known": False}, {"files": True}], ids=["unknown image", "environment files"])
def test_what_may_be_set_where_it_cannot_be_seen_is_not_missed(blind):
    assert found(2, {}, **blind) == found(3, {}, logging__remote_logging="True", **blind) == []
    the(found(3, {"AIRFLOW__LOGGING__REMOTE_LOGGING": "True"}, **blind), "off in the scheduler")


def test_later_places_win():
    image = {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://image/execution/"}
    options = {"core__execution_api_server_url": API}
    assert on_3(image=image, **options) == []
    launches = {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://override/execution/"}
    the(on_3(overrides=launches, **options), "http://override")


def test_an_option_that_airflow_cannot_read_counts_as_not_set():
    assert on_3(logging__remote_logging=RuntimeError("the command failed")) == []
