"""Where the credentials come from: an Airflow connection, or boto3's own chain."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from airflow.exceptions import AirflowException
from airflow_ecs_executor.aws.connection import Connection
from botocore.config import Config

from local.ecs.control import EcsApi
from tests.executor.harness import Scheduler, key

HEARTBEATS = 1.0
"""Seconds that a container runs. Airflow keeps one state of a task instance for each heartbeat, the last."""


@pytest.fixture
def no_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 finds nothing by itself."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_ECS", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.oldest
@pytest.mark.parametrize("option", ["conn_id", "aws_conn_id"])
def test_the_named_connection_gives_credentials_region_and_endpoint(
    ecs: EcsApi, no_chain: None, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    extra = f'{{"region_name": "eu-west-1", "endpoint_url": "{ecs.url}"}}'
    connection = f'{{"conn_type": "aws", "login": "key", "password": "secret", "extra": {extra}}}'
    monkeypatch.setenv("AIRFLOW_CONN_MY_AWS", connection)
    options = {"conn_id": "my_aws"} if option == "conn_id" else {"conn_id": "my_aws", "aws_conn_id": "my_aws"}
    ecs.configure(run_seconds=HEARTBEATS)
    scheduler = Scheduler(region_name="", **options)
    scheduler.queue(key())
    scheduler.run_to_the_end()
    assert scheduler.states() == ["running", "success"]
    assert Connection("my_aws", True, None).ecs(1).meta.region_name == "eu-west-1"


@pytest.mark.oldest
def test_a_connection_s_own_botocore_settings_stay_but_retries_are_the_executor_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = (
        '{"conn_type": "aws", "login": "key", "password": "secret", "extra": '
        '{"config_kwargs": {"user_agent_extra": "ours", "retries": {"max_attempts": 9}}}}'
    )
    monkeypatch.setenv("AIRFLOW_CONN_MY_AWS", connection)
    config = Connection("my_aws", True, "us-east-1").ecs(1).meta.config
    assert "ours" in config.user_agent_extra
    assert config.retries["total_max_attempts"] == 1


@pytest.mark.oldest
def test_a_client_of_another_service_is_as_patient_as_it_is_asked_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MY_AWS", '{"conn_type": "aws", "login": "key", "password": "secret"}')
    asked = Config(retries={"total_max_attempts": 2}, connect_timeout=2, read_timeout=3)
    client = Connection("my_aws", True, None).client("logs", region_name="eu-west-1", config=asked)
    assert (client.meta.service_model.service_name, client.meta.region_name) == ("logs", "eu-west-1")
    config = client.meta.config
    assert (config.retries["total_max_attempts"], config.connect_timeout, config.read_timeout) == (2, 2, 3)
    client.close()


@pytest.mark.oldest
def test_the_default_connection_need_not_exist(ecs: EcsApi) -> None:
    ecs.configure(run_seconds=HEARTBEATS)
    scheduler = Scheduler(conn_id="aws_default")
    scheduler.queue(key())
    scheduler.run_to_the_end()
    assert scheduler.states() == ["running", "success"]


@pytest.mark.oldest
def test_a_named_connection_that_does_not_exist_keeps_the_scheduler_from_starting(ecs: EcsApi, no_chain: None) -> None:
    with pytest.raises(AirflowException, match=r"no valid AWS credentials|nowhere"):
        Scheduler(conn_id="nowhere")


_PROGRAM = """
import sys
from airflow.exceptions import AirflowException
from tests.executor.harness import UNSET, Scheduler, key
scheduler = Scheduler(conn_id=UNSET)
scheduler.queue(key())
scheduler.run_to_the_end()
print(scheduler.states())
try:
    Scheduler(conn_id="my_aws")
except AirflowException as error:
    print(error)
"""


def test_without_the_amazon_provider_boto3_s_chain_is_used_and_a_named_connection_is_a_clear_error(
    ecs: EcsApi, python_without_amazon: str
) -> None:
    ecs.configure(run_seconds=HEARTBEATS)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    command = [python_without_amazon, "-c", _PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert "['running', 'success']" in done.stdout, done.stderr[-2000:]
    assert "pip install apache-airflow-providers-amazon" in done.stdout and "'my_aws'" in done.stdout
