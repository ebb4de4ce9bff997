"""Real scheduler processes on PostgreSQL: many tasks at once, a killed scheduler, and images that do not fit."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Mapping

import airflow_ecs_executor
import pytest
from airflow_ecs_executor import airflow_compat

from local.fakes.registry import FakeRegistry
from tests.executor.scenario.deployment import Daemon, Deployment
from tests.executor.scenario.sizes import FAILOVER, FAILOVER_TASKS, GONE, GONE_TASKS, MANY, SPOT, SPOT_TASKS, TASKS
from tests.unit.executor.worker_images import WRONG, put_worker, register

SLOTS = TASKS // 2
FAILOVER_SLOTS = 24
SAVED, UNANSWERED = 10, 4
"""How many launches of the scheduler to be killed are answered, and how many are not."""
DEAD_AFTER = 8
"""Seconds without a heartbeat, after which a scheduler is dead to the others."""
IDENTITY = "AIRFLOW_ECS_TASK_INSTANCE"
_API_LATENCY = 0.05
_FIELDS = ["arn", "request", "environment", "tags", "startedAt", "containerEndedAt", "exitCode", "stopCode"]
_USUAL = ("running", "success")
"""What task processes write into Airflow's event log themselves."""
_ADOPTED = re.compile(r"Adopted (\d+) tasks of a scheduler that is gone in ([\d.]+) s; (\d+) have no container")


def most_at_once(tasks: list[Mapping[str, Any]]) -> int:
    """The largest number of containers that ran at the same time."""
    changes = sorted(change for task in tasks for change in ((task["startedAt"], 1), (task["containerEndedAt"], -1)))
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def check_each_ran_once(deployment: Deployment, dag_id: str, size: int) -> list[dict[str, Any]]:
    """Every task instance has had one container, which ended well; returns the containers."""
    tasks = deployment.ecs.tasks(_FIELDS)
    ends = Counter((task["stopCode"], task["exitCode"]) for task in tasks)
    assert ends == {("EssentialContainerExited", 0): len(tasks)}  # none was stopped, none's report was refused
    several = {
        name: count for name, count in Counter(task["environment"][IDENTITY] for task in tasks).items() if count > 1
    }
    assert not several, f"{len(several)} task instances had several containers"
    assert Counter(int(task["tags"]["airflow:map_index"]) for task in tasks) == dict.fromkeys(range(size), 1)
    assert deployment.states(dag_id) == {"success": size}
    return tasks


def check_quiet(deployment: Deployment, dag_id: str, *schedulers: Daemon) -> None:
    """Neither Airflow's event log nor the schedulers' logs speak of anything unusual."""
    for scheduler in schedulers:
        assert scheduler.trouble() == []
        assert "state mismatch" not in scheduler.log and "killed externally" not in scheduler.log
    unusual = {event: count for event, count in deployment.logged_events(dag_id).items() if event not in _USUAL}
    assert unusual == {}


def wait_until_looping(deployment: Deployment, name: str) -> None:
    """Wait until a scheduler has started."""
    loops = deployment.metrics.timings[f"{name}.scheduler.scheduler_loop_duration"]
    deployment.until(lambda: len(loops) > 2, 90, f"the scheduler {name} runs")


def slots_are_free(deployment: Deployment, name: str, slots: int) -> bool:
    """Whether a scheduler says that nothing of it runs."""
    gauges = deployment.metrics.gauges
    return (
        gauges.get(f"{name}.executor.open_slots") == slots
        and gauges.get(f"{name}.airflow_ecs_executor.running") == 0
        and gauges.get(f"{name}.airflow_ecs_executor.pending_launches") == 0
    )


def loop_figures(deployment: Deployment, name: str) -> str:
    """How long the loops of a scheduler took."""
    loops = sorted(deployment.metrics.timings[f"{name}.scheduler.scheduler_loop_duration"])
    return f"scheduler loop: median {loops[len(loops) // 2] / 1000:.1f} s, longest {loops[-1] / 1000:.1f} s"


