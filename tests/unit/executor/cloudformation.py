"""CloudFormation, as far as a stack's outputs are read."""

from __future__ import annotations

import dataclasses
from typing import Any
from xml.sax.saxutils import escape

from airflow_ecs_executor.aws.stack import StackOutputs, output_key

from local.fakes.http_service import Answer, Connection, HttpService, Request

FIELDS = [field.name for field in dataclasses.fields(StackOutputs)]
VALUES = {field: f"the {field}" for field in FIELDS}
_SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"
OUTPUTS = {
    **VALUES,
    "airflow_major_version": "3",
    "region": "eu-west-1",
    "logs_uri": "s3://bucket/logs",
    "workloads_uri": "s3://bucket/workloads",
    "cluster_name": "airflow",
    "task_definition_family": "airflow-worker",
    "container_name": "airflow",
    "subnets": "subnet-1,subnet-2",
    "security_groups": "sg-1",
    "assign_public_ip": "False",
    "database_url_secret_arn": f"{_SECRET}url-AbCdEf",
    "fernet_key_secret_arn": f"{_SECRET}fernet-AbCdEf",
}
"""Outputs that the executor can be configured by."""


def described(status: str = "CREATE_COMPLETE", **changes: Any) -> dict[str, Any]:
    """A stack as botocore gives it; a change to None takes an output away."""
    values = {key: value for key, value in {**VALUES, **changes}.items() if value is not None}
    outputs = [{"OutputKey": output_key(field), "OutputValue": value} for field, value in values.items()]
    return {"StackName": "airflow-ecs", "StackStatus": status, "Outputs": outputs}


class CloudFormation(HttpService):
    """Answers DescribeStacks."""

    status, body = 200, ""
    region = ""
    """The region that the last request was signed for."""

    def serve(self, request: Request, connection: Connection) -> None:
        """Answer with what the test has set."""
        self.region = request.headers["authorization"].split("/")[2]
        connection.send(Answer(self.status, {"Content-Type": "text/xml"}, self.body.encode()))

    def has(self, stack: dict[str, Any]) -> None:
        """Answer with this stack."""
        outputs = "".join(
            f"<member><OutputKey>{item['OutputKey']}</OutputKey>"
            f"<OutputValue>{escape(item['OutputValue'])}</OutputValue></member>"
            for item in stack["Outputs"]
        )
        self.body = (
            '<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>'
            f"<Stacks><member><StackName>{stack['StackName']}</StackName><StackStatus>{stack['StackStatus']}"
            f"</StackStatus><CreationTime>2026-01-31T08:00:00Z</CreationTime><Outputs>{outputs}</Outputs></member>"
            "</Stacks></DescribeStacksResult></DescribeStacksResponse>"
        )

    def refuses(self, code: str, message: str) -> None:
        """Answer with an error."""
        self.status = 400
        self.body = (
            '<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type>'
            f"<Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
        )
