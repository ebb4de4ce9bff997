"""Tasks to which something happens; each is in a DAG of its own, with one run a test."""

from __future__ import annotations

import datetime
import time

from airflow_compat import BashOperator, dag, get_current_context, task

DEFAULTS = {"schedule": None, "start_date": datetime.datetime(2024, 1, 1), "catchup": False}
SMALL = {"overrides": {"cpu": "1024", "memory": "1024"}}


@dag(**DEFAULTS)
def e2e_memory():
    """A task that needs more memory than it has."""

    @task(executor_config=SMALL)
    def hungry() -> None:
        """Take it until there is no more."""
        print("taking memory", flush=True)
        taken = []
        while True:
            taken.append(b"x" * 100_000_000)

    hungry()


@dag(**DEFAULTS)
def e2e_sleep():
    """A task that goes on until something ends it, unless its run says how long."""

    @task
    def sleep() -> int:
        """Return the number of the try that came to the end."""
        context = get_current_context()
        print("sleeping", flush=True)
        time.sleep(float((context["dag_run"].conf or {}).get("seconds", 600)))
        return context["ti"].try_number

    sleep()


@dag(**DEFAULTS)
def e2e_short():
    """A task that does its work at once."""
    BashOperator(task_id="short", bash_command="echo done")


e2e_memory()
e2e_sleep()
e2e_short()
