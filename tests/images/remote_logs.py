"""Where Airflow's remote logging puts the logs of tasks: S3 and CloudWatch."""

from __future__ import annotations

from local.airflow.deployment import PreparedTask
from local.aws_services.stack import Stack

GROUP = "airflow-tasks"
BUCKET = "airflow-logs"
FOLDERS = {
    "S3": f"s3://{BUCKET}/logs",
    "CloudWatch": f"cloudwatch://arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}",
}

WITHOUT_CONNECTION = (r"(Server error|Connection not found) .*\baws_default\b",)
"""The warnings of Airflow 3.0, which looks for the default connection first; the entrypoint lets it do without one."""


def settings(place: str) -> dict[str, str]:
    """What docs/logging.md says to set, in every process of Airflow."""
    return {
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
        "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": FOLDERS[place],
    }


class RemoteLogs:
    """The bucket and the log group, as on AWS."""

    def __init__(self, stack: Stack) -> None:
        self._s3, self._logs = stack.aws_client("s3"), stack.aws_client("logs")
        self._s3.create_bucket(Bucket=BUCKET)
        self._logs.create_log_group(logGroupName=GROUP)

    def of(self, task: PreparedTask, place: str) -> str:
        """All that is there of a task's run."""
        return (self._in_s3 if place == "S3" else self._in_cloudwatch)(f"run_id={task.run_id}/")

    def _in_s3(self, part: str) -> str:
        found = self._s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        bodies = (self._s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"] for item in found if part in item["Key"])
        return "".join(body.read().decode() for body in bodies)

    def _in_cloudwatch(self, part: str) -> str:
        streams = self._logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
        names = [item["logStreamName"] for item in streams if part in item["logStreamName"]]
        answers = (
            self._logs.get_log_events(logGroupName=GROUP, logStreamName=name, startFromHead=True) for name in names
        )
        return "\n".join(event["message"] for answer in answers for event in answer["events"])
