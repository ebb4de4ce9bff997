"""The further commands of docs/local-ecs.md, as they are printed: nothing else may run on ECS meanwhile."""

from __future__ import annotations

import pytest

from local.machine.waiting import until
from tests.e2e.conftest import Try
from tests.e2e.runs import Run, Runs

pytestmark = pytest.mark.newest


def ended(run: Run) -> bool:
    return bool(run.ecs_tasks()) and not run.running()


def test_a_task_is_stopped_and_another_loses_its_spot_capacity(try_it: Try, runs: Runs) -> None:
    two = [runs.start("demo_long") for _ in range(2)]
    for run in two:
        until(run.running, 180, "its container runs")
        run.until_log("works_for_an_hour", "still at work")
    assert '"lastStatus": "RUNNING"' in try_it("stop")
    until(lambda: any(map(ended, two)), 60, "one of the containers has ended")
    try_it("spot")
    until(lambda: all(map(ended, two)), 60, "both have ended")
    found = {(task["stopCode"], task["stoppedReason"]) for run in two for task in run.ecs_tasks()}
    assert found == {("UserInitiated", "maintenance"), ("SpotInterruption", "Your Spot Task was interrupted.")}
    assert [run.wait() for run in two] == ["failed", "failed"]


def test_everything_is_looked_at_as_at_aws(try_it: Try) -> None:
    shown = try_it("look")
    assert "arn:aws:ecs:" in shown and "/dags/demo_long.py" in shown
