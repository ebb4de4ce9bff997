"""What Airflow's base class of executors does with ours: slots, keys, events, and the scheduler's calls."""

from __future__ import annotations

import time
import weakref
from types import SimpleNamespace
from typing import Any, Callable

import pytest
from airflow.exceptions import AirflowException
from airflow.executors.base_executor import BaseExecutor
from airflow_ecs_executor import airflow_compat
from airflow_ecs_executor.aws.task_definition import read_definition
from airflow_ecs_executor.checks import environment
from airflow_ecs_executor.executor import AwsEcsExecutor
from airflow_ecs_executor.image_check.facts import ImageFacts

from local.ecs.control import EcsApi
from tests.executor.harness import Scheduler, key
from tests.unit.executor import harness
from tests.unit.executor.harness import Hostile, deep, finish_all
from tests.unit.executor.worker_images import SECRETS

pytestmark = pytest.mark.oldest


def task_instance(ti_key: Any, arn: str | None, state: str = "running", queued: float | None = None) -> Any:
    """What the scheduler offers for adoption."""
    moment = None if queued is None else SimpleNamespace(timestamp=lambda: queued)
    return SimpleNamespace(key=ti_key, external_executor_id=arn, state=state, queued_dttm=moment)


# Start


def test_no_attribute_of_ours_is_one_of_the_base_class() -> None:
    """What Airflow calls, and what it says of itself, is meant to be its own."""
    ours = set(vars(AwsEcsExecutor(parallelism=1))) - set(vars(BaseExecutor(parallelism=1)))
    assert not ours & set(dir(BaseExecutor))
    assert "policy" not in dir(BaseExecutor)


def test_all_problems_of_the_configuration_are_said_at_once_before_aws_is_asked(ecs: EcsApi) -> None:
    with pytest.raises(AirflowException) as caught:
        Scheduler(
            assign_public_ip="perhaps", max_run_task_attempts="many", run_task_kwargs="{bad", run_task_rate="fast"
        )
    for variable in (
        "AIRFLOW__AWS_ECS_EXECUTOR__ASSIGN_PUBLIC_IP",
        "AIRFLOW__AWS_ECS_EXECUTOR__MAX_RUN_TASK_ATTEMPTS",
        "AIRFLOW__AWS_ECS_EXECUTOR__RUN_TASK_KWARGS",
        "AIRFLOW__AIRFLOW_ECS_EXECUTOR__RUN_TASK_RATE",
    ):
        assert variable in str(caught.value)
    assert ecs.calls() == {}


def test_what_is_wrong_with_ecs_keeps_the_scheduler_from_starting_and_its_end_is_harmless(ecs: EcsApi) -> None:
    scheduler = Scheduler(start=False, cluster="nothing")
    with pytest.raises(AirflowException, match="There is no cluster 'nothing'"):
        scheduler.start()
    ti = task_instance(key(), None)
    assert scheduler.executor.try_adopt_task_instances([ti]) == [ti]
    scheduler.executor.sync()
    scheduler.executor.end()
    scheduler.executor.terminate()