def test_many_tasks_at_once(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    """Mapped tasks, half of them at once; SCENARIO_TASKS=1000 is what the reference executor's documentation gives.

    The first half of the containers run until all of them do at the same time, however slow the machine is; then they
    end all at once, and the second half follows.
    """
    ecs = deployment.ecs
    ecs.fault("*", "latency", seconds=_API_LATENCY)
    ecs.configure(start_seconds=1, run_seconds=1)
    ecs.behave(times=SLOTS, run_seconds=None)
    scheduler = deployment.start_scheduler(
        "one",
        core={"parallelism": SLOTS},
        scheduler={"max_tis_per_query": 0},
        airflow_ecs_executor={"run_task_rate": 100, "run_task_burst": SLOTS},
    )
    wait_until_looping(deployment, "one")
    deployment.trigger(MANY)
    deployment.oldest_heartbeat = 0.0  # what was before is the start
    started = time.monotonic()
    deployment.until(lambda: ecs.running() == SLOTS, 120, f"{SLOTS} containers run")
    all_running = time.monotonic() - started
    deployment.until(
        lambda: deployment.states(MANY).get("running") == SLOTS, 60, f"Airflow knows of {SLOTS} running tasks"
    )
    reported = time.monotonic() - started
    for task in ecs.tasks(["arn"]):
        ecs.finish(task["arn"])
    deployment.until(lambda: deployment.states(MANY) == {"success": TASKS}, 240, f"{TASKS} tasks succeed")
    took = time.monotonic() - started
    deployment.until(lambda: slots_are_free(deployment, "one", SLOTS), 30, "every slot is free")
    tasks = check_each_ran_once(deployment, MANY, TASKS)
    assert SLOTS * 0.9 <= most_at_once(tasks) <= SLOTS
    check_quiet(deployment, MANY, scheduler)
    metrics, ours = deployment.metrics, "one.airflow_ecs_executor"
    assert metrics.counts[f"{ours}.launched"] == metrics.counts[f"{ours}.succeeded"] == TASKS
    assert len(metrics.timings[f"{ours}.launch_latency"]) == TASKS
    assert deployment.oldest_heartbeat < 30  # Airflow's default of scheduler_health_check_threshold
    saved = deployment.query("SELECT count(external_executor_id) FROM task_instance WHERE dag_id = %s", MANY)[0][0]
    with capsys.disabled():
        print(
            f"\n{TASKS} tasks in {took:.0f} s; {SLOTS} containers ran after {all_running:.0f} s, were reported after "
            f"{reported:.0f} s; at most {most_at_once(tasks)} at once; {saved} ARNs in the database; "
            f"{loop_figures(deployment, 'one')}; oldest heartbeat {deployment.oldest_heartbeat:.1f} s",
            file=sys.stderr,
        )
    scheduler.end_in_order()


def test_one_of_two_schedulers_is_killed(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    """Two schedulers share a run; one is lost with its machine. Nothing is lost, stopped or run twice.

    At that moment the lost one has tasks with a saved ARN, tasks whose container ECS has launched without it having
    heard of that (their answers hang), and tasks that are queued without a container. The living one has to take over
    the first, to find the second by their identity, and to let the third be queued again.
    """
    ecs = deployment.ecs
    ecs.fault("*", "latency", seconds=_API_LATENCY)
    ecs.fault("RunTask", "hang", seconds=60, match='"group": "lost"', after=SAVED)
    ecs.configure(start_seconds=1, run_seconds=12)
    options: dict[str, dict[str, Any]] = {
        "core": {"parallelism": FAILOVER_SLOTS},
        "scheduler": {
            "max_tis_per_query": 6,  # so that both get their share
            "job_heartbeat_sec": 1,
            "scheduler_heartbeat_sec": 1,
            "scheduler_health_check_threshold": DEAD_AFTER,
            "orphaned_tasks_check_interval": 2,
        },
        "airflow_ecs_executor": {"launch_concurrency": UNANSWERED},
    }
    lost = deployment.start_scheduler("lost", **options)
    living = deployment.start_scheduler("living", **options)
    wait_until_looping(deployment, "lost")
    wait_until_looping(deployment, "living")
    deployment.trigger(FAILOVER)

    def launched_by(name: str) -> list[dict[str, Any]]:
        return [task for task in ecs.tasks(_FIELDS) if task["request"]["group"] == name]

    def moment_has_come() -> bool:
        arns = set(containers_by_index(launched_by("lost")).values())
        jobs = deployment.query(
            "SELECT array_agg(external_executor_id), count(*) FROM task_instance WHERE dag_id = %s "
            "GROUP BY queued_by_job_id",
            FAILOVER,
        )
        saved, queued = next(((arns.intersection(known), count) for known, count in jobs if arns & set(known)), ((), 0))
        return len(arns) >= SAVED + UNANSWERED and len(saved) >= SAVED * 0.8 and queued >= len(arns) + UNANSWERED

    deployment.until(moment_has_come, 120, "the scheduler to be killed has launched enough")
    lost.kill()
    killed = time.monotonic()
    before = containers_by_index(launched_by("lost"))
    others = containers_by_index(launched_by("living"))
    rows = deployment.query(
        "SELECT map_index, state, external_executor_id, queued_by_job_id FROM task_instance WHERE dag_id = %s", FAILOVER
    )
    lost_job = {job for index, _, _, job in rows if index in before}
    assert len(lost_job) == 1
    unfinished = {index: arn for index, state, arn, job in rows if job in lost_job and state in ("queued", "running")}
    saved = [index for index, arn in unfinished.items() if arn]
    unsaved = [index for index, arn in unfinished.items() if not arn and index in before]
    without = [index for index, arn in unfinished.items() if not arn and index not in before]
    assert len(saved) >= SAVED / 2 and len(unsaved) >= UNANSWERED / 2 and without, (saved, unsaved, without)

    deployment.until(lambda: _ADOPTED.search(living.log), 60, "tasks are taken over")
    took_over = time.monotonic() - killed
    deployment.until(lambda: deployment.states(FAILOVER) == {"success": FAILOVER_TASKS}, 150, "every task succeeds")
    took = time.monotonic() - killed
    adoptions = [(int(count), float(seconds), int(rest)) for count, seconds, rest in _ADOPTED.findall(living.log)]
    deployment.until(lambda: slots_are_free(deployment, "living", FAILOVER_SLOTS), 30, "every slot is free")

    assert sum(count for count, _, _ in adoptions) >= len(unsaved)  # those that have ended meanwhile need no adoption
    assert sum(rest for _, _, rest in adoptions) == len(without)
    tasks = check_each_ran_once(deployment, FAILOVER, FAILOVER_TASKS)
    after = containers_by_index(tasks)
    assert {index: after[index] for index in before} == before
    assert {index: after[index] for index in others} == others
    rows = deployment.query("SELECT map_index, external_executor_id FROM task_instance WHERE dag_id = %s", FAILOVER)
    arns = dict(rows)
    assert [index for index in [*saved, *unsaved] if arns[index] != after[index]] == []
    check_quiet(deployment, FAILOVER, living)
    with capsys.disabled():
        print(
            f"\nkilled with {len(before)} containers launched by it: {len(saved)} unfinished with a saved ARN, "
            f"{len(unsaved)} without, {len(without)} tasks without a container. Taken over after {took_over:.0f} s: "
            f"(adopted, seconds, queued again) {adoptions}. All succeeded after {took:.0f} s; "
            f"{loop_figures(deployment, 'living')}",
            file=sys.stderr,
        )
    living.end_in_order()


_ASK = """
import json, sys
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow_ecs_executor import airflow_compat
keys = [TaskInstanceKey(*key) for key in json.loads(sys.argv[1])]
print(json.dumps(sorted([key.try_number, key.map_index] for key in airflow_compat.unwanted([*keys, "a callback"]))))
"""


def unwanted_tries(deployment: Deployment, dag_id: str) -> set[tuple[int, int]]:
    """The tries of a DAG's tasks, the first and the second of each, that the executor takes for unwanted."""
    rows = deployment.query("SELECT dag_id, task_id, run_id, map_index FROM task_instance WHERE dag_id = %s", dag_id)
    keys = [[dag, task, run, number, index] for dag, task, run, index in rows for number in (1, 2)]
    answer = deployment.python(_ASK, json.dumps(keys)).splitlines()[-1]
    return {(number, index) for number, index in json.loads(answer)}


def test_a_task_that_sends_no_heartbeat_is_failed_by_airflow_and_its_container_is_let_go(
    deployment: Deployment,
) -> None:
    """ECS goes on saying RUNNING, as when the host is lost: the slot is free, and the scheduler ends all the same."""
    ecs = deployment.ecs
    ecs.configure(run_seconds=None, stop_seconds=None)
    scheduler = deployment.start_scheduler(
        "gone",
        core={"parallelism": GONE_TASKS},
        scheduler={
            "task_instance_heartbeat_timeout": 8,
            "task_instance_heartbeat_timeout_detection_interval": 2,
            "scheduler_zombie_task_threshold": 8,  # Airflow 2
            "zombie_detection_interval": 2,
        },
    )
    deployment.trigger(GONE)
    deployment.until(lambda: deployment.states(GONE) == {"running": GONE_TASKS}, 90, "every task runs")
    asked_before = ecs.calls()["StopTask"]["count"]
    assert unwanted_tries(deployment, GONE) == {(2, index) for index in range(GONE_TASKS)}
    deployment.until(lambda: deployment.states(GONE) == {"failed": GONE_TASKS}, 90, "Airflow fails every task")
    deployment.until(lambda: slots_are_free(deployment, "gone", GONE_TASKS), 30, "every slot is free")
    assert ecs.running() == GONE_TASKS
    assert ecs.calls()["StopTask"]["count"] == asked_before + GONE_TASKS
    assert unwanted_tries(deployment, GONE) == {(number, index) for number in (1, 2) for index in range(GONE_TASKS)}
    scheduler.process.terminate()
    assert scheduler.process.wait(20) == 0


def containers_by_index(tasks: list[Mapping[str, Any]]) -> dict[int, str]:
    """The ARN of each task instance's container, by map index."""
    return {int(task["tags"]["airflow:map_index"]): task["arn"] for task in tasks}


FAMILY = "images"
_MODULES = "|".join(path.stem for path in Path(airflow_ecs_executor.__file__).parent.rglob("*.py"))
_WARNING = re.compile(rf"\{{(?:{_MODULES})\.py:\d+}} WARNING -|\[warning.*loc=(?:{_MODULES})\.py:")
"""A warning of the executor, as Airflow 2 and Airflow 3 write it."""


def image_options(task_definition: str, check: str = "strict") -> dict[str, Any]:
    """What a scheduler is to run."""
    return {
        "aws_ecs_executor": {"task_definition": task_definition},
        "airflow_ecs_executor": {"image_version_check": check},
    }


def image_warnings(scheduler: Daemon) -> list[str]:
    return [line for line in scheduler.log.splitlines() if _WARNING.search(line) and "image" in line]


def register_images(deployment: Deployment, registry: FakeRegistry) -> None:
    """Two revisions: one whose image fits, and a newer one whose image does not."""
    register(deployment.ecs, FAMILY, put_worker(registry, "right", airflow_compat.versions()))
    register(deployment.ecs, FAMILY, put_worker(registry, "wrong", WRONG))


@pytest.mark.oldest
def test_spot_takes_the_containers_of_a_scheduler_that_was_killed(
    deployment: Deployment, registry: FakeRegistry
) -> None:
    """Tasks that were adopted while they ran are interrupted: they run again, from Airflow's database.

    Nobody but the database knows their workloads by then; on Airflow 3 the tokens that they were launched with have
    been used already. The first scheduler is told to run an image that does not fit, the second chooses one that does.
    """
    ecs = deployment.ecs
    register_images(deployment, registry)
    ecs.configure(start_seconds=0.5, run_seconds=None)
    scheduler_options: dict[str, Any] = {
        "job_heartbeat_sec": 1,
        "scheduler_heartbeat_sec": 1,
        "scheduler_health_check_threshold": DEAD_AFTER,
        "orphaned_tasks_check_interval": 2,
    }
    lost = deployment.start_scheduler("first", scheduler=scheduler_options, **image_options(FAMILY, "warn"))
    deployment.trigger(SPOT)
    deployment.until(lambda: deployment.states(SPOT) == {"running": SPOT_TASKS}, 90, "every task runs")
    lost.kill()
    (warning,) = image_warnings(lost)
    assert "The image does not fit this scheduler" in warning and f"the image has {WRONG.airflow}" in warning
    interrupted = {task["arn"] for task in ecs.tasks(["arn"])}
    second = deployment.start_scheduler("second", scheduler=scheduler_options, **image_options(f"{FAMILY}:matching"))
    deployment.until(lambda: _ADOPTED.search(second.log), 90, "tasks are taken over")
    ecs.configure(run_seconds=1)
    ecs.stop_tasks(
        sorted(interrupted), stop_code="SpotInterruption", reason="Your Spot Task was interrupted.", exit_code=143
    )
    deployment.until(lambda: deployment.states(SPOT) == {"success": SPOT_TASKS}, 90, "every task succeeds")
    tasks = ecs.tasks(_FIELDS)
    assert Counter(task["environment"][IDENTITY] for task in tasks).most_common(1)[0][1] == 2
    assert len(tasks) == 2 * SPOT_TASKS and len(interrupted) == SPOT_TASKS
    assert {task["tags"]["airflow:try_number"] for task in tasks} == {"1"}, "no retry was used up"
    definitions = Counter(task["request"]["taskDefinition"].rpartition("/")[2] for task in tasks)
    assert definitions == {FAMILY: SPOT_TASKS, f"{FAMILY}:1": SPOT_TASKS}
    assert deployment.logged_events(SPOT).get("ecs task attempt failed") == SPOT_TASKS, deployment.logged_events(SPOT)
    assert f"Tasks run {FAMILY}:1, the newest active revision whose image fits" in second.log
    assert second.trouble() == [] and image_warnings(second) == []
    second.end_in_order()


def test_a_scheduler_whose_image_does_not_fit_ends_and_the_reason_is_its_last_word(
    deployment: Deployment, registry: FakeRegistry
) -> None:
    """Airflow itself puts a traceback before whatever an executor raises at its start."""
    register(deployment.ecs, FAMILY, put_worker(registry, "wrong", WRONG))
    schedulers = {
        "The image does not fit this scheduler.": deployment.start_scheduler("refused", **image_options(FAMILY)),
        f"No active revision of {FAMILY} has an image that fits": deployment.start_scheduler(
            "none", **image_options(f"{FAMILY}:matching")
        ),
    }
    for reason, scheduler in schedulers.items():
        assert scheduler.process.wait(60) == 1
        _, head, problems = scheduler.log.rstrip().rpartition("The ECS executor cannot start:\n")
        assert head and problems.startswith(f"  - {reason}"), scheduler.tail()
        assert f"the image has {WRONG.airflow}" in problems
        assert problems.endswith("\n    To go on all the same: AIRFLOW__AIRFLOW_ECS_EXECUTOR__IMAGE_VERSION_CHECK=warn")
        assert all(line.startswith("    ") for line in problems.splitlines()[1:]), "nothing else is said after it"
