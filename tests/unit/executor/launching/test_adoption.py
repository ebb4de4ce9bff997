"""Taking over from a scheduler that is gone. Rows are those of the reference executor's defects."""

from __future__ import annotations

import re
import time
from typing import Any, Callable

import pytest
from airflow_ecs_executor.launching.adoption import Orphan

from local.ecs.control import EcsApi
from tests.unit.executor.harness import FAST, Scheduler, finish_all, key, launched, patient

NEVER = "arn:aws:ecs:us-east-1:123456789012:task/airflow/" + "0" * 32


def orphan(ti_key: Any, arn: str | None = None, state: str = "running", queued: float | None = None) -> Orphan:
    """What Airflow offers."""
    return Orphan(ti_key, arn, queued, state == "queued")


def just_queued(ti_key: Any, arn: str | None = None) -> Orphan:
    return orphan(ti_key, arn, "queued", time.time() - 5)


def dead(ecs: EcsApi, count: int) -> dict[Any, str]:
    """The containers of a scheduler that is gone."""
    first = Scheduler()
    arns = launched(ecs, first, count)
    first.die()
    return arns


def test_row_14_adopted_tasks_are_followed_to_their_end(ecs: EcsApi, said: Callable[[], str]) -> None:
    arns = dead(ecs, 5)
    second = Scheduler()
    assert second.adopt(*(orphan(k, arn) for k, arn in arns.items())) == []
    assert second.running == set(arns)
    finish_all(ecs)
    second.run_to_the_end()
    assert second.ends() == {ti_key: ["success"] for ti_key in arns}
    assert len(ecs.tasks()) == 5
    assert "Adopted 5 tasks" in said() and len(second.airflow.figures.timings["adoption"]) == 1


def test_row_14_many_tasks_are_described_side_by_side_in_full_batches(ecs: EcsApi) -> None:
    ecs.fault("DescribeTasks", "latency", seconds=0.5)
    scheduler = Scheduler(check_health_on_startup="False")
    arns = [f"arn:aws:ecs:us-east-1:123456789012:task/airflow/{number:032x}" for number in range(250)]
    assert len(scheduler.adopt(*(orphan(key(number), arn) for number, arn in enumerate(arns)))) == 250
    calls = ecs.calls()["DescribeTasks"]
    assert (calls["count"], calls["max_in_flight"]) == (3, 3)


def test_row_16_a_container_whose_arn_was_never_saved_is_found(ecs: EcsApi) -> None:
    arns = dead(ecs, 3)
    second = Scheduler()
    assert second.adopt(*(just_queued(ti_key) for ti_key in arns)) == []
    second.run(lambda: second.states().count("running") == len(arns))  # an end that is seen at once leaves it out
    finish_all(ecs)
    second.run_to_the_end()
    assert second.ends() == {ti_key: ["success"] for ti_key in arns}
    assert second.arns() == arns and len(ecs.tasks()) == 3


def test_a_container_that_has_ended_meanwhile_is_reported(ecs: EcsApi) -> None:
    (one, one_arn), (other, other_arn) = dead(ecs, 2).items()
    ecs.finish(one_arn, exit_code=0)
    ecs.finish(other_arn, exit_code=1)
    second = Scheduler()
    assert second.adopt(orphan(one, one_arn), orphan(other, None, "running", time.time() - 5)) == []
    second.run_to_the_end()
    assert second.ends() == {one: ["success"], other: ["failed"]}


def test_a_container_of_an_earlier_run_of_the_same_try_is_not_taken_for_this_one(ecs: EcsApi) -> None:
    """A deferred task is queued again with the same try number; its former container is still listed as stopped."""
    ((ti_key, _),) = dead(ecs, 1).items()
    finish_all(ecs)
    second = Scheduler()
    assert second.adopt(orphan(ti_key, None, "queued", queued=time.time() + 60)) == [ti_key]


@pytest.mark.parametrize("verifiable", [True, False])
@pytest.mark.parametrize("again", [key(0, try_number=2), key(0)], ids=["an earlier try", "an earlier run of the try"])
def test_an_arn_of_earlier_leads_to_the_container_of_now(ecs: EcsApi, verifiable: bool, again: Any) -> None:
    """Airflow keeps the ARN until it hears of the next container; a scheduler may die before."""
    first = Scheduler()
    ((_, old),) = launched(ecs, first, 1).items()
    finish_all(ecs)
    first.run_to_the_end()
    time.sleep(FAST.clock_skew + 0.1)
    queued = time.time()
    first.queue(again)
    first.run(lambda: ecs.running() == 1)
    first.die()
    second = Scheduler()
    if not verifiable:
        ecs.fault("DescribeTasks", "throttle", times=1)
    assert second.adopt(orphan(again, old, "running", queued)) == []
    second.run(lambda: again in second.arns())
    assert second.ends() == {}, "the end of the first is not that of the second"
    finish_all(ecs)
    second.run_to_the_end()
    assert second.ends() == {again: ["success"]} and len(ecs.tasks()) == 2


