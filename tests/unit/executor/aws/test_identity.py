"""How containers are told apart."""

from __future__ import annotations

import dataclasses
import re
from collections import namedtuple

import pytest
from airflow_ecs_executor.aws.identity import (
    IDENTITY_VARIABLE,
    Deployment,
    identity_in,
    name_of_deployment,
    tags_of,
)

Key = namedtuple("Key", "dag_id task_id run_id try_number map_index")
KEY = Key("dag", "task", "manual__2026-01-01T00:00:00+00:00", 1, -1)
OURS = Deployment("ours", "us", "airflow")


def test_a_deployment_is_a_valid_started_by() -> None:
    assert re.fullmatch(r"[A-Za-z0-9\-/_]{1,128}", name_of_deployment("db.example.com:5432/airflow "))


@pytest.mark.parametrize("changed", ["dag_id", "task_id", "run_id", "try_number", "map_index"])
def test_every_part_of_the_key_counts(changed: str) -> None:
    other = KEY._replace(**{changed: 7 if isinstance(getattr(KEY, changed), int) else "other"})
    assert OURS.identity_of(other) != OURS.identity_of(KEY)


def test_the_same_task_instance_of_another_deployment_is_another() -> None:
    assert dataclasses.replace(OURS, name="other").identity_of(KEY) != OURS.identity_of(KEY)


def test_a_callback_has_an_identity() -> None:
    Callback = namedtuple("Callback", "id")
    assert OURS.identity_of(Callback("abc")) == OURS.identity_of("abc")


def test_tags_hold_only_what_aws_allows() -> None:
    tags = tags_of(KEY._replace(dag_id="a" * 300, task_id="t[1]; drop<>é"))
    assert {tag["key"] for tag in tags} == {
        "airflow:dag_id",
        "airflow:task_id",
        "airflow:run_id",
        "airflow:map_index",
        "airflow:try_number",
    }
    for tag in tags:
        assert len(tag["value"]) <= 256
        assert re.fullmatch(r"[\w\s.:/=+\-@]*", tag["value"])


def test_a_tag_s_value_does_not_begin_with_the_prefix_that_is_aws_s_own() -> None:
    assert {"key": "airflow:run_id", "value": "_aws:1"} in tags_of(KEY._replace(run_id="aws:1"))


def test_the_identity_is_found_in_a_described_task() -> None:
    environment = [{"name": "OTHER", "value": "x"}, {"name": IDENTITY_VARIABLE, "value": "abc"}]
    task = {"overrides": {"containerOverrides": [{"name": "sidecar"}, {"name": "airflow", "environment": environment}]}}
    assert identity_in(task) == "abc"


@pytest.mark.parametrize("task", [{}, {"overrides": None}, {"overrides": {"containerOverrides": [{"name": "a"}]}}])
def test_a_task_of_somebody_else_has_no_identity(task: dict) -> None:
    assert identity_in(task) is None
