"""The outputs of a deployed stack of ``deploy/template.yaml``, which the commands with ``--stack`` read."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Mapping

from airflow_ecs_executor.aws.connection import region_of
from airflow_ecs_executor.aws.errors import classify, remedy

DEPLOY = (
    "aws cloudformation deploy --stack-name {name} --template-file deploy/template.yaml --capabilities CAPABILITY_IAM"
)
_GONE = ("DELETE_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_FAILED")
_NOT_CREATED = ("CREATE_IN_PROGRESS", "CREATE_FAILED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_FAILED", "ROLLBACK_COMPLETE",
               "REVIEW_IN_PROGRESS")  # fmt: skip


class StackError(Exception):
    """The outputs cannot be read: the call failed (``aws``), or the stack is unusable."""

    def __init__(self, message: str, remedy: str, aws: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.aws = aws

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


@dataclass(frozen=True)
class StackOutputs:
    """The outputs of the template, by the template's names in snake case.

    ``subnets`` and ``security_groups`` are comma-separated; ``assign_public_ip`` is ``True`` or ``False``;
    ``airflow_major_version`` is ``2`` or ``3``. Secrets are named by their ARNs; their values are not read.
    """

    airflow_major_version: str
    region: str
    repository_uri: str
    repository_name: str
    bucket_name: str
    dags_uri: str
    logs_uri: str
    workloads_uri: str
    cluster_name: str
    task_definition_family: str
    container_name: str
    task_role_arn: str
    execution_role_arn: str
    scheduler_policy_arn: str
    log_group_name: str
    subnets: str
    security_groups: str
    assign_public_ip: str
    scheduler_security_group: str
    database_endpoint: str
    database_port: str
    database_name: str
    database_user: str
    database_credentials_arn: str
    database_url_secret_arn: str
    fernet_key_secret_arn: str
    vpc_id: str


def output_key(field: str) -> str:
    """Return the template's name of an output: ``RepositoryUri`` for ``repository_uri``."""
    return "".join(part.capitalize() for part in field.split("_"))


def read_stack(name: str, region: str | None = None) -> StackOutputs:
    """Read the outputs of a stack, in ``region``, AWS_REGION, or the region that boto3 finds. Raises StackError."""
    try:
        import boto3  # here, so that `--help` does not wait for it
        from botocore.exceptions import BotoCoreError, ClientError
    except ModuleNotFoundError:
        message = f"The stack {name} cannot be read: boto3 is not installed."
        raise StackError(message, "Install it: pip install boto3", aws=True) from None
    try:
        session = boto3.session.Session(region_name=region_of(region))
        described = session.client("cloudformation").describe_stacks(StackName=name)
    except (BotoCoreError, ClientError, OSError, ValueError) as error:  # ValueError: an endpoint is not a URL
        raise _unreadable(name, error) from None
    return outputs_of(name, described["Stacks"][0])


def outputs_of(name: str, stack: Mapping[str, Any]) -> StackOutputs:
    """Read the outputs of a stack that DescribeStacks describes. Raises StackError.

    A stack whose update is in progress or failed still has its former outputs.
    """
    status = str(stack.get("StackStatus", ""))
    if status in _NOT_CREATED or status in _GONE:
        events = f"aws cloudformation describe-stack-events --stack-name {name}"
        waiting = f"Wait for it: aws cloudformation wait stack-create-complete --stack-name {name}"
        raise StackError(
            f"The stack {name} is {status}.",
            waiting if status == "CREATE_IN_PROGRESS" else f"{events} says why; then deploy it again.",
        )
    found = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs") or ()}
    fields = [field.name for field in dataclasses.fields(StackOutputs)]
    missing = [output_key(field) for field in fields if output_key(field) not in found]
    if missing:
        raise StackError(
            f"The stack {name} has no output {', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}.",
            f"It was created from another template, or from an older version. To update it: {DEPLOY.format(name=name)}",
        )
    return StackOutputs(**{field: found[output_key(field)] for field in fields})


def _unreadable(name: str, error: Exception) -> StackError:
    found = classify(error)
    if "does not exist" in found.reason and found.code == "ValidationError":
        return StackError(
            f"There is no stack {name} in this region and account.",
            f"Check the region (--region, AWS_REGION). To create the stack: {DEPLOY.format(name=name)}",
        )
    advice = remedy(found, "cloudformation:DescribeStacks")
    return StackError(
        f"The stack {name} cannot be read: {found.reason.rstrip('.')}.",
        advice or "Check credentials, --region, and the permission cloudformation:DescribeStacks.",
        aws=True,
    )
