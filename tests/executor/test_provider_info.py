"""What we tell Airflow's provider manager, checked by the schemas of the Airflow that is installed here."""

from __future__ import annotations

import json
from importlib import resources

import airflow
import jsonschema
import pytest
from airflow.configuration import conf
from airflow_ecs_executor.config.options import OWN_SECTION, named
from airflow_ecs_executor.config.reader import read_settings
from airflow_ecs_executor.provider import get_provider_info


def schema(name):
    with resources.open_text(airflow, name) as file:
        return json.load(file)


def test_airflow_accepts_the_provider_info():
    jsonschema.validate(get_provider_info(), schema("provider_info.schema.json"))


@pytest.mark.parametrize("option", named(OWN_SECTION).values(), ids=lambda option: option.name)
def test_an_option_is_declared_with_all_that_the_schema_requires(option):
    declared = get_provider_info()["config"]["airflow_ecs_executor"]["options"][option.name]
    wanted = schema("provider_info.schema.json")["definitions"]["option"]
    assert set(wanted["required"]) <= set(declared) <= set(wanted["properties"])


def test_the_defaults_that_airflow_declares_are_those_that_are_read(monkeypatch):
    for name, value in {"CLUSTER": "airflow", "CONTAINER_NAME": "worker", "TASK_DEFINITION": "jobs"}.items():
        monkeypatch.setenv(f"AIRFLOW__AWS_ECS_EXECUTOR__{name}", value)
    settings = read_settings(conf, {})
    assert (settings.conn_id, settings.conn_id_named) == ("aws_default", False)
    assert settings.run_task_rate == 20 and settings.deployment is None
    assert settings.run_task["platformVersion"] == "LATEST" and settings.warnings == ()


def test_airflows_own_variables_reach_the_settings(monkeypatch):
    values = {
        "AWS_ECS_EXECUTOR__CLUSTER": "airflow",
        "AWS_ECS_EXECUTOR__CONTAINER_NAME": "worker",
        "AWS_ECS_EXECUTOR__RUN_TASK_KWARGS": '{"task_definition": "jobs", "tags": {"share": "50 of 100"}}',
        "AWS_ECS_EXECUTOR__AWS_CONN_ID": "",
        "AIRFLOW_ECS_EXECUTOR__RUN_TASK_RATE": "7.5",
        "AIRFLOW_ECS_EXECUTOR__DEPLOYMENT": "production",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"AIRFLOW__{name}", value)
    settings = read_settings(conf, {})
    assert settings.conn_id is None and settings.run_task_rate == 7.5 and settings.deployment == "production"
    assert settings.run_task["tags"] == [{"key": "share", "value": "50 of 100"}]