def test_variables_of_the_wrong_section_are_warned_about(
    ecs: EcsApi, warned: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__ECS_EXECUTOR__CLUSTER", "mine")
    Scheduler()
    assert "AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER" in warned()


# The scheduler's loop


def test_tasks_are_launched_by_slots_and_their_ends_are_told_and_free_them(ecs: EcsApi) -> None:
    scheduler = Scheduler(parallelism=2)
    ecs.configure(run_seconds=None)
    for number in range(3):
        scheduler.queue(key(number))
    scheduler.beat()
    assert (len(scheduler.queued_tasks), len(scheduler.running)) == (1, 2)
    scheduler.run(lambda: len(scheduler.arns()) == 2)
    ecs.finish(scheduler.arns()[key(0)])
    ecs.finish(scheduler.arns()[key(1)], exit_code=1)
    scheduler.run(lambda: len(scheduler.arns()) == 3)
    ecs.finish(scheduler.arns()[key(2)])
    scheduler.run_to_the_end()
    assert scheduler.executor.slots_occupied == 0
    tasks = {task["tags"]["airflow:task_id"]: task for task in ecs.tasks()}
    for number, state in enumerate(("success", "failed", "success")):
        assert scheduler.states(key(number)) == ["running", state]
        assert scheduler.arns()[key(number)] == tasks[f"task-{number}"]["arn"]
    ((failed, note),) = scheduler.notes
    assert failed.task_id == "task-1" and note.startswith("ecs task failed: ") and "exit code 1" in note


def test_records_of_the_event_log_outlive_the_scheduler_s_queue(ecs: EcsApi) -> None:
    """The scheduler takes them out of the queue, and SQLAlchemy keeps only weak references to them."""
    scheduler = Scheduler()
    scheduler.executor.log_task_event(event="ecs task failed", extra="because", ti_key=key())
    record = weakref.ref(scheduler.executor._task_event_logs.popleft())
    kept = record()
    assert kept is not None and kept.extra == "because"


def test_row_2_an_executor_config_that_airflow_itself_cannot_show_fails_its_task_alone(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    scheduler.queue(key("hostile"), {"overrides": Hostile()})
    scheduler.queue(key("deep"), deep(3000))
    scheduler.queue(key("other"), {"pod_override": object()})
    scheduler.queue(key("good"), {"tags": [{"key": "a", "value": "b"}]})
    scheduler.run_to_the_end()
    ends = {ti_key.task_id: states for ti_key, states in scheduler.ends().items()}
    bad = {f"task-{name}": ["failed"] for name in ("hostile", "deep", "other")}
    assert ends == {**bad, "task-good": ["success"]}
    assert {noted.task_id for noted, _ in scheduler.notes} == set(bad)
    assert scheduler.executor.slots_occupied == 0


def test_a_deferred_task_that_comes_back_before_its_container_is_gone_waits_for_that(ecs: EcsApi) -> None:
    """The base class of Airflow 2 and 3.0 would forget it after ten seconds."""
    scheduler = Scheduler()
    ecs.configure(run_seconds=None)
    scheduler.queue(key())
    scheduler.run(lambda: scheduler.states() == ["running"])
    scheduler.queue(key())
    scheduler.beat()
    assert not scheduler.queued_tasks and key() in scheduler.running
    finish_all(ecs)
    scheduler.run(lambda: len(ecs.tasks(["arn"])) == 2)
    assert key() in scheduler.running, "the end of the former container frees no slot"
    finish_all(ecs)
    scheduler.run_to_the_end()
    assert scheduler.states() == ["running", "running", "success"]


# Restart


def test_adopted_tasks_occupy_slots_and_the_others_are_given_back(ecs: EcsApi) -> None:
    first = harness.Scheduler()
    ecs.configure(run_seconds=None)
    for number in range(3):
        first.queue(key(number))
    first.run(lambda: ecs.running() == 3 and len(first.arns()) == 3)
    arns = first.arns()
    first.die()
    second = Scheduler(parallelism=8)
    offered = [task_instance(ti_key, arn) for ti_key, arn in arns.items()]
    offered[0].external_executor_id, offered[0].state = None, "queued"
    offered[0].queued_dttm = SimpleNamespace(timestamp=lambda: time.time() - 5)
    without = task_instance(key("x"), None, "queued", time.time())
    second.queue(key("own"))
    own = task_instance(key("own"), None, "queued", time.time())
    assert list(second.executor.try_adopt_task_instances([*offered, without, own])) == [without]
    assert second.running == set(arns) and second.executor.slots_available == 4
    second.run(lambda: ecs.running() == 4)
    finish_all(ecs)
    second.run_to_the_end()
    assert second.ends() == {ti_key: ["success"] for ti_key in [*arns, key("own")]}
    assert len(ecs.tasks()) == 4


@pytest.mark.parametrize("launch", [True, False], ids=["a container", "queued"])
def test_a_revoked_task_frees_its_slot_and_nothing_is_told(ecs: EcsApi, launch: bool) -> None:
    scheduler = Scheduler()
    ecs.configure(run_seconds=None)
    scheduler.queue(key())
    if launch:
        scheduler.run(lambda: ecs.running() == 1 and scheduler.states() == ["running"])
    before = list(scheduler.events)
    scheduler.executor.revoke_task(ti=task_instance(key(), None))
    assert not scheduler.running and not scheduler.queued_tasks
    scheduler.run(lambda: ecs.running() == 0)
    scheduler.beat()
    assert scheduler.events == before


def test_revoking_what_is_no_task_raises_nothing(ecs: EcsApi, said: Callable[[], str]) -> None:
    Scheduler().executor.revoke_task(ti=object())
    assert "Unexpected error while" in said()


# The end


def test_terminate_stops_what_runs(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    ecs.configure(run_seconds=None)
    scheduler.queue(key())
    scheduler.run(lambda: ecs.running() == 1)
    scheduler.executor.terminate()
    assert {task["stopCode"] for task in ecs.tasks()} == {"UserInitiated"}


def test_end_waits_for_what_runs_and_hears_of_it(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    ecs.configure(run_seconds=0.3)
    scheduler.queue(key())
    scheduler.run(lambda: scheduler.states() == ["running"])
    scheduler.executor.end(heartbeat_interval=0.05)
    scheduler.beat()
    assert scheduler.states() == ["running", "success"]
    ti = task_instance(key(), None)
    assert scheduler.executor.try_adopt_task_instances([ti]) == [ti], "it is over"


# Configuration


@pytest.mark.parametrize(("variable", "is_airflow_2"), [(name, "DATABASE" in name) for name in SECRETS])
def test_a_container_s_environment_is_compared_with_airflow_s_configuration(variable: str, is_airflow_2: bool) -> None:
    described = {"family": "worker", "revision": 1, "containerDefinitions": [{"name": "airflow", "image": "x"}]}
    definition = read_definition(described, "airflow")
    missing = "\n".join(environment.warnings_of(definition, ImageFacts(), {}, airflow_compat))
    assert (f"set {variable}" in missing or f"give {variable}" in missing) is (
        is_airflow_2 is not airflow_compat.HAS_WORKLOADS
    )
    given = environment.warnings_of(
        definition, ImageFacts(), {variable: "http://airflow:8080/execution/"}, airflow_compat
    )
    assert f"{variable}" not in "\n".join(given)
