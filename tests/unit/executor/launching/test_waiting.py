"""What can be waited for, in AWS's own words: no attempt is used up, nothing fails, and nothing runs twice."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from airflow_ecs_executor.launching.adoption import Orphan

from local.ecs.control import EcsApi
from tests.unit.executor.harness import UNSET, Scheduler, containers_at_once, key, launched, patient
from tests.unit.executor.worker_images import client_of

ONE_ATTEMPT: dict[str, Any] = {"max_run_task_attempts": "1"}
EC2: dict[str, Any] = {"launch_type": "EC2", "task_definition": "on-ec2", "subnets": UNSET, **ONE_ATTEMPT}
SCALED: dict[str, Any] = {
    **EC2,
    "cluster": "with-instances",
    "launch_type": UNSET,
    "capacity_provider_strategy": '[{"capacityProvider": "instances"}]',
}


def run_all(ecs: EcsApi, scheduler: Scheduler, count: int, timeout: float = 60.0) -> list[dict[str, Any]]:
    """Run tasks; every one of them succeeds, in one container. Returns the ECS tasks."""
    scheduler.queue_all(count)
    scheduler.run_to_the_end(timeout)
    assert scheduler.ends() == {key(number): ["success"] for number in range(count)}
    assert not any("attempt" in note.partition(":")[0] for _, note in scheduler.notes)
    tasks = ecs.tasks()
    assert containers_at_once(tasks) == 1
    return tasks


def most_at_once(tasks: list[dict[str, Any]]) -> int:
    """The most tasks that ran side by side."""
    moments = [(task["startedAt"], 1) for task in tasks] + [(task["stoppedAt"], -1) for task in tasks]
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


@pytest.mark.parametrize("answer", ["throttle_security_groups", "throttle_subnets", "throttle"])
def test_a_burst_of_300_launches_a_third_of_which_is_throttled(ecs: EcsApi, answer: str) -> None:
    scheduler = Scheduler(parallelism=300, run_task_rate="500", run_task_burst="300", **ONE_ATTEMPT)
    ecs.configure(run_seconds=0.05, seed=1)
    ecs.fault("RunTask", answer, probability=1 / 3)
    tasks = run_all(ecs, scheduler, 300)
    assert len(tasks) == 300 and scheduler.airflow.figures.counters["throttled"] > 80


def test_40_tasks_under_a_quota_of_12(ecs: EcsApi) -> None:
    """A new account has 6 vCPUs, which are 12 tasks of half a vCPU."""
    scheduler = Scheduler(parallelism=40, **ONE_ATTEMPT)
    ecs.configure(run_seconds=0.3, max_vcpus=6)
    tasks = run_all(ecs, scheduler, 40)
    assert len(tasks) == 40 and most_at_once(tasks) <= 12
    waiting = [note for _, note in scheduler.notes if note.startswith("ecs task waiting: ")]
    assert len(waiting) >= 5 and all("Service Quotas" in note for note in waiting)


@pytest.fixture
def instances(ecs: EcsApi) -> EcsApi:
    """A cluster with container instances, which have room for nothing."""
    with client_of(ecs) as client:
        client.create_cluster(clusterName="with-instances", capacityProviders=["instances"])
        client.register_task_definition(
            family="on-ec2", containerDefinitions=[{"name": "airflow", "image": "worker", "memory": 256}]
        )
    ecs.configure(run_seconds=0.05, ec2_room=0)
    return ecs


def test_container_instances_that_come_late(instances: EcsApi) -> None:
    """On EC2 an instance takes minutes; here the pauses are short, and it takes many of them."""
    scheduler, begun = Scheduler(**EC2), time.time()
    room = threading.Timer(4.0, lambda: instances.configure(ec2_room=3))
    room.start()
    tasks = run_all(instances, scheduler, 8)
    room.join()
    assert min(task["createdAt"] for task in tasks) > begun + 3.5
    assert scheduler.airflow.figures.counters["no_capacity"] > 40


def test_tasks_in_provisioning_and_the_limit_of_them(instances: EcsApi) -> None:
    """Managed scaling brings instances for tasks in PROVISIONING, of which there is a limit."""
    instances.configure(scale_out_seconds=1.0, max_provisioning_tasks=4)
    run_all(instances, Scheduler(**SCALED), 12)
    assert instances.calls()["RunTask"]["errors"] > 8


def test_tasks_whose_wait_in_provisioning_ecs_ends(instances: EcsApi) -> None:
    """AWS stops a task for which no instance arrives; the executor launches it again, until there is room."""
    instances.configure(scale_out_seconds=None, provisioning_timeout=0.5)
    room = threading.Timer(2.0, lambda: instances.configure(ec2_room=2))
    room.start()
    tasks = run_all(instances, Scheduler(**{**SCALED, **ONE_ATTEMPT}), 2)
    room.join()
    assert len(tasks) > 4


@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize("answer", ["server_error", "plain_503"])
def test_ecs_answers_500_for_a_while(ecs: EcsApi, answer: str, carried_out: bool) -> None:
    scheduler = Scheduler(**ONE_ATTEMPT)
    ecs.configure(run_seconds=0.2)
    ecs.fault("RunTask", answer, carried_out=carried_out)
    end = threading.Timer(3.0, ecs.clear_faults)
    end.start()
    tasks = run_all(ecs, scheduler, 20)
    end.join()
    assert len(tasks) == 20 and scheduler.airflow.figures.counters["server_errors"] > 60


def test_capacity_that_is_found_missing_after_the_launch(ecs: EcsApi) -> None:
    ecs.configure(run_seconds=0.05)
    ecs.behave("task-0", times=5, end="no_fargate_capacity_later")
    tasks = run_all(ecs, Scheduler(**ONE_ATTEMPT), 1)
    assert len(tasks) == 6


@pytest.mark.parametrize("end", ["spot_interruption", "host_terminated_without_stop_code"])
def test_what_aws_takes_away_is_launched_again(ecs: EcsApi, end: str) -> None:
    scheduler = Scheduler(**ONE_ATTEMPT)
    arns = launched(ecs, scheduler, 5)
    ecs.configure(run_seconds=0.05)
    ecs.stop_tasks(list(arns.values()), end)
    scheduler.run_to_the_end()
    assert scheduler.ends() == {key(number): ["success"] for number in range(5)}
    assert sorted(scheduler.airflow.interrupted) == sorted(arns)
    counters = scheduler.airflow.figures.counters
    lost = (counters["spot_interruptions"], counters["infrastructure_interruptions"])
    assert lost == ((5, 0) if "spot" in end else (0, 5))
    assert all(("Spot" in note) is ("spot" in end) for _, note in scheduler.notes)


# A container that never ends


def test_a_container_that_never_ends_is_let_go_when_airflow_fails_its_task(ecs: EcsApi) -> None:
    """ECS says RUNNING, and the process is gone (https://github.com/aws/containers-roadmap/issues/1084)."""
    scheduler = Scheduler()
    ecs.configure(stop_seconds=None)
    arns = launched(ecs, scheduler, 2)
    scheduler.change_state(key(0))
    scheduler.run(lambda: scheduler.airflow.figures.gauges["running"][-1] == 1)
    assert ecs.running() == 2, "ECS says so"
    ecs.finish(arns[key(1)])
    scheduler.run_to_the_end()
    assert scheduler.ends() == {key(1): ["success"]}


def test_a_task_that_somebody_ends_in_the_ui_is_let_go(ecs: EcsApi) -> None:
    """Nobody tells the executor: it asks the database, and gives the container the time to end by itself."""
    scheduler = Scheduler(policy=patient(review_interval=0.5, unwanted_grace=0.5))
    launched(ecs, scheduler, 2)
    scheduler.airflow.moved_on.add(key(0))
    scheduler.run(lambda: ecs.running() == 1 and scheduler.states(key(0)) == ["running", "failed"], timeout=10)
    scheduler.for_a_while(1.2)
    assert ecs.running() == 1


def test_the_end_of_the_executor_does_not_wait_for_ever(ecs: EcsApi, caplog: pytest.LogCaptureFixture) -> None:
    scheduler = Scheduler(policy=patient(end_timeout=0.5))
    launched(ecs, scheduler, 1)
    begun = time.monotonic()
    scheduler.executor.end(0.01)
    assert 0.5 <= time.monotonic() - begun < 5
    assert "1 ECS tasks still run: the next scheduler adopts them" in caplog.text
    assert ecs.running() == 1


# What is right either way


@pytest.mark.parametrize("settings", [{"strict": True}, {"strict": False}, {"omit": ["createdAt"]}])
def test_a_successor_finds_containers_whatever_ecs_refuses_or_leaves_out(ecs: EcsApi, settings: Any) -> None:
    first = Scheduler()
    launched(ecs, first, 3)
    first.die()
    ecs.configure(**settings)
    scheduler = Scheduler()
    ecs.stop_tasks([ecs.tasks()[0]["arn"]], "failed")
    orphans = [Orphan(key(number), None, time.time() - 60, True) for number in range(3)]
    assert scheduler.adopt(*orphans) == []
    scheduler.run(lambda: len(scheduler.ends()) == 1)
    assert len(ecs.tasks()) == 3, "nothing is launched a second time"
