"""Real scheduler processes on PostgreSQL, with images that fit them and with images that do not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import airflow_ecs_executor

from local.fake_registry import FakeRegistry
from tests.executor.scenario.deployment import Daemon, Deployment
from tests.executor.scenario.sizes import CHOSEN, FIT, MISFIT
from tests.unit.executor.worker_images import WRONG, put_worker, register

FAMILY = "images"
_MODULES = "|".join(path.stem for path in Path(airflow_ecs_executor.__file__).parent.glob("*.py"))
_WARNING = re.compile(rf"\{{(?:{_MODULES})\.py:\d+}} WARNING -|\[warning.*loc=(?:{_MODULES})\.py:")
"""A warning of the executor, as Airflow 2 and Airflow 3 write it."""


def start(deployment: Deployment, name: str, task_definition: str = FAMILY, check: str = "strict") -> Daemon:
    return deployment.start_scheduler(
        name,
        aws_ecs_executor={"task_definition": task_definition},
        airflow_ecs_executor={"image_version_check": check},
    )


def launched_to_succeed(deployment: Deployment, dag_id: str) -> dict[str, Any]:
    """Run a DAG's one task to success; returns its container."""
    deployment.ecs.configure(run_seconds=0.5)
    deployment.trigger(dag_id)
    deployment.until(lambda: deployment.states(dag_id) == {"success": 1}, 60, f"the task of {dag_id} succeeds")
    (task,) = deployment.ecs.tasks()
    return task


def warnings_of(scheduler: Daemon) -> list[str]:
    return [line for line in scheduler.log.splitlines() if _WARNING.search(line)]


def test_a_scheduler_whose_image_does_not_fit_ends_and_the_reason_is_its_last_word(
    deployment: Deployment, registry: FakeRegistry
) -> None:
    """Airflow itself puts a traceback before whatever an executor raises at its start."""
    register(deployment.ecs, FAMILY, put_worker(registry, "wrong", WRONG))
    schedulers = {
        "The image does not fit this scheduler.": start(deployment, "refused"),
        f"No active revision of {FAMILY} has an image that fits": start(deployment, "none", f"{FAMILY}:matching"),
    }
    for reason, scheduler in schedulers.items():
        assert scheduler.process.wait(60) == 1
        _, head, problems = scheduler.log.rstrip().rpartition("The ECS executor cannot start:\n")
        assert head and problems.startswith(f"  - {reason}"), scheduler.tail()
        assert f"the image has {WRONG.airflow}" in problems
        assert problems.endswith("\n    To go on all the same: AIRFLOW__AIRFLOW_ECS_EXECUTOR__IMAGE_VERSION_CHECK=warn")
        assert all(line.startswith("    ") for line in problems.splitlines()[1:]), "nothing else is said after it"


def test_by_option_it_warns_and_runs_tasks(deployment: Deployment, registry: FakeRegistry) -> None:
    register(deployment.ecs, FAMILY, put_worker(registry, "wrong", WRONG))
    scheduler = start(deployment, "warned", check="warn")
    launched_to_succeed(deployment, MISFIT)
    (warning,) = warnings_of(scheduler)
    assert "The image does not fit this scheduler" in warning and f"the image has {WRONG.airflow}" in warning
    scheduler.end_in_order()


def test_an_image_that_fits_runs_tasks_without_a_warning(deployment: Deployment, registry: FakeRegistry) -> None:
    register(deployment.ecs, FAMILY, put_worker(registry, "right"))
    scheduler = start(deployment, "fitting")
    launched_to_succeed(deployment, FIT)
    assert warnings_of(scheduler) == []
    assert registry.requests[0] == "manifests/right"
    scheduler.end_in_order()


def test_the_revision_that_fits_is_found_and_said(deployment: Deployment, registry: FakeRegistry) -> None:
    register(deployment.ecs, FAMILY, put_worker(registry, "right"))
    register(deployment.ecs, FAMILY, put_worker(registry, "wrong", WRONG))
    scheduler = start(deployment, "choosing", f"{FAMILY}:matching")
    task = launched_to_succeed(deployment, CHOSEN)
    assert task["request"]["taskDefinition"].endswith(f"/{FAMILY}:1")
    assert f"Tasks run {FAMILY}:1, the newest active revision whose image fits" in scheduler.log
    assert warnings_of(scheduler) == []
    scheduler.end_in_order()
