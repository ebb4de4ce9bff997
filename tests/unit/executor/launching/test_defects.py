"""A defect of the executor in one of its threads: it shows as a defect, and the executor continues."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from airflow_ecs_executor.aws.ecs import Ecs
from airflow_ecs_executor.aws.workload_store import WorkloadStore
from airflow_ecs_executor.launching.adoption import Orphan
from airflow_ecs_executor.launching.request_builder import RequestBuilder

from local.ecs.control import EcsApi
from local.fakes.s3 import FakeS3
from tests.unit.executor.harness import Airflow, Scheduler, key, launched, patient
from tests.unit.planted import defect_of


def plant(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> list[str]:
    """Let the first call of a method raise; returns the list to which that call is added."""
    original, raised = getattr(owner, name), []

    def method(*args: Any, **options: Any) -> Any:
        if not raised:
            raised.append(name)
            defect_of("airflow_ecs_executor")()
        return original(*args, **options)

    monkeypatch.setattr(owner, name, method)
    return raised


def check_log(caplog: pytest.LogCaptureFixture) -> None:
    """One traceback, and no warning that takes the defect for an error of AWS."""
    planted = [record for record in caplog.records if "planted" in record.getMessage() or record.exc_info]
    (defect,) = [record for record in planted if record.exc_info]
    assert defect.levelno == logging.ERROR and isinstance(defect.exc_info[1], KeyError)
    others = {record.getMessage() for record in planted if record is not defect}
    assert all("This is a defect of the ECS executor" in message for message in others), others


@pytest.mark.parametrize(
    ("owner", "name", "end"),
    [
        (RequestBuilder, "build", "failed"),
        (WorkloadStore, "put", "failed"),
        (Ecs, "run_task", "failed"),
        (Ecs, "describe", "success"),
        (Airflow, "unwanted", "success"),
    ],
)
def test_a_defect_in_a_thread_is_logged_with_its_traceback(
    ecs: EcsApi,
    s3: FakeS3,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: type,
    name: str,
    end: str,
) -> None:
    options = {"workload_s3_uri": "s3://bucket/workloads", "workload_s3_use": "always"}
    scheduler = Scheduler(policy=patient(review_interval=0.1), **options)
    raised = plant(monkeypatch, owner, name)
    scheduler.queue(key(0))
    scheduler.run(lambda: raised)
    scheduler.run_to_the_end()
    scheduler.complete(key(1))
    assert scheduler.ends() == {key(0): [end], key(1): ["success"]}
    check_log(caplog)


def test_a_defect_while_a_container_is_stopped(
    ecs: EcsApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Scheduler()
    launched(ecs, scheduler, 1)
    raised = plant(monkeypatch, Ecs, "stop")
    scheduler.revoke(key(0))
    scheduler.run(lambda: raised)
    scheduler.for_a_while(0.1)
    check_log(caplog)


def test_a_defect_in_the_search_for_containers(
    ecs: EcsApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = Scheduler()
    launched(ecs, first, 1)
    first.die()
    plant(monkeypatch, Ecs, "list_running")
    scheduler = Scheduler()
    assert scheduler.adopt(Orphan(key(0), None, None, True)) == []
    scheduler.run(lambda: scheduler.states() == ["running"])
    assert len(ecs.tasks()) == 1
    check_log(caplog)
