"""Every DAG of the demo reaches the states that its description promises, and its logs can be read."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from local.airflow.ecs_deployment import EcsDeployment
from local.demo import EXAMPLES
from tests.e2e.conftest import DEMO_RUNS, EXAMPLE, ON_NEWEST, PARTITIONS
from tests.e2e.runs import Run


@pytest.mark.parametrize(
    "dag_id",
    [
        *(
            pytest.param(dag_id, marks=pytest.mark.newest if dag_id in ON_NEWEST else ())
            for dag_id in (*DEMO_RUNS, EXAMPLE)
        ),
        *(pytest.param(dag_id, marks=pytest.mark.full) for dag_id in EXAMPLES if dag_id != EXAMPLE),
    ],
)
def test_a_run_is_a_success(demo: dict[str, Run], dag_id: str) -> None:
    run = demo[dag_id]
    assert run.wait() == "success", run.launches()


def test_values_go_from_container_to_container_by_xcom(demo: dict[str, Run]) -> None:
    run = demo["demo_fan_out"]
    run.wait()
    assert run.states() == {"partitions": ["success"], "count": ["success"] * PARTITIONS, "total": ["success"]}
    assert run.xcom("total") == sum(100 * number for number in range(1, PARTITIONS + 1))


def test_each_task_instance_has_a_container_of_its_own(demo: dict[str, Run]) -> None:
    run = demo["demo_fan_out"]
    run.wait()
    tasks = run.ecs_tasks()
    assert len({task["arn"] for task in tasks}) == len(tasks) == PARTITIONS + 2


def test_the_ui_shows_each_task_its_own_log(demo: dict[str, Run]) -> None:
    run = demo["demo_fan_out"]
    run.wait()
    run.until_log("total", f"{run.xcom('total')} words in all")
    for partition in (0, PARTITIONS - 1):
        run.until_log("count", f"partition {partition}: {(partition + 1) * 100} words", map_index=partition)


@pytest.mark.newest
def test_a_task_that_fails_once_succeeds_in_a_second_container_and_has_both_logs(demo: dict[str, Run]) -> None:
    run = demo["demo_retries"]
    run.wait()
    assert run.xcom("fails_once") == 2
    run.until_log("fails_once", "try 1 fails on purpose")
    run.until_log("fails_once", "try 2 succeeds", try_number=2)


@pytest.mark.newest
def test_a_task_that_never_succeeds_is_failed_when_its_retries_are_used_up(demo: dict[str, Run]) -> None:
    run = demo["demo_retries"]
    run.wait()
    assert run.states() == {"fails_once": ["success"], "fails_for_good": ["failed"], "afterwards": ["success"]}
    assert [of(task) for task in run.ecs_tasks()].count("fails_for_good") == 2


def test_sensors_wait_without_a_container(demo: dict[str, Run]) -> None:
    run = demo["demo_sensors"]
    run.wait()
    deferred, rescheduled = (
        [task for task in run.ecs_tasks() if of(task) == name] for name in ("deferred", "rescheduled")
    )
    assert len(deferred) == 2, "one before the triggerer has it, one after"
    assert len(rescheduled) >= 2, "one for each look"
    for tasks in (deferred, rescheduled):
        for before, after in itertools.pairwise(tasks):
            assert before["containerEndedAt"] < after["startedAt"]


@pytest.mark.newest
def test_a_task_gets_the_cpu_and_memory_that_it_asks_for(demo: dict[str, Run], deployment: EcsDeployment) -> None:
    run = demo["demo_sizes"]
    run.wait()
    definition = deployment.task_definition(deployment.image)
    assert (definition["cpu"], definition["memory"]) == ("1024", "2048")
    assert run.xcom("measure") == {"CPU": 2, "Memory": 4096}


def test_no_container_is_left(demo: dict[str, Run]) -> None:
    for run in demo.values():
        run.wait()
        run.wait_until_gone()


def of(ecs_task: dict[str, Any]) -> str:
    """The Airflow task that an ECS task ran."""
    return str(ecs_task["tags"]["airflow:task_id"])
