"""Our RunTask requests beside those of the reference executor, which runs in an environment of its own."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from pathlib import Path
from typing import Any, Iterator

import boto3
import pytest
from airflow.configuration import conf
from airflow_ecs_executor.config.reader import read_settings
from airflow_ecs_executor.config.settings import with_cluster_default
from airflow_ecs_executor.config.source import ConfigurationError
from airflow_ecs_executor.launching.request import ExecutorConfigError, build_run_task, check_length
from botocore.validate import ParamValidator

from local.ecs.control import EcsApi
from tests.executor.differential.table import (
    DIFFERENT,
    EC2_CLUSTER,
    FARGATE_CLUSTER,
    PLAIN_CLUSTER,
    ROWS,
    SAME,
    Answer,
    Row,
)

PREFIX = "AIRFLOW__AWS_ECS_EXECUTOR__"
STARTED_BY = "added-by-us"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An ECS API with a cluster of each kind."""
    with EcsApi() as api:
        client = boto3.client("ecs", endpoint_url=api.url, region_name="us-east-1")
        client.create_cluster(clusterName=PLAIN_CLUSTER)
        for name, provider in ((FARGATE_CLUSTER, "FARGATE_SPOT"), (EC2_CLUSTER, "instances")):
            client.create_cluster(
                clusterName=name,
                capacityProviders=[provider],
                defaultCapacityProviderStrategy=[{"capacityProvider": provider, "weight": 1, "base": 0}],
            )
        yield api.url


@pytest.fixture(scope="module")
def references(endpoint: str, reference_python: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """What the reference answers to every row, by the row's name."""
    home = tmp_path_factory.mktemp("reference")
    rows = [
        {
            "options": row.all_options,
            "executor_config": copy.deepcopy(row.executor_config),
            "command": row.command,
            "launches": row.launches,
        }
        for row in ROWS
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    environment.update(
        {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AWS_ENDPOINT_URL_ECS": endpoint,
        }
    )
    program = Path(__file__).with_name("reference_requests.py")
    done = subprocess.run(
        [reference_python, str(program)], input=json.dumps(rows), env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    assert len(answers) == len(ROWS)
    return {row.name: Answer(**answer) for row, answer in zip(ROWS, answers)}


@pytest.fixture
def ask_ours(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What we answer to a row: without the identity that the executor adds, and without its name in startedBy."""
    client = boto3.client("ecs", endpoint_url=endpoint, region_name="us-east-1")

    def ask(row: Row) -> Answer:
        for name, value in row.all_options.items():
            monkeypatch.setenv(PREFIX + name.upper(), value)
        requests: list[dict[str, Any]] = []
        executor_config = copy.deepcopy(row.executor_config)
        try:
            settings = read_settings(conf, os.environ)
            if settings.use_cluster_default:
                (cluster,) = client.describe_clusters(clusters=[settings.cluster])["clusters"]
                settings = with_cluster_default(settings, cluster.get("defaultCapacityProviderStrategy", []))
            for _ in range(row.launches):
                request = build_run_task(
                    settings, row.command, executor_config, environment={}, started_by=STARTED_BY, tags=[]
                )
                check_length(settings.container_name, request)
                if request["startedBy"] == STARTED_BY:
                    del request["startedBy"]
                requests.append(request)
        except (ConfigurationError, ExecutorConfigError) as error:
            return Answer(error=f"{type(error).__name__}: {error}")
        shape = client.meta.service_model.operation_model("RunTask").input_shape
        return Answer(requests, ParamValidator().validate(requests[-1], shape).generate_report())

    return ask


@pytest.mark.parametrize("row", SAME, ids=lambda row: row.name)
def test_both_send_the_same(row: Row, references: dict[str, Answer], ask_ours: Any) -> None:
    ours, reference = ask_ours(row), references[row.name]
    assert reference.sent, reference
    assert ours.sent, ours
    assert ours.requests == reference.requests


@pytest.mark.parametrize("row", DIFFERENT, ids=lambda row: row.name)
def test_where_the_reference_is_wrong_we_differ_as_meant(
    row: Row, references: dict[str, Answer], ask_ours: Any
) -> None:
    ours, reference = ask_ours(row), references[row.name]
    assert row.defect and row.reference and row.ours
    assert row.reference(reference), f"the reference no longer does so ({row.defect}): {reference}"
    assert row.ours(ours), ours


def test_the_table_is_large_enough_and_no_row_is_there_twice() -> None:
    assert len(SAME) >= 25
    assert len({row.name for row in ROWS}) == len(ROWS)
