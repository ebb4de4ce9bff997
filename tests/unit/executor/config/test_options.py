from __future__ import annotations

import re
from pathlib import Path

import pytest
from airflow_ecs_executor.config import options

from tests.paths import EXECUTOR

IDS = [str(option) for option in options.OPTIONS]

# Published by the provider: section [aws_ecs_executor] of its configuration reference, and its documentation's name
# for the connection.
REFERENCE_OPTIONS = [
    "assign_public_ip",
    "aws_conn_id",
    "capacity_provider_strategy",
    "check_health_on_startup",
    "cluster",
    "conn_id",
    "container_name",
    "launch_type",
    "max_run_task_attempts",
    "platform_version",
    "region_name",
    "run_task_kwargs",
    "security_groups",
    "subnets",
    "task_definition",
]


def test_all_options_of_the_reference_are_known():
    assert sorted(options.named("aws_ecs_executor")) == REFERENCE_OPTIONS


@pytest.mark.parametrize("option", options.OPTIONS, ids=IDS)
def test_every_option_is_described_with_an_example_of_what_it_allows(option):
    example = option.example or option.default
    assert option.description.endswith(".") and example
    if option.choices:
        assert example in option.choices
    if option.pattern:
        assert re.fullmatch(option.pattern, example) and option.allowed


def test_the_variable_of_an_option_is_airflows_and_that_of_a_team_has_three_underscores():
    assert options.CLUSTER.variable() == "AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER"
    assert options.CLUSTER.variable("red") == "AIRFLOW__RED___AWS_ECS_EXECUTOR__CLUSTER"


def test_only_the_options_know_the_names_of_their_variables():
    """Anything else would name the variable of all teams to one of them."""
    package = EXECUTOR / "airflow_ecs_executor"
    literal = re.compile(r"AIRFLOW__(?:AWS|AIRFLOW)_ECS_EXECUTOR__|AIRFLOW__\{")
    found = {path.relative_to(package) for path in package.rglob("*.py") if literal.search(path.read_text("utf-8"))}
    assert found == {Path("config/options.py")}
