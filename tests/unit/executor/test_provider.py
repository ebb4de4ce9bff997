from __future__ import annotations

import json

import pytest
from airflow_ecs_executor.config import options
from airflow_ecs_executor.provider import get_provider_info

DECLARED = get_provider_info()["config"]["airflow_ecs_executor"]["options"]


def test_the_executor_and_the_options_of_our_own_section_are_declared():
    info = get_provider_info()
    assert info["package-name"] == "airflow-ecs-executor"
    assert info["executors"] == ["airflow_ecs_executor.AwsEcsExecutor"]
    assert list(info["config"]) == ["airflow_ecs_executor"]
    assert list(DECLARED) == list(options.named("airflow_ecs_executor"))


@pytest.mark.parametrize("name", DECLARED)
def test_an_option_is_declared_as_airflow_wants_it(name):
    declared = DECLARED[name]
    assert set(declared) == {"description", "version_added", "type", "example", "default"}
    assert declared["type"] in ("string", "integer", "float", "boolean")
    assert isinstance(declared["default"], (str, type(None))) and isinstance(declared["example"], str)
    # Airflow would interpolate these in what it writes to airflow.cfg.
    assert not set("%{}") & set(declared["description"] + declared["example"] + (declared["default"] or ""))


def test_each_call_gives_an_object_of_its_own():
    get_provider_info()["config"].clear()
    assert get_provider_info()["config"]
    json.dumps(get_provider_info())
