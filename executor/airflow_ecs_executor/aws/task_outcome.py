"""How an ECS task ended, as far as Airflow is concerned. Pure functions over answers of DescribeTasks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Mapping

from airflow_ecs_executor.aws import hints
from airflow_ecs_executor.aws.wording import without_names


class OutcomeKind(Enum):
    """How an ECS task ended, as far as Airflow is concerned."""

    SUCCEEDED = "succeeded"
    """Our container ended with exit code 0. The state that the Airflow task reported applies."""
    FAILED = "failed"
    """Our container ran and failed: Airflow's retries apply."""
    NEVER_STARTED = "never started"
    """The Airflow task has not run: it is launched again, within the number of attempts."""
    SPOT = "spot"
    """Spot interruption: the task is launched again, within the number of relaunches."""
    INFRASTRUCTURE = "infrastructure"
    """AWS terminated or retired the host: the task is launched again, within the number of relaunches."""
    STOPPED_BY_USER = "stopped by user"
    """Somebody stopped the task before it ran, so it is not launched again."""


@dataclass(frozen=True)
class Outcome(hints.Explained):
    """How an ECS task ended, with a sentence about it for people."""

    kind: OutcomeKind
    reason: str = ""
    exit_code: int | None = None
    has_reason: bool = False
    """The container succeeded, but ECS gives a reason for its end, such as out of memory, or a stop."""
    by_stop_task: bool = False
    """ECS stopped the task because somebody, possibly this executor, called StopTask."""
    temporary: bool = False
    """With NEVER_STARTED: there was no capacity, which a later launch may find."""
    advice: str = ""
    """What a person can do about it, or an empty string."""


# Exit codes of the entrypoint of this project's images: DAGs could not be synced now, or the container was asked to
# stop before its command was started (docs/image-contract.md). No command of Airflow ends with one of them, so they
# have this meaning unless the image is known not to be of this project.
EXITS_BEFORE_THE_COMMAND = frozenset({84, 85})

_BY_ITSELF, _FAILED_TO_START, _STOP_TASK = "EssentialContainerExited", "TaskFailedToStart", "UserInitiated"
_SPOT_WORDING = re.compile(r"\bspot\b.{0,60}interrupt", re.IGNORECASE)
_INFRASTRUCTURE_CODES = ("TerminationNotice", "InfrastructureHealth")
"""Stop codes (botocore, ECS ``TaskStopCode``)."""
_INFRASTRUCTURE_WORDING = re.compile(
    r"Host EC2 \(instance [\w-]+\) (?:terminated|stopped)|performing maintenance|\bretire(?:d|ment)\b"
    r"|container instance.{0,60}(?:terminated|lost|unhealthy)|underlying (?:host|hardware|infrastructure)",
    re.IGNORECASE,
)
"""Source: Amazon ECS Developer Guide, "Stopped tasks error messages"."""


def has_started(task: Mapping[str, Any]) -> bool:
    """Return whether the containers of a described task have started."""
    return bool(task.get("startedAt")) or task.get("lastStatus") == "RUNNING"


def outcome_of(task: Mapping[str, Any], container_name: str, foreign_image: bool = False) -> Outcome | None:
    """Return the outcome of a task that DescribeTasks describes; None while our container runs.

    Sidecars do not count. ECS shows the exit code of our container while it still stops the task (DEPROVISIONING can
    take half a minute), so the outcome is known as soon as the container has ended. If the image is known not to be of
    this project (``foreign_image``), no exit code has a special meaning.
    """
    container = next((item for item in task.get("containers") or () if item.get("name") == container_name), None)
    stopped = task.get("lastStatus") == "STOPPED"
    exit_code = container.get("exitCode") if container else None
    if exit_code is None and not stopped:
        return None
    stop_code = str(task.get("stopCode") or "")
    kind = _kind(task, container, exit_code, stop_code, foreign_image)
    said = "; ".join(str(part) for part in (task.get("stoppedReason"), (container or {}).get("reason")) if part)
    advice = _advice(said, kind, exit_code, stop_code)
    has_reason = exit_code == 0 and (bool(container and container.get("reason")) or stop_code not in ("", _BY_ITSELF))
    return Outcome(
        kind,
        _describe(task, container, container_name, exit_code),
        exit_code,
        has_reason=has_reason,
        by_stop_task=stop_code == _STOP_TASK,
        temporary=kind is OutcomeKind.NEVER_STARTED and exit_code is None and advice.waits,
        advice=advice.text,
    )


def _kind(
    task: Mapping[str, Any],
    container: Mapping[str, Any] | None,
    exit_code: int | None,
    stop_code: str,
    foreign_image: bool,
) -> OutcomeKind:
    if exit_code == 0:
        return OutcomeKind.SUCCEEDED
    by_user = stop_code == _STOP_TASK
    # The caller of StopTask writes the reason, and the reason of a task that could not start may contain its image.
    said = "" if by_user or stop_code == _FAILED_TO_START else without_names(str(task.get("stoppedReason") or ""))
    if stop_code == "SpotInterruption" or _SPOT_WORDING.search(said):
        return OutcomeKind.SPOT
    if stop_code in _INFRASTRUCTURE_CODES or _INFRASTRUCTURE_WORDING.search(said):
        return OutcomeKind.INFRASTRUCTURE
    if exit_code is not None:
        if exit_code not in EXITS_BEFORE_THE_COMMAND or foreign_image:
            return OutcomeKind.FAILED
    elif (container is None and task.get("containers")) or (stop_code != _FAILED_TO_START and has_started(task)):
        return OutcomeKind.FAILED
    return OutcomeKind.STOPPED_BY_USER if by_user else OutcomeKind.NEVER_STARTED


def _advice(said: str, kind: OutcomeKind, exit_code: int | None, stop_code: str) -> hints.Advice:
    """Return advice. Exit codes explain only containers that ended by themselves."""
    if kind is OutcomeKind.SPOT:
        return hints.Advice("")
    if stop_code == _STOP_TASK:
        return hints.Advice("Somebody stopped it: the StopTask event in CloudTrail names who.")
    advice = hints.of_stopped_task(said)
    if not advice.text and exit_code is not None and stop_code in ("", _BY_ITSELF):
        return hints.Advice(hints.EXIT_CODES.get(exit_code, ""))
    return advice


def _describe(task: Mapping[str, Any], container: Mapping[str, Any] | None, name: str, exit_code: int | None) -> str:
    """Return one sentence with everything that ECS says about the end of a task."""
    parts = []
    if task.get("stoppedReason"):
        parts.append(str(task["stoppedReason"]))
    if container is None:
        parts.append(f"the task has no container {name!r}")
    elif container.get("reason"):
        parts.append(str(container["reason"]))
    if exit_code is not None:
        parts.append(f"container {name!r} ended with exit code {exit_code}")
    elif has_started(task):
        parts.append(f"container {name!r} left no exit code")
    else:
        parts.append(f"container {name!r} never started")
    if task.get("stopCode"):
        parts.append(f"stop code {task['stopCode']}")
    return f"{task.get('taskArn', 'The ECS task')}: " + "; ".join(part.rstrip(".") for part in parts) + "."
