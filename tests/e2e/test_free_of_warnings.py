"""Nothing that runs warns of anything but of what is expected, or of what the tests before have provoked."""

from __future__ import annotations

import pytest

from local.ecs_deployment import EcsDeployment
from tests.container_warnings import unexpected_warnings
from tests.e2e.runs import Run

PROVOKED: tuple[str, ...] = ()
"""What a scheduler says of the tasks of `demo_retries`, `demo_memory` and of the tests of failures."""


def test_containers_of_tasks_that_went_well(demo: dict[str, Run], deployment: EcsDeployment) -> None:
    for run in demo.values():
        run.wait()
    arns = [task["arn"] for run in demo.values() for task in run.ecs_tasks() if task["exitCode"] == 0]
    assert arns
    assert [line for arn in arns for line in unexpected_warnings(deployment.container_log(arn))] == []


@pytest.mark.usefixtures("started")
def test_the_services_of_airflow(deployment: EcsDeployment) -> None:
    found = {name: unexpected_warnings(log, also=PROVOKED) for name, log in deployment.airflow.logs().items()}
    assert found == {name: [] for name in found}
