"""A real task runs to success in every image, and says where people look when it does not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from local.containers import wait
from local.control_plane import Dags
from local.deployment import Deployment
from local.task_run import TASK_TIMEOUT, RunningTask, run_one, run_task, start_task
from local.waiting import until
from tests.images.conftest import S3_URI, Builder, LoadRegions, dags_for
from tests.images.product import NEW_WORKER, OLD_WORKER, PRODUCTS, WITH_WORKLOADS, WORKER, Product

DeploymentOf = Callable[[Product], Deployment]

SOON = 3.5  # seconds; the process takes 1 of them to end, and the supervisor's own wait is 5

every_image = pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS.keys())


@every_image
def test_a_task_of_a_project_with_packages_succeeds(product: Product, load_regions: LoadRegions) -> None:
    result = load_regions(product)
    assert result.succeeded, result.describe()
    assert result.exit_code == 0
    assert "loaded 3 regions" in result.log or "loaded 3 regions" in result.output, result.describe()
    if product.mode == "s3":
        assert S3_URI in result.output, "the entrypoint says what it loaded"


@pytest.mark.parametrize("reference", [OLD_WORKER, NEW_WORKER])
def test_tasks_of_a_run_pass_values_on(reference: str, built: Builder, deployment_of: DeploymentOf) -> None:
    product = PRODUCTS[reference]
    deployment, dags = deployment_of(product), dags_for(product)
    run_id = None
    for task_id in ("load", "render"):
        (task,) = deployment.prepare([("project_report", task_id)], image=built(product), dags=dags, run_id=run_id)
        run_id = task.run_id
        result = run_task(deployment, task, image=reference, dags=dags)
        assert result.succeeded, result.describe()
    assert "north" in result.readable_log.lower() or "total" in result.readable_log.lower(), result.describe()


@pytest.mark.parametrize("reference", [WORKER, NEW_WORKER])
@pytest.mark.parametrize(
    "options", [{"user": "12345:0"}, {"user": "12345:0", "read_only": True}], ids=["UID", "UID, read-only"]
)
def test_a_task_succeeds_in_a_locked_down_container(
    reference: str, options: dict[str, object], load_regions: LoadRegions
) -> None:
    result = load_regions(PRODUCTS[reference], **options)
    assert result.succeeded, result.describe()


@pytest.mark.parametrize("reference", [WORKER, NEW_WORKER])
def test_airflows_own_example_dag_runs(
    reference: str, built: Builder, deployment_of: DeploymentOf, tmp_path: Path
) -> None:
    from local.deployment import copy_examples

    product = PRODUCTS[reference]
    deployment = deployment_of(product)
    copy_examples(deployment.stack, built(product), ["example_bash_operator"], tmp_path)
    deployment.stack.upload_folder(tmp_path, f"s3://examples/{product.base[0]}")
    dags = Dags(s3_uri=f"s3://examples/{product.base[0]}", path=product.container_dag_path)
    result = run_one(deployment, "example_bash_operator", "runme_0", image=reference, dags=dags)
    assert result.succeeded, result.describe()
    assert "example_bash_operator__runme_0" in result.log


def seconds_after_the_last_line(running: RunningTask) -> float:
    """How long after its task's own last line the container of an Airflow 3 has ended."""
    wait(running.container, "The task", TASK_TIMEOUT)
    ended = time.time()
    result = running.wait().require_success()
    lines = [json.loads(line) for line in result.log.splitlines()]
    last = [line["timestamp"] for line in lines if line["event"] == "done"][-1]
    return ended - datetime.fromisoformat(last.replace("Z", "+00:00")).timestamp()


@pytest.mark.parametrize("product", WITH_WORKLOADS.values(), ids=WITH_WORKLOADS.keys())
def test_the_container_ends_soon_after_its_task(product: Product, built: Builder, deployment_of: DeploymentOf) -> None:
    """Airflow 3's supervisor does not sleep through its task's end. A machine that has much to do gets three tries."""
    image, deployment, dags = built(product), deployment_of(product), dags_for(product)
    taken: list[float] = []
    while len(taken) < 3 and min(taken, default=SOON) >= SOON:
        (task,) = deployment.prepare([("project_provoke", "succeed")], image=image, dags=dags)
        taken.append(seconds_after_the_last_line(start_task(deployment, task, image=image, dags=dags)))
    assert 1 <= min(taken) < SOON, taken


def test_a_failing_task_is_failed_in_the_database(worker: str, deployment_of: DeploymentOf) -> None:
    product = PRODUCTS[worker]
    result = run_one(deployment_of(product), "project_provoke", "fail", image=worker, dags=dags_for(product))
    assert result.state == "failed"
    assert "provoked failure" in result.log


def test_stopping_the_container_ends_the_task(worker: str, deployment_of: DeploymentOf) -> None:
    """SIGTERM reaches the command: the container ends long before it would be killed."""
    product = PRODUCTS[worker]
    deployment, dags = deployment_of(product), dags_for(product)
    (task,) = deployment.prepare([("project_provoke", "sleep")], image=worker, dags=dags)
    running = start_task(deployment, task, image=worker, dags=dags)
    until(lambda: deployment.task_state(task) == "running", 60, "the task runs", pause=0.5)
    time.sleep(2)
    running.container.stop(timeout=60)
    result = running.wait()
    assert result.exit_code != 137, "killed: SIGTERM did not reach the command"
    assert result.state != "running", result.describe()
