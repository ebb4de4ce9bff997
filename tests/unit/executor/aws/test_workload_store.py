from __future__ import annotations

import json

import pytest
from airflow_ecs_executor.aws.workload_store import WorkloadStore

WORKLOAD = ["python", "-m", "airflow.sdk.execution_time.execute_workload", "--json-string", '{"token": "secret"}']
TASKS_RUN = ["airflow", "tasks", "run", "dag", "task", "run", "--local"]


def store(uri="s3://workloads/prefix"):
    return WorkloadStore(lambda: pytest.fail("nothing is to be written"), uri, "production", None)


@pytest.mark.parametrize("command", [WORKLOAD, TASKS_RUN], ids=["workload", "tasks run"])
def test_the_program_stays_and_its_arguments_are_pointed_to(command):
    stored = store().prepare("identity", command)
    assert list(stored.command) == [*command[:3], "--arguments-from", stored.uri]
    assert json.loads(stored.body) == {"arguments": command[3:]}
    assert "secret" not in " ".join(stored.command)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("s3://workloads", "s3://workloads/production/identity-"),
        ("s3://workloads/", "s3://workloads/production/identity-"),
        ("s3://workloads/a/b/", "s3://workloads/a/b/production/identity-"),
    ],
)
def test_every_deployment_has_a_prefix_of_its_own(uri, place):
    assert store(uri).prepare("identity", WORKLOAD).uri.startswith(place)


def test_no_two_launches_share_a_place():
    assert store().prepare("identity", WORKLOAD).uri != store().prepare("identity", WORKLOAD).uri
