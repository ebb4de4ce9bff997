"""How tasks end on AWS, by name: tasks to come end so, and tasks that live are stopped so, word by word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local.ecs.control import EcsApi
from local.ecs.ends import ENDS
from local.ecs.errors import EmulatorError
from tests.unit.local.ecs.calls import arns, reaches, run_task

STARTED = [name for name, end in ENDS.items() if end.started]
NEVER_STARTED = [name for name, end in ENDS.items() if not end.started]
Start = Callable[..., str]


@pytest.fixture
def launch(client: Any) -> Start:
    return lambda definition="worker": arns(run_task(client, taskDefinition=definition))[0]


def as_told(task: dict[str, Any]) -> tuple[Any, ...]:
    """What a stopped task tells of its end, in the order of `expected`."""
    (container,) = task["containers"]
    return (
        task.get("stopCode"),
        task["stoppedReason"],
        container.get("reason"),
        container.get("exitCode"),
        "startedAt" in task,
    )


def expected(name: str) -> tuple[Any, ...]:
    end = ENDS[name]
    return end.stop_code, end.reason, end.container_reason, end.exit_code, end.started


@pytest.mark.parametrize("name", ENDS)
def test_a_task_to_come_ends_so(ecs: EcsApi, client: Any, launch: Start, name: str) -> None:
    ecs.behave(end=name, run_seconds=0)
    assert as_told(reaches(client, launch())) == expected(name)


@pytest.mark.parametrize("name", STARTED)
def test_a_task_that_runs_is_stopped_so(ecs: EcsApi, client: Any, launch: Start, name: str) -> None:
    arn = launch()
    reaches(client, arn, "RUNNING")
    assert ecs.stop_tasks([arn], name) == 1
    assert as_told(reaches(client, arn)) == expected(name)
    assert ecs.stop_tasks([arn], "stopped_by_user") == 0


@pytest.mark.parametrize("name", NEVER_STARTED)
def test_a_task_that_has_not_started_is_stopped_so(ecs: EcsApi, client: Any, launch: Start, name: str) -> None:
    ecs.configure(start_seconds=60)
    arn = launch()
    assert ecs.stop_tasks([arn], name) == 1
    assert as_told(reaches(client, arn)) == expected(name)


def test_of_a_lost_host_no_container_has_an_exit_code(ecs: EcsApi, client: Any, launch: Start) -> None:
    arn = launch("worker-with-sidecar")
    reaches(client, arn, "RUNNING")
    ecs.stop_tasks([arn], "host_terminated")
    ecs.behave(end="host_terminated", run_seconds=0)
    for stopped in (arn, launch("worker-with-sidecar")):
        assert all("exitCode" not in item for item in reaches(client, stopped)["containers"])


def test_a_spot_task_may_end_in_order(ecs: EcsApi, client: Any, launch: Start) -> None:
    arn = launch()
    reaches(client, arn, "RUNNING")
    ecs.stop_tasks([arn], "spot_interruption", exit_code=0)
    task = reaches(client, arn)
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("SpotInterruption", 0)


def test_the_end_of_a_behaviour_can_be_another_later(ecs: EcsApi, client: Any, launch: Start) -> None:
    ecs.configure(end="pull_not_found", run_seconds=0)
    ecs.configure(end="failed")
    assert as_told(reaches(client, launch())) == expected("failed")


def test_other_fields_go_before_those_of_the_end(ecs: EcsApi, client: Any, launch: Start) -> None:
    ecs.behave(end="out_of_memory", exit_code=9, run_seconds=0)
    (container,) = reaches(client, launch())["containers"]
    assert (container["exitCode"], container["reason"][:16]) == (9, "OutOfMemoryError")


def test_what_makes_no_sense_is_refused(ecs: EcsApi, client: Any, launch: Start) -> None:
    arn = launch()
    reaches(client, arn, "RUNNING")
    with pytest.raises(EmulatorError, match=r"There is no end 'heat'\. There are: succeeded, failed"):
        ecs.stop_tasks([arn], "heat")
    with pytest.raises(EmulatorError, match="There is no end 'heat'"):
        ecs.behave(end="heat")
    with pytest.raises(EmulatorError, match="A task that has started cannot end with pull_not_found"):
        ecs.stop_tasks([arn], "pull_not_found")
    for end, stop_code in ((None, None), ("failed", "UserInitiated"), (None, "UserInitiated")):
        with pytest.raises(EmulatorError, match="needs an end, or a stop_code and a reason"):
            ecs.stop_tasks([arn], end, stop_code=stop_code)
