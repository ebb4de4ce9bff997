"""An ECS API that is down or throttles, and many tasks at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from local.ecs_deployment import EcsDeployment
from tests.e2e.runs import Runs, until

pytestmark = pytest.mark.full

MANY = 200


@pytest.fixture(autouse=True)
def as_before(deployment: EcsDeployment) -> Iterator[None]:
    """Take faults and quotas away again."""
    yield
    deployment.aws.ecs.clear_faults()
    deployment.aws.ecs.configure(run_task_rate=None, launch_rate=None)


def test_tasks_wait_for_an_ecs_api_that_is_down_for_a_minute(deployment: EcsDeployment, runs: Runs) -> None:
    before = runs.start("e2e_many", count=4, seconds=45)
    until(lambda: len(before.running()) == 4, 90, "four tasks run")
    deployment.aws.ecs.fault("*", "lost_request")
    during = runs.start("e2e_many", count=2)
    time.sleep(60)
    deployment.aws.ecs.clear_faults()
    for run, count in ((before, 4), (during, 2)):
        assert run.wait(240) == "success"
        assert run.xcom("total") == sum(range(count))
        assert {instance.try_number for instance in run.instances()} == {1}
        assert len(run.ecs_tasks()) == count + 2


def test_a_throttling_ecs_api_costs_time_and_no_task(deployment: EcsDeployment, runs: Runs) -> None:
    deployment.aws.ecs.configure(launch_rate=1.0, launch_burst=2)
    run = runs.start("e2e_many", count=15)
    assert run.wait(240) == "success"
    assert deployment.aws.ecs.calls()["RunTask"]["throttled"] > 0
    assert len(run.ecs_tasks()) == 15 + 2
    assert {instance.try_number for instance in run.instances()} == {1}


def test_two_hundred_short_tasks_queued_at_once_all_end_well(deployment: EcsDeployment, runs: Runs) -> None:
    run = runs.start("e2e_many", count=MANY)
    assert run.wait(1500) == "success"
    assert run.xcom("total") == sum(range(MANY))
    assert len(run.ecs_tasks()) == MANY + 2, "none is launched twice"
    assert {instance.try_number for instance in run.instances()} == {1}
    run.wait_until_gone()
