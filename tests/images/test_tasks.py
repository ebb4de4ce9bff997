"""A real task runs to success in every image, and says where people look when it does not."""

from __future__ import annotations

import time

import pytest

from tests.images.conftest import S3_URI, Tasks
from tests.images.product import NEW_WORKER, PRODUCTS, SLIM, WITH_WORKLOADS, WORKER, each

# All but those whose tasks test_remote_logging.py runs.
ALONE = [product for product in (*PRODUCTS, SLIM) if product.mode != "s3" or product.flavour == "slim"]

PAUSE = 60
"""Seconds that Airflow 3's supervisor waits at a time, when nothing calls it."""


@pytest.mark.parametrize("product", each(ALONE))
def test_a_task_of_a_project_with_packages_succeeds(tasks: Tasks) -> None:
    tasks.load()


@pytest.mark.parametrize("product", each([WORKER, NEW_WORKER]))
def test_a_task_succeeds_in_a_locked_down_container(tasks: Tasks) -> None:
    result = tasks.load(user="12345:0", read_only=True)
    assert S3_URI in result.output, "the entrypoint says what it loaded"


@pytest.mark.parametrize("product", each(WITH_WORKLOADS))
def test_the_container_ends_when_its_task_has_ended(tasks: Tasks) -> None:
    """Airflow 3's supervisor does not sleep through its task's end."""
    task = tasks.pool.take("project_provoke", "succeed")
    began = time.monotonic()
    tasks.run(task, environment={"AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": str(PAUSE)}).require_success()
    assert time.monotonic() - began < PAUSE


def test_a_failing_task_is_failed_in_the_database_and_what_it_logs_is_no_expected_warning(tasks: Tasks) -> None:
    task = tasks.pool.take("project_provoke", "fail")
    with pytest.raises(AssertionError, match="ValueError: provoked failure"):
        tasks.run(task)
    assert tasks.deployment.task_state(task) == "failed"
