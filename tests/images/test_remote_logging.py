"""Tasks of one run pass values on, and their logs are kept: their container's disk goes with it."""

from __future__ import annotations

import pytest

from tests.images.conftest import S3_URI, Tasks
from tests.images.product import EVERY_AIRFLOW, each
from tests.images.remote_logs import RemoteLogs, settings

# So the container's log, which Airflow's UI shows while the task runs, has the task's lines.
LAUNCHED_BY_THE_EXECUTOR = {"AIRFLOW_IS_EXECUTOR_CONTAINER": "true"}

# On Python 3.12 and later: Airflow 2 forks beside the thread that sends lines to CloudWatch.
FORK = ("DeprecationWarning: This process .* is multi-threaded",)


@pytest.mark.parametrize("product", each(EVERY_AIRFLOW.values()))
def test_logs_of_a_run_are_kept_in_s3_and_in_cloudwatch_and_shown_by_airflow(
    tasks: Tasks, remote_logs: RemoteLogs
) -> None:
    pairs = [("project_report", "render"), ("project_report", "load")]  # what is upstream of a task passes for done
    render, load = tasks.deployment.prepare(pairs, dags=tasks.dags)
    for task, place, line in ((load, "S3", "loaded 3 regions"), (render, "CloudWatch", "north")):
        environment = {**settings(place), **LAUNCHED_BY_THE_EXECUTOR}
        result = tasks.run(task, environment=environment, warns=FORK if place == "CloudWatch" else ())
        assert (result.state, result.exit_code) == ("success", 0), result.describe()
        assert S3_URI in result.output, "the entrypoint says what it loaded"
        shown = tasks.deployment.read_log(task, settings(place))
        for log in (result.output, remote_logs.of(task, place), shown):
            assert line in log.lower(), log
