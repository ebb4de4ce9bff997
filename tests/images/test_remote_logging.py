"""Airflow's remote logging works from containers, whose disk goes with them: to S3 and to CloudWatch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local.deployment import Deployment
from local.stack import Stack
from local.task_run import run_task, start_task
from local.waiting import until
from tests.images.conftest import Builder, LoadRegions, dags_for
from tests.images.product import EVERY_AIRFLOW, NEW_WORKER, OLD_WORKER, PRODUCTS, Product

GROUP = "airflow-tasks"
BUCKET = "airflow-logs"
FOLDERS = {
    "S3": f"s3://{BUCKET}/logs",
    "CloudWatch": f"cloudwatch://arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}",
}
LINE = "loaded 3 regions"

every_airflow = pytest.mark.parametrize("reference", [OLD_WORKER, NEW_WORKER])


def settings(folder: str) -> dict[str, str]:
    """What docs/logging.md says to set, in every process of Airflow."""
    return {
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
        "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": folder,
    }


@pytest.fixture(scope="module", autouse=True)
def places(stack: Stack) -> None:
    """The bucket and the log group exist, as on AWS."""
    stack.aws_client("s3").create_bucket(Bucket=BUCKET)
    stack.aws_client("logs").create_log_group(logGroupName=GROUP)


def in_s3(stack: Stack, run_id: str) -> str:
    """All that is below the run's prefix."""
    client = stack.aws_client("s3")
    found = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    keys = [item["Key"] for item in found if f"run_id={run_id}/" in item["Key"]]
    return "".join(client.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() for key in keys)


def in_cloudwatch(stack: Stack, run_id: str) -> str:
    """All that is in the run's streams."""
    client = stack.aws_client("logs")
    streams = client.describe_log_streams(logGroupName=GROUP)["logStreams"]
    names = [item["logStreamName"] for item in streams if f"run_id={run_id}/" in item["logStreamName"]]
    events: list[Any] = []
    for name in names:
        events += client.get_log_events(logGroupName=GROUP, logStreamName=name, startFromHead=True)["events"]
    return "\n".join(event["message"] for event in events)


READ = {"S3": in_s3, "CloudWatch": in_cloudwatch}


@every_airflow
def test_a_task_that_is_stopped_leaves_its_log_behind(
    reference: str, stack: Stack, built: Builder, deployment_of: Callable[[Product], Deployment]
) -> None:
    product = PRODUCTS[reference]
    deployment, dags = deployment_of(product), dags_for(product)
    (task,) = deployment.prepare([("project_provoke", "bash_sleep")], image=built(product), dags=dags)
    running = start_task(deployment, task, image=reference, dags=dags, environment=settings(FOLDERS["S3"]))
    until(lambda: "sleeping" in running.log(), 60, "the task has started", pause=0.5)
    running.container.stop(timeout=60)
    result = running.wait()
    assert result.state == "failed", result.describe()
    assert "sleeping" in in_s3(stack, task.run_id)


@every_airflow
def test_a_container_launched_by_the_executor_prints_its_task_s_lines(
    reference: str, load_regions: LoadRegions
) -> None:
    """So the container's log, which Airflow's UI shows while the task runs, has them."""
    result = load_regions(PRODUCTS[reference], environment={"AIRFLOW_IS_EXECUTOR_CONTAINER": "true"})
    assert result.succeeded and LINE in result.output, result.describe()


@pytest.mark.parametrize(
    ("place", "product"),
    [
        *((place, PRODUCTS[reference]) for place in FOLDERS for reference in (OLD_WORKER, NEW_WORKER)),
        *(("S3", EVERY_AIRFLOW[airflow]) for airflow in ("3.0.6", "3.1.8")),  # these look for a connection first
    ],
    ids=lambda found: found.reference if isinstance(found, Product) else found,
)
def test_a_task_s_log_is_kept_and_shown_by_airflow(
    place: str, product: Product, stack: Stack, built: Builder, deployment_of: Callable[[Product], Deployment]
) -> None:
    deployment, dags, environment = deployment_of(product), dags_for(product), settings(FOLDERS[place])
    (task,) = deployment.prepare([("project_report", "load")], image=built(product), dags=dags)
    result = run_task(deployment, task, image=product.reference, dags=dags, environment=environment)
    assert result.succeeded, result.describe()
    assert LINE in READ[place](stack, task.run_id), result.describe()
    assert LINE in deployment.read_log(task, environment)
