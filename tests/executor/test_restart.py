"""Schedulers that end, die, and take over from each other. Rows are those of the reference executor's defects."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import Any

import pytest

from local.ecs.control import EcsApi
from tests.executor.harness import Scheduler, key
from tests.executor.test_launching import containers_at_once


def task_instance(ti_key: Any, arn: str | None, state: str = "running", queued: float | None = None) -> Any:
    """What the scheduler offers for adoption."""
    moment = None if queued is None else SimpleNamespace(timestamp=lambda: queued)
    return SimpleNamespace(key=ti_key, external_executor_id=arn, state=state, queued_dttm=moment)


def launched(ecs: EcsApi, scheduler: Scheduler, count: int) -> dict[Any, str]:
    """Launch tasks that run until they are told to end; return their ARNs."""
    ecs.configure(run_seconds=None)
    for number in range(count):
        scheduler.queue(key(number))
    scheduler.run(lambda: ecs.running() == count and len(scheduler.states()) >= count)
    return {ti_key: info for ti_key, state, info in scheduler.events if state == "running"}


def finish_all(ecs: EcsApi) -> None:
    for task in ecs.tasks(["arn", "lastStatus"]):
        if task["lastStatus"] == "RUNNING":
            ecs.finish(task["arn"])


# The end


def test_row_11_terminate_stops_every_container_and_launches_none_again(ecs: EcsApi) -> None:
    scheduler = Scheduler(parallelism=4)
    launched(ecs, scheduler, 4)
    for number in range(10, 20):
        scheduler.queue(key(number))
    scheduler.beat()
    scheduler.executor.terminate()
    assert ecs.running() == 0
    time.sleep(0.5)
    assert len(ecs.tasks()) == 4
    assert {task["stopCode"] for task in ecs.tasks()} == {"UserInitiated"}


def test_terminate_stops_what_is_being_launched(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    ecs.configure(run_seconds=None)
    ecs.fault("RunTask", "latency", seconds=0.5)
    for number in range(5):
        scheduler.queue(key(number))
    scheduler.beat()
    time.sleep(0.2)
    scheduler.executor.terminate()
    assert ecs.running() == 0


def test_row_12_end_lets_run_what_runs_and_launches_nothing(ecs: EcsApi) -> None:
    scheduler = Scheduler(parallelism=100, run_task_rate="1", run_task_burst="3")
    ecs.configure(run_seconds=1.0)
    for number in range(50):
        scheduler.queue(key(number))
    scheduler.run(lambda: len(ecs.tasks(["arn"])) == 3)
    started = time.monotonic()
    scheduler.executor.end(heartbeat_interval=0.05)
    assert 0.5 < time.monotonic() - started < 5
    tasks = ecs.tasks()
    assert len(tasks) <= 4 and {task["exitCode"] for task in tasks} == {0}


def test_row_12_end_returns_at_once_when_nothing_runs(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    started = time.monotonic()
    scheduler.executor.end()
    assert time.monotonic() - started < 1.0


def test_end_is_harmless_after_a_start_that_failed(ecs: EcsApi) -> None:
    scheduler = Scheduler(start=False, cluster="")
    with pytest.raises(Exception, match="cluster"):
        scheduler.start()
    scheduler.executor.end()
    scheduler.executor.terminate()


# Adoption


def test_row_14_adopted_tasks_occupy_slots_and_are_followed_to_their_end(ecs: EcsApi) -> None:
    first = Scheduler()
    arns = launched(ecs, first, 5)
    first.die()
    second = Scheduler(parallelism=8)
    left = second.executor.try_adopt_task_instances([task_instance(k, arn) for k, arn in arns.items()])
    assert list(left) == []
    assert len(second.executor.running) == 5 and second.executor.slots_available == 3
    finish_all(ecs)
    second.run_to_the_end()
    assert second.ends() == {ti_key: ["success"] for ti_key in arns}
    assert len(ecs.tasks()) == 5


def test_row_14_a_thousand_tasks_are_adopted_in_seconds(ecs: EcsApi) -> None:
    first = Scheduler(parallelism=1000, run_task_rate="1000", run_task_burst="1000", launch_concurrency="32")
    arns = launched(ecs, first, 1000)
    first.die()
    ecs.fault("DescribeTasks", "latency", seconds=0.1)
    second = Scheduler(parallelism=1000)
    before = ecs.calls()["DescribeTasks"]["count"]
    started = time.monotonic()
    left = second.executor.try_adopt_task_instances([task_instance(k, arn) for k, arn in arns.items()])
    assert list(left) == [] and time.monotonic() - started < 5.0
    assert ecs.calls()["DescribeTasks"]["count"] - before <= 13, "ten for the adoption, the rest to go on following"
    second.die()


def test_row_16_a_container_whose_arn_was_never_saved_is_found(ecs: EcsApi) -> None:
    first = Scheduler()
    arns = launched(ecs, first, 3)
    first.die()
    second = Scheduler()
    queued = time.time() - 5
    left = second.executor.try_adopt_task_instances([task_instance(k, None, "queued", queued) for k in arns])
    assert list(left) == []
    second.run(lambda: second.states().count("running") == len(arns))  # an end that is seen at once leaves it out
    finish_all(ecs)
    second.run_to_the_end()
    assert second.ends() == {ti_key: ["success"] for ti_key in arns}
    assert {(ti_key, info) for ti_key, state, info in second.events if state == "running"} == set(arns.items())
    assert len(ecs.tasks()) == 3


def test_a_container_that_has_ended_meanwhile_is_reported(ecs: EcsApi) -> None:
    first = Scheduler()
    arns = launched(ecs, first, 2)
    first.die()
    (one, one_arn), (other, other_arn) = arns.items()
    ecs.finish(one_arn, exit_code=0)
    ecs.finish(other_arn, exit_code=1)
    second = Scheduler()
    tis = [task_instance(one, one_arn), task_instance(other, None, "running", time.time() - 5)]
    assert list(second.executor.try_adopt_task_instances(tis)) == []
    second.run_to_the_end()
    assert second.ends() == {one: ["success"], other: ["failed"]}


def test_a_container_of_an_earlier_run_of_the_same_try_is_not_taken_for_this_one(ecs: EcsApi) -> None:
    """A deferred task is queued again with the same try number; its former container is still listed as stopped."""
    first = Scheduler()
    arns = launched(ecs, first, 1)
    finish_all(ecs)
    first.run_to_the_end()
    first.die()
    second = Scheduler()
    ti = task_instance(next(iter(arns)), None, "queued", queued=time.time() + 60)
    assert list(second.executor.try_adopt_task_instances([ti])) == [ti]


def test_an_arn_of_an_earlier_try_is_not_taken_for_the_container_of_this_one(ecs: EcsApi) -> None:
    """Airflow keeps the ARN until it hears of the next container; a scheduler may die before."""
    first = Scheduler()
    old = next(iter(launched(ecs, first, 1).values()))
    finish_all(ecs)
    first.run_to_the_end()
    queued = time.time()
    time.sleep(5.1)
    first.queue(key(0, try_number=2))
    first.run(lambda: ecs.running() == 1)
    first.die()
    second = Scheduler()
    tis = [task_instance(key(0, try_number=2), old, "running", queued)]
    assert list(second.executor.try_adopt_task_instances(tis)) == []
    second.for_a_while(0.3)
    assert second.ends() == {}, "the end of the first try is not that of the second"
    finish_all(ecs)
    second.run_to_the_end()
    assert second.ends() == {key(0, try_number=2): ["success"]} and len(ecs.tasks()) == 2


@pytest.mark.parametrize("verifiable", [True, False])
def test_an_arn_of_an_earlier_run_of_the_same_try_leads_to_the_container_of_this_one(
    ecs: EcsApi, verifiable: bool
) -> None:
    first = Scheduler()
    ((ti_key, old),) = launched(ecs, first, 1).items()
    finish_all(ecs)
    first.run_to_the_end()
    time.sleep(5.2)
    queued = time.time()
    first.queue(ti_key)
    first.run(lambda: ecs.running() == 1)
    first.die()
    second = Scheduler()
    if not verifiable:
        ecs.fault("DescribeTasks", "throttle", times=1)
    assert list(second.executor.try_adopt_task_instances([task_instance(ti_key, old, "running", queued)])) == []
    second.for_a_while(0.5)
    finish_all(ecs)
    second.run_to_the_end()
    assert second.ends() == {ti_key: ["success"]} and len(ecs.tasks()) == 2


def test_a_cluster_that_is_gone_hides_no_other_task(ecs: EcsApi) -> None:
    first = Scheduler()
    arns = launched(ecs, first, 2)
    first.die()
    second = Scheduler(missing_grace_period="0.5")
    gone = "arn:aws:ecs:us-east-1:123456789012:task/gone/" + "0" * 32
    tis = [task_instance(k, arn) for k, arn in arns.items()] + [task_instance(key("x"), gone, "queued")]
    assert [ti.key for ti in second.executor.try_adopt_task_instances(tis)] == [key("x")]
    finish_all(ecs)
    second.run_to_the_end()
    assert second.ends() == {ti_key: ["success"] for ti_key in arns}


def test_a_scheduler_that_was_taken_for_dead_keeps_what_it_has_in_hand(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    arns = launched(ecs, scheduler, 1)
    scheduler.queue(key("queued"))
    tis = [task_instance(k, arn) for k, arn in arns.items()] + [task_instance(key("queued"), None, "queued")]
    assert list(scheduler.executor.try_adopt_task_instances(tis)) == []
    scheduler.run(lambda: ecs.running() == 2)
    finish_all(ecs)
    scheduler.run_to_the_end()
    assert all(states == ["success"] for states in scheduler.ends().values()) and len(ecs.tasks()) == 2


def test_row_15_a_task_without_a_container_goes_back_to_be_queued(ecs: EcsApi) -> None:
    """So that Airflow 3 gives it a fresh token."""
    scheduler = Scheduler()
    never = "arn:aws:ecs:us-east-1:123456789012:task/airflow/" + "0" * 32
    tis = [
        task_instance(key(0), None, "queued", time.time()),
        task_instance(key(1), never, "queued", time.time()),
        task_instance(key(2), "some-celery-id", "queued", time.time()),
    ]
    assert sorted(ti.key.task_id for ti in scheduler.executor.try_adopt_task_instances(tis)) == [
        "task-0",
        "task-1",
        "task-2",
    ]
    assert scheduler.executor.slots_occupied == 0


def test_a_container_that_never_started_goes_back_to_be_queued(ecs: EcsApi) -> None:
    first = Scheduler(max_run_task_attempts="5", policy={"backoff_base": 60.0})
    ecs.configure(never_starts="CannotPullContainerError: timeout")
    first.queue(key())
    first.run(lambda: bool(first.notes))
    first.die()
    second = Scheduler()
    ti = task_instance(key(), ecs.tasks()[0]["arn"], "queued", time.time() - 5)
    assert list(second.executor.try_adopt_task_instances([ti])) == [ti]


@pytest.mark.parametrize("fault", ["throttle", "server_error", "denied"])
def test_a_task_that_cannot_be_verified_is_adopted_not_reset(ecs: EcsApi, fault: str) -> None:
    first = Scheduler()
    arns = launched(ecs, first, 2)
    first.die()
    second = Scheduler()
    ecs.fault("DescribeTasks", fault)
    ecs.fault("ListTasks", "unavailable")
    (one, arn), (other, _) = arns.items()
    tis = [task_instance(one, arn), task_instance(other, None, "queued", time.time() - 5)]
    assert list(second.executor.try_adopt_task_instances(tis)) == []
    assert len(second.executor.running) == 2
    ecs.clear_faults()
    finish_all(ecs)
    second.run_to_the_end()
    assert second.ends() == {one: ["success"], other: ["success"]}
    assert len(ecs.tasks()) == 2


def test_adoption_is_bounded_in_time(ecs: EcsApi) -> None:
    first = Scheduler()
    arns = launched(ecs, first, 2)
    first.die()
    second = Scheduler(adoption_timeout="1")
    ecs.fault("DescribeTasks", "hang", seconds=5, times=1)
    started = time.monotonic()
    left = second.executor.try_adopt_task_instances([task_instance(k, arn) for k, arn in arns.items()])
    assert list(left) == [] and time.monotonic() - started < 3.0
    second.die()


def test_without_the_right_to_list_tasks_the_unsaved_are_queued_again(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    ecs.fault("ListTasks", "denied")
    ti = task_instance(key(), None, "queued", time.time())
    assert list(scheduler.executor.try_adopt_task_instances([ti])) == [ti]


def test_another_deployment_s_containers_are_never_taken(ecs: EcsApi) -> None:
    other = Scheduler(deployment="other")
    arns = launched(ecs, other, 1)
    scheduler = Scheduler(deployment="tests")
    ti = task_instance(next(iter(arns)), None, "queued", time.time() - 5)
    assert list(scheduler.executor.try_adopt_task_instances([ti])) == [ti]
    other.die()


# Revocation


def test_row_17_a_revoked_task_s_container_is_stopped_and_nothing_is_reported(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    arns = launched(ecs, scheduler, 2)
    before = list(scheduler.events)
    (one, _), (other, _) = arns.items()
    scheduler.executor.revoke_task(ti=task_instance(one, None))
    assert len(scheduler.executor.running) == 1
    scheduler.run(lambda: ecs.running() == 1)
    scheduler.for_a_while(0.3)
    assert scheduler.events == before
    stopped = [task for task in ecs.tasks() if task["stopCode"] == "UserInitiated"]
    assert len(stopped) == 1 and "revoked" in stopped[0]["stoppedReason"]
    finish_all(ecs)
    scheduler.run_to_the_end()
    assert scheduler.ends() == {other: ["success"]}


def test_row_17_a_task_revoked_before_its_launch_is_never_launched(ecs: EcsApi) -> None:
    scheduler = Scheduler(run_task_rate="0.5", run_task_burst="1")
    for number in range(3):
        scheduler.queue(key(number))
    scheduler.beat()
    for number in range(1, 3):
        scheduler.executor.revoke_task(ti=task_instance(key(number), None))
    scheduler.run_to_the_end()
    assert [task["tags"]["airflow:task_id"] for task in ecs.tasks()] == ["task-0"]


def test_a_task_queued_again_after_a_revocation_waits_for_its_container_to_stop(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    ecs.configure(run_seconds=None, stop_seconds=1.0)
    scheduler.queue(key())
    scheduler.run(lambda: ecs.running() == 1)
    scheduler.executor.revoke_task(ti=task_instance(key(), None))
    scheduler.queue(key())
    scheduler.run(lambda: len(ecs.tasks(["arn"])) == 2)
    finish_all(ecs)
    scheduler.run_to_the_end()
    assert containers_at_once(ecs.tasks()) == 1


def test_revoking_what_is_not_known_raises_nothing(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    scheduler.executor.revoke_task(ti=task_instance(key("unknown"), None))
    scheduler.executor.revoke_task(ti=object())


# Processes


def test_after_a_fork_the_child_has_a_client_and_threads_of_its_own(ecs: EcsApi) -> None:
    scheduler = Scheduler()
    scheduler.queue(key(0))
    scheduler.run_to_the_end()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            scheduler.events.clear()
            scheduler.queue(key(1))
            scheduler.run_to_the_end(timeout=10)
            code = 0 if scheduler.ends() == {key(1): ["success"]} else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) == 0
    scheduler.queue(key(2))
    scheduler.run_to_the_end()
    assert len(ecs.tasks()) == 3


def test_start_makes_no_thread(ecs: EcsApi) -> None:
    """Airflow 2's scheduler forks after it has started its executors."""
    import threading

    before = threading.active_count()
    Scheduler()
    assert threading.active_count() == before


def test_two_schedulers_share_a_quota_fairly_and_fail_nothing(ecs: EcsApi) -> None:
    ecs.configure(run_seconds=0.1, launch_rate=30, launch_burst=10)
    pair = [Scheduler(run_task_rate="30", run_task_burst="10") for _ in range(2)]
    for number in range(60):
        pair[number % 2].queue(key(number))
    deadline = time.monotonic() + 30
    while any(len(one.ends()) < 30 for one in pair) and time.monotonic() < deadline:
        for one in pair:
            one.beat()
        time.sleep(0.01)
    for one in pair:
        assert len(one.ends()) == 30 and all(ends == ["success"] for ends in one.ends().values())
