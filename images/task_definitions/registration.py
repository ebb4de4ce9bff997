"""Task definitions of Amazon ECS: the newest revision of a family, and a new one."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

from airflow_ecs_executor.aws.errors import classify
from botocore.exceptions import ParamValidationError

from images import aws
from images.errors import AwsError, InputError
from images.task_definitions.definition import Document, normalised

_PASS_ROLE = "iam:PassRole"
_CONCURRENT = "Too many concurrent attempts to create a new revision"
_PAUSES = (1, 2, 4, 8, 16)
"""Longest pauses in seconds before a family is registered again."""


@dataclass(frozen=True)
class Registered:
    """A registered revision, and the document to compare."""

    arn: str
    document: Document

    @property
    def name(self) -> str:
        """Return ``family:revision``."""
        return self.arn.rpartition("/")[2]


def newest(client: Any, family: str) -> Registered | None:
    """Return the newest ACTIVE revision of a family, or None if there is none. Raises AwsError."""
    try:
        answer = client.describe_task_definition(taskDefinition=family, include=["TAGS"])
    except aws.CALL_ERRORS as error:
        if classify(error).code == "ClientException":  # "Unable to describe task definition."
            return None
        raise aws.failed(
            f"The task definition {family} could not be described", error, "ecs:DescribeTaskDefinition"
        ) from error
    found = answer["taskDefinition"]
    return Registered(str(found["taskDefinitionArn"]), normalised(found, answer.get("tags") or ()))


def validate(client: Any, document: Document) -> None:
    """Raise InputError for a member that ECS's API does not have, or not of this type: it came from a sidecar."""
    from botocore.validate import validate_parameters

    shape = client.meta.service_model.operation_model("RegisterTaskDefinition").input_shape
    try:
        validate_parameters(document, shape)
    except ParamValidationError as error:
        raise InputError(f"ECS would refuse this task definition. {error}") from None


def register(client: Any, document: Document) -> str:
    """Register a revision, and return its ARN. Raises AwsError.

    ECS refuses it while another revision of the family is being created, and the SDK does not retry
    (hashicorp/terraform-provider-aws#9777).
    """
    pauses = iter(_PAUSES)
    while True:
        try:
            answer = client.register_task_definition(**document)
        except aws.CALL_ERRORS as error:
            pause = next(pauses, None) if _CONCURRENT in str(error) else None
            if pause is None:
                raise explained(document, error) from error
            time.sleep(random.uniform(0.5, 1) * pause)
        else:
            return str(answer["taskDefinition"]["taskDefinitionArn"])


def explained(document: Document, error: Exception) -> AwsError:
    """Return the error for a registration that failed."""
    found = classify(error)
    failure = aws.failed(f"{document['family']} could not be registered", error, "ecs:RegisterTaskDefinition")
    roles = ", ".join(document[key] for key in ("executionRoleArn", "taskRoleArn") if key in document)
    if found.denied and (found.action == _PASS_ROLE or "PassRole" in found.reason):
        failure.hint = (
            f"Registering a task definition passes its roles to ECS: allow {_PASS_ROLE} on {roles} "
            "(condition iam:PassedToService: ecs-tasks.amazonaws.com)."
        )
    elif found.denied and found.action == "ecs:TagResource":
        failure.hint = "Allow ecs:TagResource on the task definition: it is registered with tags."
    elif _CONCURRENT in found.reason:
        failure.hint = "Other processes keep registering this family: run one of them at a time, then try again."
    elif found.code == "ClientException" and "role" in found.reason.lower():
        failure.hint = f"Check that the roles exist in this account and trust ecs-tasks.amazonaws.com: {roles}."
    return failure
