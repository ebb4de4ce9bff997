"""What an answer of ECS means, and what is said about it."""

from __future__ import annotations

import datetime
from typing import Any

import botocore.exceptions as b
import pytest
from airflow_ecs_executor.failures import Ending, Trouble, classify, has_started, hint, verdict, with_hint

DENIED = "User: arn:aws:sts::1:assumed-role/s/i is not authorized to perform: {} on resource: x"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


def client_error(code: str, message: str = "", status: int = 400, **more: Any) -> b.ClientError:
    response: dict[str, Any] = {"Error": {"Code": code, "Message": message}}
    response["ResponseMetadata"] = {"HTTPStatusCode": status}
    response.update(more)
    return b.ClientError(response, "RunTask")


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (client_error("ThrottlingException", "Rate exceeded"), Trouble.THROTTLED),
        (client_error("InvalidParameterException", "Error calling EC2: Rate exceeded"), Trouble.THROTTLED),
        (client_error("ClientException", "Too many requests"), Trouble.THROTTLED),
        (client_error("RequestLimitExceeded"), Trouble.THROTTLED),
        (client_error("ExpiredTokenException", "The security token is expired"), Trouble.CREDENTIALS),
        (client_error("UnrecognizedClientException"), Trouble.CREDENTIALS),
        (client_error("InvalidClientTokenId"), Trouble.CREDENTIALS),
        (b.NoCredentialsError(), Trouble.CREDENTIALS),
        (b.PartialCredentialsError(provider="env", cred_var="x"), Trouble.CREDENTIALS),
        (b.CredentialRetrievalError(provider="x", error_msg="y"), Trouble.CREDENTIALS),
        (b.TokenRetrievalError(provider="x", error_msg="y"), Trouble.CREDENTIALS),
        (client_error("AccessDeniedException", DENIED.format("ecs:RunTask")), Trouble.HOPELESS),
        (client_error("AccessDeniedException", DENIED.format("ecs:TagResource")), Trouble.TAGGING_DENIED),
        (client_error("ClusterNotFoundException", "Cluster not found."), Trouble.HOPELESS),
        (client_error("ClientException", "TaskDefinition not found."), Trouble.HOPELESS),
        (client_error("ClientException", "TaskDefinition is inactive"), Trouble.HOPELESS),
        (
            client_error("InvalidParameterException", "Container overrides length must be at most 8192"),
            Trouble.HOPELESS,
        ),
        (
            client_error("InvalidParameterException", "No Container Instances were found in your cluster."),
            Trouble.CAPACITY,
        ),
        (client_error("LimitExceededException", "You've reached the limit"), Trouble.CAPACITY),
        (client_error("ServerException", "Service Unavailable", 500), Trouble.SERVER),
        (client_error("SomethingNew", "?", 503), Trouble.SERVER),
        (client_error("ConflictException", "token in use"), Trouble.CONFLICT),
        (b.EndpointConnectionError(endpoint_url="http://x"), Trouble.UNANSWERED),
        (b.ConnectTimeoutError(endpoint_url="http://x"), Trouble.UNANSWERED),
        (b.ReadTimeoutError(endpoint_url="http://x"), Trouble.UNANSWERED),
        (b.ConnectionClosedError(endpoint_url="http://x"), Trouble.UNANSWERED),
        (OSError("network is down"), Trouble.UNANSWERED),
        (b.ParamValidationError(report="Unknown parameter"), Trouble.HOPELESS),
        (ValueError("?"), Trouble.HOPELESS),
    ],
)
def test_each_error_has_its_kind_of_trouble(error: Exception, trouble: Trouble) -> None:
    assert classify(error).trouble is trouble


def test_a_denial_names_the_action() -> None:
    assert classify(client_error("AccessDeniedException", DENIED.format("iam:PassRole"))).action == "iam:PassRole"


def test_a_conflict_names_the_tasks_that_the_token_started() -> None:
    error = classify(client_error("ConflictException", "in use", resourceIds=["arn:task"]))
    assert error.resource_ids == ("arn:task",)


def described(
    status: str = "STOPPED",
    exit_code: int | None = None,
    stop_code: str | None = None,
    started: bool = True,
    container_reason: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "airflow", "lastStatus": status}
    if exit_code is not None:
        container["exitCode"] = exit_code
    if container_reason is not None:
        container["reason"] = container_reason
    task: dict[str, Any] = {"taskArn": "arn:task", "lastStatus": status, "containers": [container]}
    if stop_code is not None:
        task["stopCode"] = stop_code
    if started:
        task["startedAt"] = datetime.datetime(2026, 1, 1)
    task.update(more)
    return task


