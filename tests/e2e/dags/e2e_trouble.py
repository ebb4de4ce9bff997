"""Tasks to which something happens; each has a DAG of its own."""

from __future__ import annotations

import datetime
import time

from airflow_compat import BashOperator, dag, get_current_context, task

DEFAULTS = {"schedule": None, "start_date": datetime.datetime(2024, 1, 1), "catchup": False}


@dag(**DEFAULTS)
def e2e_wait():
    """A task that goes on until something ends it, or S3 has an object of its run's name."""

    @task
    def wait() -> int:
        """Return the number of the try that came to the end."""
        import boto3

        context = get_current_context()
        s3 = boto3.client("s3")
        print("waiting", flush=True)
        while not s3.list_objects_v2(Bucket="my-airflow-bucket", Prefix=f"go/{context['run_id']}").get("KeyCount"):
            time.sleep(1)
        return context["ti"].try_number

    wait()


@dag(**DEFAULTS)
def e2e_elsewhere():
    """Tasks in containers of other task definitions."""
    for family in ("never-reaches-s3", "reaches-s3-later"):
        BashOperator(task_id=family, bash_command="echo done", executor_config={"taskDefinition": family})


e2e_wait()
e2e_elsewhere()
