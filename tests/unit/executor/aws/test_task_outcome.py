"""How an ECS task ended. `tests/phrasebook` has AWS's own messages; these are the rules."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from airflow_ecs_executor.aws.task_outcome import Outcome, OutcomeKind, has_started, outcome_of

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
MAINTENANCE = "ECS is performing maintenance on the underlying infrastructure hosting the task"


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


def outcome(task: dict[str, Any], container_name: str = "airflow", foreign_image: bool = False) -> Outcome:
    found = outcome_of(task, container_name, foreign_image)
    assert found is not None
    return found


@pytest.mark.parametrize("status", ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING"])
def test_a_task_whose_container_has_not_ended_goes_on(status: str) -> None:
    assert outcome_of(described(status), "airflow") is None


def test_the_end_is_seen_as_soon_as_the_container_has_an_exit_code() -> None:
    assert outcome(described("DEPROVISIONING", 0, "EssentialContainerExited")).kind is OutcomeKind.SUCCEEDED


@pytest.mark.parametrize(
    ("task", "ending"),
    [
        (described(exit_code=0), OutcomeKind.SUCCEEDED),
        (described(exit_code=1), OutcomeKind.FAILED),
        (described(exit_code=137, stop_code="EssentialContainerExited"), OutcomeKind.FAILED),
        (described(exit_code=143, stop_code="UserInitiated"), OutcomeKind.FAILED),
        (described(exit_code=143, stop_code="SpotInterruption"), OutcomeKind.SPOT),
        (described(exit_code=137, stop_code="TerminationNotice"), OutcomeKind.INFRASTRUCTURE),
        (described(exit_code=0, stop_code="SpotInterruption"), OutcomeKind.SUCCEEDED),
        (described(stop_code="SpotInterruption", started=False), OutcomeKind.SPOT),
        (described(exit_code=143, stoppedReason="Your Spot Task was interrupted."), OutcomeKind.SPOT),
        (described(exit_code=80), OutcomeKind.FAILED),
        (described(exit_code=84), OutcomeKind.NEVER_STARTED),
        (described(exit_code=85), OutcomeKind.NEVER_STARTED),
        (described(exit_code=85, stop_code="UserInitiated"), OutcomeKind.STOPPED_BY_USER),
        (described(exit_code=85, stop_code="SpotInterruption"), OutcomeKind.SPOT),
        (described(stop_code="TaskFailedToStart", started=False), OutcomeKind.NEVER_STARTED),
        (described(stop_code="TaskFailedToStart"), OutcomeKind.NEVER_STARTED),
        (described(started=False), OutcomeKind.NEVER_STARTED),
        (described(), OutcomeKind.FAILED),
        (described(stop_code="InfrastructureHealth"), OutcomeKind.INFRASTRUCTURE),
        (described(stop_code="InfrastructureHealth", started=False), OutcomeKind.INFRASTRUCTURE),
        (described(stoppedReason="Host EC2 (instance i-0123456789abcdef0) terminated."), OutcomeKind.INFRASTRUCTURE),
        (described(exit_code=137, stoppedReason=MAINTENANCE), OutcomeKind.INFRASTRUCTURE),
        (described(exit_code=0, stoppedReason=MAINTENANCE), OutcomeKind.SUCCEEDED),
        (described(stop_code="UserInitiated", started=False), OutcomeKind.STOPPED_BY_USER),
        (described(containers=[]), OutcomeKind.FAILED),
        (described(containers=[], started=False, stop_code="TaskFailedToStart"), OutcomeKind.NEVER_STARTED),
    ],
)
def test_a_stopped_task_is_judged(task: dict[str, Any], ending: OutcomeKind) -> None:
    assert outcome(task).kind is ending


@pytest.mark.parametrize(
    ("stop_code", "reason"),
    [
        ("UserInitiated", "stopped for the retirement of the old cluster"),
        ("UserInitiated", "performing maintenance on our database"),
        ("UserInitiated", "the spot price interrupts us"),
        ("TaskFailedToStart", "CannotPullContainerError: docker.io/acme/retirement:1: not found"),
    ],
)
def test_a_reason_that_somebody_typed_or_a_name_in_one_is_not_aws_s(stop_code: str, reason: str) -> None:
    end = outcome(described(started=False, stop_code=stop_code, stoppedReason=reason))
    assert end.kind in (OutcomeKind.STOPPED_BY_USER, OutcomeKind.NEVER_STARTED)


def test_a_container_that_ended_early_by_itself_is_no_lack_of_room() -> None:
    end = outcome(described(exit_code=84, stoppedReason="Capacity is unavailable at this time."))
    assert end.kind is OutcomeKind.NEVER_STARTED and not end.temporary


@pytest.mark.parametrize(
    ("task", "has_reason"),
    [
        (described(exit_code=0, stop_code="EssentialContainerExited"), False),
        (described(exit_code=0), False),
        (described(exit_code=0, stop_code="UserInitiated"), True),
        (described(exit_code=0, stop_code="SpotInterruption"), True),
        (described(exit_code=0, stop_code="EssentialContainerExited", container_reason=OUT_OF_MEMORY), True),
        (described("DEPROVISIONING", 0, container_reason=OUT_OF_MEMORY), True),
    ],
)
def test_a_container_that_left_in_order_but_not_by_itself_is_told_of(task: dict[str, Any], has_reason: bool) -> None:
    end = outcome(task)
    assert end.kind is OutcomeKind.SUCCEEDED and end.has_reason is has_reason
    assert end.by_stop_task is (task.get("stopCode") == "UserInitiated")


def test_a_task_s_process_that_was_killed_for_want_of_memory_is_told_of_with_advice() -> None:
    """Airflow's own process survives that of the task, reports its end, and exits with 0."""
    end = outcome(described(exit_code=0, container_reason=OUT_OF_MEMORY))
    assert OUT_OF_MEMORY in end.explanation and "raise `memory`" in end.explanation


