"""An ECS API that is down or throttles, and many tasks at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from local.airflow.ecs_deployment import EcsDeployment
from local.machine.waiting import until
from tests.e2e.runs import Runs

pytestmark = pytest.mark.full

MANY = 200


@pytest.fixture(autouse=True)
def as_before(deployment: EcsDeployment) -> Iterator[None]:
    """Take faults and quotas away again."""
    yield
    deployment.aws.ecs.clear_faults()
    deployment.aws.ecs.configure(launch_rate=None, launch_burst=None)


def calls(deployment: EcsDeployment, operation: str, outcome: str) -> int:
    """How many calls of an operation had this outcome until now: ``errors``, or ``throttled`` among them."""
    return int(deployment.aws.ecs.calls()[operation][outcome])


def test_tasks_wait_for_an_ecs_api_that_is_down_for_a_minute(deployment: EcsDeployment, runs: Runs) -> None:
    before = runs.start("e2e_many", count=4, wait=True)
    until(lambda: before.states_of("work").count("running") == 4, 120, "four tasks run")
    failed = {name: calls(deployment, name, "errors") for name in ("RunTask", "DescribeTasks")}
    deployment.aws.ecs.fault("*", "lost_request")
    during = runs.start("e2e_many", count=2)
    before.let_go()
    time.sleep(60)
    for name, count in failed.items():
        assert calls(deployment, name, "errors") > count
    deployment.aws.ecs.clear_faults()
    for run, count in ((before, 4), (during, 2)):
        assert run.wait(240) == "success"
        assert run.xcom("total") == sum(range(count))
        assert {instance.try_number for instance in run.instances()} == {1}
        assert len(run.ecs_tasks()) == count + 2


def test_a_throttling_ecs_api_costs_time_and_no_task(deployment: EcsDeployment, runs: Runs) -> None:
    before = calls(deployment, "RunTask", "throttled")
    deployment.aws.ecs.configure(launch_rate=1.0, launch_burst=2)
    run = runs.start("e2e_many", count=15)
    assert run.wait(240) == "success"
    assert calls(deployment, "RunTask", "throttled") > before
    assert len(run.ecs_tasks()) == 15 + 2
    assert {instance.try_number for instance in run.instances()} == {1}


def test_two_hundred_short_tasks_queued_at_once_all_end_well(deployment: EcsDeployment, runs: Runs) -> None:
    run = runs.start("e2e_many", count=MANY)
    assert run.wait(1500) == "success"
    assert run.xcom("total") == sum(range(MANY))
    assert len(run.ecs_tasks()) == MANY + 2, "none is launched twice"
    assert {instance.try_number for instance in run.instances()} == {1}
    run.wait_until_gone()
