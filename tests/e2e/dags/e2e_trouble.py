"""Tasks to which something happens; each has a DAG of its own."""

from __future__ import annotations

import datetime

from airflow_compat import BashOperator, dag, get_current_context, task
from e2e_sign import wait_for_sign

DEFAULTS = {"schedule": None, "start_date": datetime.datetime(2024, 1, 1), "catchup": False}


@dag(**DEFAULTS)
def e2e_wait():
    """A task that goes on until something ends it, or it gets its sign."""

    @task
    def wait() -> int:
        """Return the number of the try that came to the end."""
        context = get_current_context()
        print("waiting", flush=True)
        wait_for_sign(context["run_id"])
        return context["ti"].try_number

    wait()


@dag(**DEFAULTS)
def e2e_elsewhere():
    """Tasks in containers of other task definitions."""
    for family in ("never-reaches-s3", "reaches-s3-later"):
        BashOperator(task_id=family, bash_command="echo done", executor_config={"taskDefinition": family})


e2e_wait()
e2e_elsewhere()
