"""The outputs of a CloudFormation stack of deploy/template.yaml, for `--stack`."""

from __future__ import annotations

from airflow_ecs_executor.stack import StackError, StackOutputs, read_stack

from images.aws import region_of
from images.errors import AwsError


def outputs_of(stack: str, region: str | None) -> StackOutputs:
    """The outputs of a stack.

    :param region: None: as configured for the AWS SDK.
    :raises AwsError: there is no such stack, or its outputs cannot be read.
    """
    try:
        return read_stack(stack, region_of(region))
    except StackError as error:
        raise AwsError(error.message, error.remedy) from None
