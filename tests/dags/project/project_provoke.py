"""Tasks that go wrong in chosen ways, for tests of what a container does then."""

from __future__ import annotations

import datetime
import os
import time

from acme.airflow_compat import BashOperator, dag, task
from acme.graceful import GracefulOperator


def end_slowly(context) -> None:
    """Close all that Airflow 3's supervisor listens to a second before the process ends, not just before it does."""
    os.closerange(0, 1024)
    time.sleep(1)
    os._exit(0)


@dag(schedule=None, start_date=datetime.datetime(2024, 1, 1), catchup=False, tags=["project"])
def project_provoke():
    """Independent tasks; each is run alone."""

    @task
    def fail() -> None:
        """Raise, as a bug in a DAG does."""
        raise ValueError("provoked failure")

    @task
    def sleep() -> None:
        """Run until something ends it."""
        print("sleeping", flush=True)
        time.sleep(600)

    @task(on_success_callback=end_slowly)
    def succeed() -> None:
        """Do nothing, and take long to end."""
        print("done", flush=True)

    fail()
    sleep()
    succeed()
    # Its operator ends the command when the task is killed (on_kill); Python code such as `sleep` goes on.
    BashOperator(task_id="bash_sleep", bash_command="echo sleeping && sleep 600")
    GracefulOperator(task_id="graceful")
    BashOperator(task_id="bash_fail", bash_command="echo 'about to fail' && exit 3")


project_provoke()
