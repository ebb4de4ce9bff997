"""How AWS is reached, as far as it needs neither Airflow nor AWS."""

from __future__ import annotations

from typing import Any

import pytest
from airflow_ecs_executor.aws.connection import Connection, region_of
from botocore.config import Config

from local.ecs.control import EcsApi
from tests.unit.executor.harness import Scheduler


def test_the_region_is_the_flag_s_or_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    assert region_of(None) is None and region_of("") is None
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert (region_of(None), region_of("eu-west-2")) == ("eu-west-1", "eu-west-2")


def test_a_client_of_another_service_is_as_patient_as_it_is_asked_to_be(ecs: EcsApi) -> None:
    asked = Config(retries={"total_max_attempts": 2}, connect_timeout=2, read_timeout=3)
    client = Connection(None, False, None).client("logs", region_name="eu-west-1", config=asked)
    assert (client.meta.service_model.service_name, client.meta.region_name) == ("logs", "eu-west-1")
    config = client.meta.config
    assert (config.retries["total_max_attempts"], config.connect_timeout, config.read_timeout) == (2, 2, 3)
    client.close()


def test_one_client_serves_the_whole_process_and_does_not_retry(ecs: EcsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    real = Connection.ecs

    def make(connection: Connection, connections: int) -> Any:
        made.append(real(connection, connections))
        return made[-1]

    monkeypatch.setattr(Connection, "ecs", make)
    scheduler = Scheduler()
    scheduler.queue_all(20)
    scheduler.run_to_the_end()
    (client,) = made
    assert client.meta.config.retries["total_max_attempts"] == 1
