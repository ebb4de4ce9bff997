"""Nothing that runs warns of anything but of what is expected, or of what tests provoke."""

from __future__ import annotations

import pytest

from local.airflow.ecs_deployment import EcsDeployment
from tests.container_warnings import unexpected_warnings
from tests.e2e.runs import Run

FAILING = ("demo_long", "demo_memory", "demo_retries", "e2e_elsewhere", "e2e_wait")
"""DAGs whose tasks fail, on purpose or because of what happens to them: the scheduler says so of each."""
PROVOKED = (
    *(rf"\b{dag_id}\b" for dag_id in FAILING),
    r"Failing \(\d+\) jobs without heartbeat",  # Airflow 2, before it names them
)
MAPPED = r"XCom not found key=return_value offset=\d+ "
"""Airflow 3 finds the end of the results of mapped tasks by asking for one more."""


def test_containers_of_tasks(demo: dict[str, Run], deployment: EcsDeployment) -> None:
    runs = [run for run in demo.values() if run.dag_id not in FAILING]
    for run in runs:
        run.wait()
    arns = [task["arn"] for run in runs for task in run.ecs_tasks()]
    assert arns
    logs = [deployment.container_log(arn) for arn in arns]
    assert [line for log in logs for line in unexpected_warnings(log, also=[MAPPED])] == []


@pytest.mark.usefixtures("started")
def test_the_scheduler(deployment: EcsDeployment) -> None:
    assert unexpected_warnings(deployment.airflow.scheduler().log(), also=PROVOKED) == []
