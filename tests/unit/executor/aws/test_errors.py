"""What a failed call means. `tests/phrasebook` has AWS's own messages; these are the rules."""

from __future__ import annotations

from typing import Any

import botocore.exceptions as b
import pytest
from airflow_ecs_executor.aws.errors import ErrorKind, classify, not_started

DENIED = "User: arn:aws:sts::1:assumed-role/s/i is not authorized to perform: {} on resource: x"


def client_error(code: str, message: str = "", status: int = 400, **more: Any) -> b.ClientError:
    response: dict[str, Any] = {"Error": {"Code": code, "Message": message}}
    response["ResponseMetadata"] = {"HTTPStatusCode": status}
    response.update(more)
    return b.ClientError(response, "RunTask")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (client_error("ThrottlingException", "Rate exceeded"), ErrorKind.THROTTLED),
        (client_error("InvalidParameterException", "Error calling EC2: Rate exceeded"), ErrorKind.THROTTLED),
        (client_error("ClientException", "Too many requests"), ErrorKind.THROTTLED),
        (client_error("RequestLimitExceeded"), ErrorKind.THROTTLED),
        (client_error("ClientException", "No. (ErrorCode: RequestThrottled)"), ErrorKind.THROTTLED),
        (
            client_error("ClientException", "No. (Service: AmazonEC2; Error Code: Client.Throttling)"),
            ErrorKind.THROTTLED,
        ),
        (client_error("InvalidParameterException", "No. (ErrorCode: InternalError)"), ErrorKind.SERVER),
        (client_error("ExpiredTokenException", "The security token is expired"), ErrorKind.CREDENTIALS),
        (client_error("UnrecognizedClientException"), ErrorKind.CREDENTIALS),
        (client_error("InvalidClientTokenId"), ErrorKind.CREDENTIALS),
        (b.NoCredentialsError(), ErrorKind.CREDENTIALS),
        (b.PartialCredentialsError(provider="env", cred_var="x"), ErrorKind.CREDENTIALS),
        (b.CredentialRetrievalError(provider="x", error_msg="y"), ErrorKind.CREDENTIALS),
        (b.TokenRetrievalError(provider="x", error_msg="y"), ErrorKind.CREDENTIALS),
        (client_error("AccessDeniedException", DENIED.format("ecs:RunTask")), ErrorKind.PERMANENT),
        (client_error("AccessDeniedException", DENIED.format("ecs:TagResource")), ErrorKind.TAGGING_DENIED),
        (client_error("ClusterNotFoundException", "Cluster not found."), ErrorKind.PERMANENT),
        (client_error("ClientException", "TaskDefinition not found."), ErrorKind.PERMANENT),
        (client_error("ClientException", "TaskDefinition is inactive"), ErrorKind.PERMANENT),
        (
            client_error("InvalidParameterException", "Container overrides length must be at most 8192"),
            ErrorKind.PERMANENT,
        ),
        (
            client_error("InvalidParameterException", "No Container Instances were found in your cluster."),
            ErrorKind.CAPACITY,
        ),
        (client_error("LimitExceededException", "You've reached the limit"), ErrorKind.CAPACITY),
        (client_error("ServerException", "Service Unavailable", 500), ErrorKind.SERVER),
        (client_error("SomethingNew", "?", 503), ErrorKind.SERVER),
        (client_error("ConflictException", "token in use"), ErrorKind.CONFLICT),
        (b.EndpointConnectionError(endpoint_url="http://x"), ErrorKind.OUTCOME_UNKNOWN),
        (b.ConnectTimeoutError(endpoint_url="http://x"), ErrorKind.OUTCOME_UNKNOWN),
        (b.ReadTimeoutError(endpoint_url="http://x"), ErrorKind.OUTCOME_UNKNOWN),
        (b.ConnectionClosedError(endpoint_url="http://x"), ErrorKind.OUTCOME_UNKNOWN),
        (OSError("network is down"), ErrorKind.OUTCOME_UNKNOWN),
        (b.ParamValidationError(report="Unknown parameter"), ErrorKind.PERMANENT),
        (ValueError("?"), ErrorKind.PERMANENT),
    ],
)
def test_each_error_has_its_kind_of_trouble(error: Exception, kind: ErrorKind) -> None:
    assert classify(error).kind is kind


def test_a_denial_names_the_action() -> None:
    assert classify(client_error("AccessDeniedException", DENIED.format("iam:PassRole"))).action == "iam:PassRole"


def test_a_conflict_names_the_tasks_that_the_token_started() -> None:
    error = classify(client_error("ConflictException", "in use", resourceIds=["arn:task"]))
    assert error.resource_ids == ("arn:task",)


def test_a_denial_is_one_whatever_the_names_in_it_say() -> None:
    error = classify(client_error("AccessDeniedException", DENIED.format("ecs:RunTask") + "/throttled-quota"))
    assert error.denied and error.kind is ErrorKind.PERMANENT


@pytest.mark.parametrize(
    ("error", "unknown"),
    [
        (client_error("ThrottlingException", "Rate exceeded"), False),
        (client_error("ThrottlingException", "Rate exceeded", 503), True),
        (client_error("ServerException", "Service Unavailable", 500), True),
        (b.ReadTimeoutError(endpoint_url="http://x"), True),
        (client_error("ClientException", "TaskDefinition is inactive"), False),
    ],
)
def test_a_call_that_may_have_been_carried_out_is_known_as_such(error: Exception, unknown: bool) -> None:
    assert classify(error).outcome_unknown is unknown


@pytest.mark.parametrize(
    ("reason", "temporary"),
    [("RESOURCE:MEMORY", True), ("AGENT", True), ("Internal error.", True), ("ATTRIBUTE", False), ("MISSING", False)],
)
def test_room_may_come_where_run_task_said_that_there_is_none(reason: str, temporary: bool) -> None:
    answer = not_started([{"reason": reason, "detail": "more"}])
    assert answer.temporary is temporary
    assert f"{reason} (more)" in answer.reason


@pytest.mark.parametrize(
    "message",
    [
        "Override for container named agent is not a container in the TaskDefinition.",
        "The specified capacity provider agent was not found.",
        "The capacity provider foo does not exist",
        "The security group 'sg-throttle' does not exist",
        "Invalid parameter: s3://quota-reports/capacity is not known",
    ],
)
def test_what_users_have_named_is_no_reason_to_wait(message: str) -> None:
    assert classify(client_error("InvalidParameterException", message)).kind is ErrorKind.PERMANENT
    assert not not_started([{"reason": message}, {"reason": "ATTRIBUTE", "detail": "ecs.capability.AGENT"}]).temporary


def test_an_answer_without_task_and_reason_says_so() -> None:
    assert not_started([]).explanation == "ECS did not start the task: the answer names no task and no reason"
