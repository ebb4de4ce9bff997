"""A task's log is kept when its container's disk goes, and Airflow shows it (docs/logging.md)."""

from __future__ import annotations

import pytest

from local.airflow.deployment import PreparedTask
from tests.images.conftest import Tasks
from tests.images.product import EVERY_AIRFLOW, each
from tests.images.remote_logs import WITHOUT_CONNECTION, RemoteLogs, settings

# So the container's log, which Airflow's UI shows while the task runs, has the task's lines.
LAUNCHED_BY_THE_EXECUTOR = {"AIRFLOW_IS_EXECUTOR_CONTAINER": "true"}

# On Python 3.12 and later: Airflow 2 forks beside the thread that sends lines to CloudWatch.
FORK = ("DeprecationWarning: This process .* is multi-threaded",)

WITHOUT_CLOUDWATCH = [
    product for airflow, product in EVERY_AIRFLOW.items() if airflow.startswith(("3.0", "3.1", "3.2"))
]
WITH_CLOUDWATCH = [product for product in EVERY_AIRFLOW.values() if product not in WITHOUT_CLOUDWATCH]


@pytest.mark.parametrize("product", each(WITH_CLOUDWATCH))
def test_a_log_is_kept_in_cloudwatch_and_shown_by_airflow(tasks: Tasks, remote_logs: RemoteLogs) -> None:
    check_log(tasks, remote_logs, "CloudWatch", tasks.pool.take("project_report", "load"), "loaded 3 regions")


@pytest.mark.parametrize("product", each(WITHOUT_CLOUDWATCH))
def test_nothing_reaches_cloudwatch_where_airflow_closes_its_handler(tasks: Tasks, remote_logs: RemoteLogs) -> None:
    """The limit that docs/logging.md names: apache/airflow issue 57356."""
    task = tasks.pool.take("project_report", "load")
    warns = (*WITHOUT_CONNECTION, "Received message after logging system shutdown")
    result = tasks.run(task, environment=settings("CloudWatch"), warns=warns)
    assert (result.state, result.exit_code) == ("success", 0), result.describe()
    assert remote_logs.of(task, "CloudWatch") == ""


# On the newest Airflow 2 and 3, tests/e2e has XCom and logs in S3.
@pytest.mark.full
@pytest.mark.parametrize("product", each(EVERY_AIRFLOW.values()))
def test_a_task_gets_another_one_s_result_and_their_logs_are_kept_in_s3(tasks: Tasks, remote_logs: RemoteLogs) -> None:
    pairs = [("project_report", "render"), ("project_report", "load")]  # first marks what is upstream as a success
    render, load = tasks.deployment.prepare(pairs, dags=tasks.dags)
    check_log(tasks, remote_logs, "S3", load, "loaded 3 regions")
    check_log(tasks, remote_logs, "S3", render, "north")


def check_log(tasks: Tasks, remote_logs: RemoteLogs, place: str, task: PreparedTask, line: str) -> None:
    """A task succeeds, and its line is in its container's output, in the place of its logs, and where Airflow reads."""
    environment = {**settings(place), **LAUNCHED_BY_THE_EXECUTOR}
    result = tasks.run(
        task, environment=environment, warns=(*WITHOUT_CONNECTION, *(FORK if place == "CloudWatch" else ()))
    )
    assert (result.state, result.exit_code) == ("success", 0), result.describe()
    for log in (result.output, remote_logs.of(task, place), tasks.deployment.read_log(task, settings(place))):
        assert line in log.lower()
