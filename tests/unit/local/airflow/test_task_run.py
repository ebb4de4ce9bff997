"""A task's log made readable, found by path, and its result by the state in the database."""

from __future__ import annotations

import io
import tarfile
from types import SimpleNamespace
from typing import Any

import pytest

from local.airflow.deployment import PreparedTask
from local.airflow.task_run import RunningTask, TaskResult
from local.errors import TaskFailedError


def result(state: str = "success", exit_code: int = 0, log: str = "") -> TaskResult:
    return TaskResult(state=state, exit_code=exit_code, output="started\n", log=log, seconds=1.0)


class TestResult:
    def test_success_is_what_the_database_says_whatever_the_exit_code(self) -> None:
        assert result("success", exit_code=1).require_success().succeeded
        for state in ("failed", "up_for_retry", "queued", ""):
            assert not result(state, exit_code=0).succeeded

    def test_a_failure_tells_everything_there_is(self) -> None:
        with pytest.raises(TaskFailedError) as caught:
            result("", exit_code=3, log='{"event": "no module acme", "level": "error"}').require_success()
        assert str(caught.value) == (
            "The task did not reach success: state 'none', exit code 3, 1.0 s\n"
            "--- container output\nstarted\n--- task log\nERROR - no module acme"
        )


class TestFindingTheLog:
    FOLDER = "logs/dag_id=report/run_id=manual__1/task_id=load"

    @staticmethod
    def log(*names: str) -> str:
        """What is shown as the task's log where these files, whose content is their name, are in its container."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size = len(name)
                archive.addfile(member, io.BytesIO(name.encode()))
        container: Any = SimpleNamespace(
            wait=lambda timeout: {"StatusCode": 0},
            get_archive=lambda path: ([buffer.getvalue()], {}),
            logs=lambda: b"started",
            remove=lambda **options: None,
        )
        deployment: Any = SimpleNamespace(task_state=lambda task: "success")
        return RunningTask(deployment, PreparedTask("report", "load", "manual__1", ()), container, 0.0).wait().log

    @pytest.mark.parametrize("name", [f"{FOLDER}/attempt=1.log", f"{FOLDER}/map_index=0/attempt=12.log"])
    def test_an_attempt_of_the_task_is_its_log(self, name: str) -> None:
        assert self.log(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            "logs/dag_id=report/run_id=manual__1/task_id=load_more/attempt=1.log",
            "logs/dag_id=report/run_id=manual__10/task_id=load/attempt=1.log",
            "logs/dag_id=reports/run_id=manual__1/task_id=load/attempt=1.log",
            "logs/scheduler/latest/report.py.log",
            "logs/dag_id=report/run_id=manual__1/task_id=load/other.txt",
        ],
    )
    def test_a_neighbours_log_is_not(self, name: str) -> None:
        assert self.log(name) == ""

    def test_the_newest_attempt_by_number_is_shown(self) -> None:
        assert self.log(*(f"{self.FOLDER}/attempt={number}.log" for number in (9, 10, 1))).endswith("attempt=10.log")