def test_a_cluster_that_is_gone_hides_no_other_task(ecs: EcsApi) -> None:
    arns = dead(ecs, 2)
    second = Scheduler()
    gone = NEVER.replace("/airflow/", "/gone/")
    offered = [orphan(k, arn) for k, arn in arns.items()]
    assert second.adopt(*offered, orphan(key("x"), gone, "queued")) == [key("x")]
    finish_all(ecs)
    second.run_to_the_end()
    assert second.ends() == {ti_key: ["success"] for ti_key in arns}


def test_a_scheduler_that_was_taken_for_dead_keeps_its_own_tasks(ecs: EcsApi, said: Callable[[], str]) -> None:
    """To give a task back would have it queued a second time, beside the container that is about to be launched."""
    scheduler = Scheduler(parallelism=2)
    ((ti_key, arn),) = launched(ecs, scheduler, 1).items()
    ecs.fault("RunTask", "throttle")
    scheduler.queue(key("submitted"))
    scheduler.queue(key("queued"))
    scheduler.beat()
    own = [orphan(ti_key, arn), just_queued(key("submitted")), just_queued(key("queued"))]
    assert scheduler.adopt(*own, just_queued(key("another's"))) == [key("another's")]
    assert re.search("Adopted 0 tasks .*; 1 have no container", said()), "its own are not counted"
    ecs.clear_faults()
    ecs.configure(run_seconds=0.0)
    finish_all(ecs)
    scheduler.run_to_the_end()
    assert list(scheduler.ends().values()) == [["success"]] * 3 and len(ecs.tasks()) == 3


def test_row_15_a_task_without_a_container_goes_back_to_be_queued(ecs: EcsApi) -> None:
    """So that Airflow 3 gives it a fresh token."""
    scheduler = Scheduler()
    offered = [just_queued(key(0)), just_queued(key(1), NEVER), just_queued(key(2), "some-celery-id")]
    assert scheduler.adopt(*offered) == [key(0), key(1), key(2)]
    assert not scheduler.running


def test_a_container_that_never_started_goes_back_to_be_queued(ecs: EcsApi) -> None:
    first = Scheduler(max_run_task_attempts="5", policy=patient(backoff_base=60.0))
    ecs.configure(never_starts="CannotPullContainerError: timeout")
    first.queue(key())
    first.run(lambda: bool(first.notes))
    first.die()
    second = Scheduler()
    assert second.adopt(just_queued(key(), ecs.tasks()[0]["arn"])) == [key()]
    assert second.adopt(just_queued(key())) == [key()]


@pytest.mark.parametrize("fault", ["throttle", "server_error", "denied"])
def test_a_task_that_cannot_be_verified_is_adopted_not_reset(ecs: EcsApi, fault: str) -> None:
    (one, arn), (other, _) = dead(ecs, 2).items()
    second = Scheduler()
    ecs.fault("DescribeTasks", fault)
    ecs.fault("ListTasks", "unavailable")
    assert second.adopt(orphan(one, arn), just_queued(other)) == []
    assert len(second.running) == 2
    ecs.clear_faults()
    finish_all(ecs)
    second.run_to_the_end()
    assert second.ends() == {one: ["success"], other: ["success"]}
    assert len(ecs.tasks()) == 2


@pytest.mark.parametrize(("operation", "arn"), [("DescribeTasks", NEVER), ("ListTasks", None)])
def test_adoption_is_bounded_in_time_and_what_is_not_known_is_followed(
    ecs: EcsApi, operation: str, arn: str | None, warned: Callable[[], str]
) -> None:
    scheduler = Scheduler(adoption_timeout="1")
    ecs.fault(operation, "hang", seconds=10, times=1)
    started = time.monotonic()
    assert scheduler.adopt(just_queued(key(), arn)) == []
    assert time.monotonic() - started < 8.0
    assert "without being verified" in warned() or "continues in the background" in warned()


def test_without_the_right_to_list_tasks_the_unsaved_are_queued_again(ecs: EcsApi, warned: Callable[[], str]) -> None:
    scheduler = Scheduler()
    ecs.fault("ListTasks", "denied")
    assert scheduler.adopt(just_queued(key())) == [key()]
    assert "ecs:ListTasks" in warned()


def test_another_deployment_s_containers_are_never_taken(ecs: EcsApi) -> None:
    other = Scheduler(deployment="other")
    ((ti_key, arn),) = launched(ecs, other, 1).items()
    scheduler = Scheduler(deployment="tests")
    assert scheduler.adopt(just_queued(ti_key)) == [ti_key]
    assert scheduler.adopt(just_queued(ti_key, arn)) == [ti_key]


def test_a_defect_of_ours_leaves_what_has_a_container_to_be_followed(ecs: EcsApi, said: Callable[[], str]) -> None:
    """What raises here is the key, which is Airflow's."""

    class Unsuited:
        """A key of which no identity can be made."""

        @property
        def dag_id(self) -> str:
            raise RuntimeError("ours")

    ((ti_key, arn),) = dead(ecs, 1).items()
    scheduler = Scheduler()
    unsuited = Unsuited()
    assert scheduler.executor.adopt([orphan(ti_key, arn), orphan(unsuited, "celery-1")]) == {unsuited}
    assert "Unexpected error in adopting tasks" in said()
    finish_all(ecs)
    scheduler.run(lambda: scheduler.ends() == {ti_key: ["success"]})