@pytest.mark.parametrize("status", ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING"])
def test_a_task_whose_container_has_not_ended_goes_on(status: str) -> None:
    assert verdict(described(status), "airflow") is None


def test_the_end_is_seen_as_soon_as_the_container_has_an_exit_code() -> None:
    end = verdict(described("DEPROVISIONING", 0, "EssentialContainerExited"), "airflow")
    assert end is not None and end.ending is Ending.SUCCEEDED


@pytest.mark.parametrize(
    ("task", "ending"),
    [
        (described(exit_code=0), Ending.SUCCEEDED),
        (described(exit_code=1), Ending.FAILED),
        (described(exit_code=137, stop_code="EssentialContainerExited"), Ending.FAILED),
        (described(exit_code=143, stop_code="UserInitiated"), Ending.FAILED),
        (described(exit_code=143, stop_code="SpotInterruption"), Ending.SPOT),
        (described(exit_code=143, stop_code="TerminationNotice"), Ending.SPOT),
        (described(exit_code=0, stop_code="SpotInterruption"), Ending.SUCCEEDED),
        (described(stop_code="SpotInterruption", started=False), Ending.SPOT),
        (described(exit_code=143, stoppedReason="Your Spot Task was interrupted."), Ending.SPOT),
        (described(exit_code=80), Ending.FAILED),
        (described(exit_code=84), Ending.NEVER_STARTED),
        (described(exit_code=85), Ending.NEVER_STARTED),
        (described(exit_code=85, stop_code="UserInitiated"), Ending.STOPPED_BY_USER),
        (described(exit_code=85, stop_code="SpotInterruption"), Ending.SPOT),
        (described(stop_code="TaskFailedToStart", started=False), Ending.NEVER_STARTED),
        (described(stop_code="TaskFailedToStart"), Ending.NEVER_STARTED),
        (described(started=False), Ending.NEVER_STARTED),
        (described(), Ending.FAILED),
        (described(stop_code="InfrastructureHealth"), Ending.FAILED),
        (described(stop_code="UserInitiated", started=False), Ending.STOPPED_BY_USER),
        (described(containers=[]), Ending.FAILED),
        (described(containers=[], started=False, stop_code="TaskFailedToStart"), Ending.NEVER_STARTED),
    ],
)
def test_a_stopped_task_is_judged(task: dict[str, Any], ending: Ending) -> None:
    end = verdict(task, "airflow")
    assert end is not None and end.ending is ending


@pytest.mark.parametrize(
    ("task", "remarkable"),
    [
        (described(exit_code=0, stop_code="EssentialContainerExited"), False),
        (described(exit_code=0), False),
        (described(exit_code=0, stop_code="UserInitiated"), True),
        (described(exit_code=0, stop_code="SpotInterruption"), True),
        (described(exit_code=0, stop_code="EssentialContainerExited", container_reason=OUT_OF_MEMORY), True),
        (described("DEPROVISIONING", 0, container_reason=OUT_OF_MEMORY), True),
    ],
)
def test_a_container_that_left_in_order_but_not_by_itself_is_told_of(task: dict[str, Any], remarkable: bool) -> None:
    end = verdict(task, "airflow")
    assert end is not None and end.ending is Ending.SUCCEEDED
    assert end.remarkable is remarkable


def test_a_task_s_process_that_was_killed_for_want_of_memory_is_told_of_with_advice() -> None:
    """Airflow's own process survives that of the task, reports its end, and exits with 0."""
    end = verdict(described(exit_code=0, container_reason=OUT_OF_MEMORY), "airflow")
    assert end is not None
    told = with_hint(end.reason)
    assert OUT_OF_MEMORY in told and "raise `memory`" in told


def test_row_7_a_sidecar_s_exit_code_does_not_count() -> None:
    task = described(exit_code=0)
    task["containers"].insert(0, {"name": "sidecar", "exitCode": 1})
    end = verdict(task, "airflow")
    assert end is not None and end.ending is Ending.SUCCEEDED


def test_a_task_without_our_container_has_failed_and_says_so() -> None:
    end = verdict(described(exit_code=0), "worker")
    assert end is not None and end.ending is Ending.FAILED and "no container 'worker'" in end.reason


@pytest.mark.parametrize("code", [84, 85])
def test_a_reserved_exit_code_of_a_foreign_image_is_just_an_exit_code(code: int) -> None:
    end = verdict(described(exit_code=code), "airflow", foreign_image=True)
    assert end is not None and end.ending is Ending.FAILED


def test_the_reason_says_all_that_ecs_says() -> None:
    task = described(
        exit_code=137,
        stop_code="EssentialContainerExited",
        container_reason=OUT_OF_MEMORY,
        stoppedReason="Essential container exited",
    )
    end = verdict(task, "airflow")
    assert end is not None
    for part in ("arn:task", "Essential container exited", "OutOfMemoryError", "137", "EssentialContainerExited"):
        assert part in end.reason


@pytest.mark.parametrize("status", [{"startedAt": 1}, {"lastStatus": "RUNNING"}])
def test_a_task_has_started(status: dict[str, Any]) -> None:
    assert has_started(status)


@pytest.mark.parametrize(
    ("reason", "exit_code", "word"),
    [
        (OUT_OF_MEMORY, 137, "memory"),
        ("CannotPullContainerError: pull image manifest has been retried 5 time(s): not found", None, "image"),
        ("ResourceInitializationError: unable to pull secrets or registry auth", None, "execution role"),
        ("ResourceInitializationError: failed to validate logger args: log group", None, "log"),
        ("ResourceInitializationError: dial tcp 10.0.0.1:443: i/o timeout", None, "subnet"),
        ("ECS did not start the task: RESOURCE:ENI", None, "network interface"),
        ("ECS did not start the task: RESOURCE:MEMORY", None, "instances"),
        ("Capacity is unavailable at this time.", None, "capacity"),
        ("You've reached the limit on the number of tasks", None, "quota"),
        ("CannotStartContainerError: exec format error", None, "architecture"),
        ("TaskDefinition is inactive", None, "task definition"),
        (DENIED.format("iam:PassRole"), None, "iam:PassRole"),
        ("x", 127, "not found"),
        ("x", 137, "killed"),
        ("x", 83, "build the image"),
    ],
)
def test_a_failure_comes_with_what_helps(reason: str, exit_code: int | None, word: str) -> None:
    assert word in hint(reason, exit_code)


def test_what_is_not_known_gets_no_hint() -> None:
    assert with_hint("Something new.", 42) == "Something new."
