"""The commands of docs/local-ecs.md, as they are printed, on the tests' Airflow in place of the demo's."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from local.ecs_deployment import EcsDeployment
from local.waiting import until
from tests.docs.pages import DOCS, ROOT, blocks, run_shell
from tests.e2e.runs import Run, Runs

Try = Callable[[str], str]

# On a machine without it.
CURL = """curl() { python3 -c 'import sys, urllib.request
print(urllib.request.urlopen(sys.argv[3], sys.argv[2].encode()).read().decode())' "$@"; }
"""


@pytest.fixture
def try_it(deployment: EcsDeployment) -> Try:
    """Runs the block with a mark, and returns what the terminal showed."""

    def run(mark: str) -> str:
        (block,) = (block for block in blocks(DOCS / "local-ecs.md") if {"local-ecs", mark} <= block.marks)
        code = block.code.replace("airflow-ecs-demo", deployment.stack.network)
        before = "" if shutil.which("curl") else CURL
        shell = run_shell(f"{before}{code}", ROOT, deployment.aws.local_environment())
        assert shell.code == 0, shell.output
        return shell.output

    return run


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


def test_launches_are_throttled(try_it: Try, runs: Runs) -> None:
    try_it("throttle")
    assert runs.start("demo_sizes").wait() == "success"


def test_everything_is_looked_at_as_at_aws(try_it: Try) -> None:
    shown = try_it("look")
    assert "arn:aws:ecs:" in shown and "/dags/demo_long.py" in shown


def test_the_scheduler_is_killed_and_started_again(try_it: Try, deployment: EcsDeployment, runs: Runs) -> None:
    before = deployment.airflow.scheduler().log().count("Starting the scheduler")
    assert "CONTAINER ID" in try_it("kill")
    log = deployment.airflow.scheduler().log
    until(lambda: log().count("Starting the scheduler") > before, 120, "the scheduler runs")
    assert runs.start("demo_sizes").wait() == "success"
