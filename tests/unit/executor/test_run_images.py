"""The image check of a run, with a registry and an ECS API over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow_ecs_executor.checks.health import HealthCheckError

from local.ecs.control import EcsApi
from local.fakes.registry import FakeRegistry, digest_of
from tests.paths import DOCS
from tests.unit.executor.harness import Airflow, Scheduler, key
from tests.unit.executor.worker_images import REPOSITORY, RIGHT, WRONG, deregister, put_worker, register

PAGE = DOCS / "image-check.md"
FAMILY = REPOSITORY


@pytest.fixture(autouse=True)
def short_tasks(ecs: EcsApi) -> None:
    ecs.configure(run_seconds=0.1)


def start(check: str = "strict", task_definition: str = FAMILY, **options: Any) -> Scheduler:
    return Scheduler(image_version_check=check, task_definition=task_definition, **options)


def run_one(scheduler: Scheduler, number: int = 0, executor_config: Any = None) -> list[str]:
    """Run a task to its end; returns its states."""
    scheduler.complete(key(number), executor_config=executor_config)
    return scheduler.states(key(number))


def launched(ecs: EcsApi) -> list[str]:
    """The task definitions of all launches, without what comes before the name in an ARN."""
    return [task["request"]["taskDefinition"].rpartition("/")[2] for task in ecs.tasks()]


# At start


def test_strict_refuses_to_start_in_the_words_of_the_documentation(ecs: EcsApi, registry: FakeRegistry) -> None:
    image = put_worker(registry, "1.10.15-python3.6-s3", WRONG)
    register(ecs, FAMILY, image)
    with pytest.raises(HealthCheckError) as caught:
        start()
    quoted = PAGE.read_text(encoding="utf-8").split("```\n")[1].strip()
    for documented, here in (
        ("2.10.5", WRONG.airflow),
        ("3.8", WRONG.python),
        ("3.3.2", RIGHT.airflow),
        ("3.12", RIGHT.python),
        (f"{FAMILY}:7", f"{FAMILY}:1"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", registry.host),
    ):
        quoted = quoted.replace(documented, here)
    assert str(caught.value) == quoted


def test_what_the_container_lacks_is_warned_about_unless_nothing_is_to_be_looked_at(
    ecs: EcsApi, registry: FakeRegistry, warned: Callable[[], str]
) -> None:
    register(ecs, FAMILY, put_worker(registry, "right"))
    airflow = Airflow()
    airflow.options = {"remote_logging": "True"}
    start("off", f"{FAMILY}:matching", airflow=airflow)
    assert warned() == ""
    start("strict", f"{FAMILY}:matching", airflow=airflow)
    assert f"{FAMILY}:1: [logging] remote_logging is on in the scheduler and not set in the container" in warned()


def test_what_fits_is_read_from_the_registry_and_starts_without_a_warning(
    ecs: EcsApi, registry: FakeRegistry, warned: Callable[[], str]
) -> None:
    register(ecs, FAMILY, put_worker(registry, "right"))
    assert run_one(start())[-1] == "success"
    assert registry.requests[0] == "manifests/right" and warned() == ""


# Other definitions


def test_a_misfit_fails_the_task_that_names_it_alone(
    ecs: EcsApi, registry: FakeRegistry, warned: Callable[[], str]
) -> None:
    register(ecs, FAMILY, put_worker(registry, "right"))
    register(ecs, "old", put_worker(registry, "wrong", WRONG))
    scheduler = start()
    scheduler.queue(key("old"), executor_config={"taskDefinition": "old"})
    assert run_one(scheduler)[-1] == "success"
    assert scheduler.ends() == {key(): ["success"], key("old"): ["failed"]}
    assert launched(ecs) == [FAMILY]
    ((failed, reason),) = scheduler.notes
    assert failed == key("old") and f"the image has {WRONG.airflow}" in reason and "task definition old:1" in reason


# Choosing by version


def test_the_newest_active_revision_that_fits_runs_and_is_said(
    ecs: EcsApi, registry: FakeRegistry, said: Callable[[], str]
) -> None:
    right, wrong = put_worker(registry, "right"), put_worker(registry, "wrong", WRONG)
    for image in (right, right, right, wrong):
        register(ecs, FAMILY, image)
    deregister(ecs, f"{FAMILY}:3")
    assert run_one(start(task_definition=f"{FAMILY}:matching"))[-1] == "success"
    assert launched(ecs) == [f"{FAMILY}:2"]
    assert (
        f"Tasks run {FAMILY}:2, the newest active revision whose image is compatible. Newer ones are not: {FAMILY}:4"
        in said()
    )


def test_a_revision_that_is_deregistered_is_replaced_without_using_up_an_attempt(
    ecs: EcsApi, registry: FakeRegistry, said: Callable[[], str]
) -> None:
    image = put_worker(registry, "right")
    register(ecs, FAMILY, image)
    register(ecs, FAMILY, image)
    scheduler = start(task_definition=f"{FAMILY}:matching", max_run_task_attempts="1")
    run_one(scheduler, 1)
    deregister(ecs, f"{FAMILY}:2")
    assert run_one(scheduler, 2)[-1] == "success"
    assert launched(ecs) == [f"{FAMILY}:2", f"{FAMILY}:1"]
    assert f"{FAMILY}:2 is not active any more: another revision is chosen" in said()
    assert f"Tasks run {FAMILY}:1" in said()


# What runs


def test_a_tag_that_was_moved_is_warned_about_once(
    ecs: EcsApi, registry: FakeRegistry, warned: Callable[[], str]
) -> None:
    image = put_worker(registry, "moving")
    register(ecs, FAMILY, image)
    scheduler = start()
    put_worker(registry, "moving", WRONG)
    digest = digest_of(registry.manifests[REPOSITORY, "moving"][1])
    ecs.configure(image_digest=digest)
    run_one(scheduler, 1)
    scheduler.run(lambda: "runs another image than was checked" in warned())
    run_one(scheduler, 2)
    run_one(scheduler, 3)
    (warning,) = [line for line in warned().splitlines() if "another image" in line]
    assert f"{image} is {digest} now" in warning and f"the image has {WRONG.airflow}" in warning


@pytest.mark.parametrize(("ours", "containers", "end"), [(True, 2, "success"), (False, 1, "failed")])
def test_exit_codes_of_the_contract_mean_nothing_in_an_image_without_it(
    ecs: EcsApi, registry: FakeRegistry, ours: bool, containers: int, end: str
) -> None:
    """84: an image of ours could not load its DAGs, so nothing has run, and the task is launched again."""
    register(ecs, FAMILY, put_worker(registry, "right", ours=ours))
    ecs.behave(times=1, exit_code=84)
    assert run_one(start())[-1] == end
    assert len(ecs.tasks()) == containers