def test_row_7_a_sidecar_s_exit_code_does_not_count() -> None:
    task = described(exit_code=0)
    task["containers"].insert(0, {"name": "sidecar", "exitCode": 1})
    assert outcome(task).kind is OutcomeKind.SUCCEEDED


def test_a_task_without_our_container_has_failed_and_says_so() -> None:
    end = outcome(described(exit_code=0), "worker")
    assert end.kind is OutcomeKind.FAILED and "no container 'worker'" in end.reason


@pytest.mark.parametrize("code", [84, 85])
def test_a_reserved_exit_code_of_a_foreign_image_is_just_an_exit_code(code: int) -> None:
    assert outcome(described(exit_code=code), foreign_image=True).kind is OutcomeKind.FAILED


def test_row_8_a_container_without_exit_code_is_said_to_have_left_none() -> None:
    reason = outcome(described(stoppedReason="Something new.")).reason
    assert "Something new" in reason and "left no exit code" in reason


def test_the_reason_says_all_that_ecs_says() -> None:
    task = described(
        exit_code=137,
        stop_code="EssentialContainerExited",
        container_reason=OUT_OF_MEMORY,
        stoppedReason="Essential container exited",
    )
    end = outcome(task)
    for part in ("arn:task", "Essential container exited", "OutOfMemoryError", "137", "EssentialContainerExited"):
        assert part in end.reason


@pytest.mark.parametrize("status", [{"startedAt": 1}, {"lastStatus": "RUNNING"}])
def test_a_task_has_started(status: dict[str, Any]) -> None:
    assert has_started(status)


@pytest.mark.parametrize(
    ("task", "advice"),
    [
        (described(exit_code=137, stop_code="EssentialContainerExited"), "killed"),
        (described(exit_code=127), "not found"),
        (described(exit_code=137, stop_code="UserInitiated", stoppedReason="Task stopped by user"), "CloudTrail"),
        (described(exit_code=137, stoppedReason=MAINTENANCE), "maintenance"),
        (described(exit_code=42, stoppedReason="Something new."), ""),
    ],
)
def test_an_exit_code_explains_only_a_container_that_ended_by_itself(task: dict[str, Any], advice: str) -> None:
    end = outcome(task)
    assert advice in end.advice if advice else not end.advice
    assert ("stopTimeout" in end.advice) is (advice == "killed")
