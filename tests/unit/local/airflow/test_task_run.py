"""The result of a task is its state in Airflow's database, whatever its container's exit code is."""

from __future__ import annotations

import pytest

from local.airflow.task_run import TaskResult
from local.errors import TaskFailedError


def result(state: str, exit_code: int, log: str = "") -> TaskResult:
    return TaskResult(state=state, exit_code=exit_code, output="started\n", log=log, seconds=1.0)


def test_only_the_state_success_is_one() -> None:
    assert result("success", exit_code=1).require_success().succeeded
    for state in ("failed", "up_for_retry", "queued", ""):
        assert not result(state, exit_code=0).succeeded


def test_a_failure_tells_everything_there_is() -> None:
    with pytest.raises(TaskFailedError) as caught:
        result("", exit_code=3, log='{"event": "no module acme", "level": "error"}').require_success()
    assert str(caught.value) == (
        "The task did not reach success: state 'none', exit code 3, 1.0 s\n"
        "--- container output\nstarted\n--- task log\nERROR - no module acme"
    )
