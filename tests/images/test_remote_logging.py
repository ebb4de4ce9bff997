"""A task's log is kept when its container's disk goes, and Airflow shows it (docs/logging.md)."""

from __future__ import annotations

import pytest

from tests.images.conftest import Tasks
from tests.images.product import EVERY_AIRFLOW, each
from tests.images.remote_logs import RemoteLogs, settings

# So the container's log, which Airflow's UI shows while the task runs, has the task's lines.
LAUNCHED_BY_THE_EXECUTOR = {"AIRFLOW_IS_EXECUTOR_CONTAINER": "true"}

# On Python 3.12 and later: Airflow 2 forks beside the thread that sends lines to CloudWatch.
FORK = ("DeprecationWarning: This process .* is multi-threaded",)


# Logs in S3 have test_signals.py on each Airflow, and tests/e2e in the UI.
@pytest.mark.parametrize("place", ["CloudWatch", pytest.param("S3", marks=pytest.mark.full)])
@pytest.mark.parametrize("product", each(EVERY_AIRFLOW.values()))
def test_a_log_is_kept_and_shown_by_airflow(tasks: Tasks, remote_logs: RemoteLogs, place: str) -> None:
    task = tasks.pool.take("project_report", "load")
    environment = {**settings(place), **LAUNCHED_BY_THE_EXECUTOR}
    result = tasks.run(task, environment=environment, warns=FORK if place == "CloudWatch" else ())
    assert (result.state, result.exit_code) == ("success", 0), result.describe()
    for log in (result.output, remote_logs.of(task, place), tasks.deployment.read_log(task, settings(place))):
        assert "loaded 3 regions" in log
