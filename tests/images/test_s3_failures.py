"""S3 fails in a real container: the task does not start, and one line says why and what to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.deployment import Dags, Deployment
from local.task_run import run_task
from tests.images.conftest import S3_URI
from tests.images.product import PRODUCTS, Product

FAULTS = {
    "no S3_URI": ({"S3_URI": None}, 80, ["S3_URI"]),
    "malformed S3_URI": ({"S3_URI": "https://example.com/dags"}, 80, ["S3_URI"]),
    "no credentials": (
        {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"},
        81,
        ["credentials", "task role"],
    ),
    "no such bucket": ({"S3_URI": "s3://no-such-bucket/dags"}, 82, ["s3://no-such-bucket", "bucket"]),
    "empty prefix": ({"S3_URI": "s3://dags/no-such-prefix"}, 82, ["s3://dags/no-such-prefix"]),
    "S3 unreachable": ({"AWS_ENDPOINT_URL": "http://aws:9", "AWS_MAX_ATTEMPTS": "2"}, 84, ["S3"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_task_does_not_start(fault: str, worker: str, deployment_of: Callable[[Product], Deployment]) -> None:
    environment, code, said = FAULTS[fault]
    deployment = deployment_of(PRODUCTS[worker])
    dags = Dags(s3_uri=S3_URI)
    (task,) = deployment.prepare([("project_report", "load")], image=worker, dags=dags)
    result = run_task(deployment, task, image=worker, dags=dags, environment=environment)
    assert result.exit_code == code, result.describe()
    assert result.state == "queued", "Airflow never heard of an attempt"
    (line,) = [line for line in result.output.splitlines() if "airflow-ecs-entrypoint: error:" in line]
    for word in said:
        assert word in line
    assert "Traceback" not in result.output
    assert "tasks run" not in line.split("error:")[1] or "project_report" not in line, "no command arguments in logs"
