"""What the reference executor would send for each row of the table: JSON on stdin, JSON on the last line of stdout.

Run by a Python whose environment has the Amazon provider. A row is ``{options, executor_config, command, launches}``;
the answer has ``requests``, what it hands to boto3 for each launch, and ``refused``, what boto3 says to the last one;
or ``error``, the exception with which it gives up.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from typing import Any

from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.providers.amazon.aws.executors.ecs.ecs_executor import AwsEcsExecutor
from botocore.validate import ParamValidator

PREFIX = "AIRFLOW__AWS_ECS_EXECUTOR__"


class _Captured(Exception):
    """Ends a call before it is made."""


def requests_of(row: dict[str, Any]) -> dict[str, Any]:
    """Run one row."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update({PREFIX + name.upper(): value for name, value in row["options"].items()})
    captured: list[dict[str, Any]] = []

    def capture(params: dict[str, Any], **_: Any) -> None:
        captured.append(copy.deepcopy(params))
        raise _Captured

    try:
        executor = AwsEcsExecutor()
        executor.ecs.meta.events.register("provide-client-params.ecs.RunTask", capture)
        for number in range(row["launches"]):
            key = TaskInstanceKey("dag", "task", "run", number + 1)
            executor.execute_async(key, list(row["command"]), executor_config=row["executor_config"])
            before = len(captured)
            executor.attempt_workload_runs()
            if len(captured) == before:
                # It keeps what happened to itself: ask for it.
                executor._run_task(key, list(row["command"]), None, row["executor_config"])
    except Exception as error:  # noqa: BLE001 - whatever the reference raises is its answer
        return {"error": f"{type(error).__name__}: {error}"}
    return {"requests": captured, "refused": _refusal(executor.ecs, captured[-1])}


def _refusal(client: Any, request: dict[str, Any]) -> str:
    """What boto3's own check of the parameters says, before anything would be sent."""
    report = ParamValidator().validate(request, client.meta.service_model.operation_model("RunTask").input_shape)
    return str(report.generate_report())


if __name__ == "__main__":
    print(json.dumps([requests_of(row) for row in json.load(sys.stdin)]))
