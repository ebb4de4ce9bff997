"""How tasks live and end: states, exit codes, stops, reasons."""

from __future__ import annotations

import time

import pytest

from local.machine.waiting import until
from tests.local.conftest import Tasks, ends, python, shell

IGNORES_SIGTERM = shell("trap '' TERM; echo ready; while :; do sleep 0.2; done")
EXITS_ON_SIGTERM = shell("trap 'exit 143' TERM; echo ready; while :; do sleep 0.1; done")
OUT_OF_MEMORY = (137, "OutOfMemoryError: Container killed due to memory usage")


def allocates(megabytes: int) -> list[str]:
    """A command that takes so much memory."""
    return python(f"x = b'a' * {megabytes}_000_000")


def test_latencies_are_those_that_were_asked_for(tasks: Tasks) -> None:
    tasks.aws.ecs.configure(placement_seconds=0.5, pull_seconds=0.7, deprovision_seconds=0.3)
    task = tasks.finish(tasks.container())
    placed = (task["pullStartedAt"] - task["createdAt"]).total_seconds()
    pulled = (task["pullStoppedAt"] - task["pullStartedAt"]).total_seconds()
    given_back = (task["stoppedAt"] - task["executionStoppedAt"]).total_seconds()
    assert placed >= 0.5 and pulled >= 0.7 and given_back >= 0.3


@pytest.mark.parametrize("code", [0, 7])
def test_the_exit_code_is_that_of_the_program(tasks: Tasks, code: int) -> None:
    task = tasks.finish(tasks.container(shell(f"exit {code}")))
    assert ends(task) == {"main": (code, None)}
    stop = (task["stopCode"], task["stoppedReason"])
    assert stop == ("EssentialContainerExited", "Essential container in task exited")


def test_a_container_is_killed_at_its_own_memory_limit(tasks: Tasks) -> None:
    task = tasks.finish(tasks.container(allocates(200), memory=64))
    assert ends(task) == {"main": OUT_OF_MEMORY}
    assert task["stopCode"] == "EssentialContainerExited"


@pytest.mark.parametrize(("megabytes", "end"), [(200, (0, None)), (600, OUT_OF_MEMORY)])
def test_without_a_memory_limit_of_its_own_a_container_is_killed_at_the_task_s(
    tasks: Tasks, megabytes: int, end: tuple[int, str | None]
) -> None:
    assert ends(tasks.finish(tasks.container(allocates(megabytes)), memory="512")) == {"main": end}


class TestStops:
    def test_a_program_that_ends_on_sigterm_is_given_the_time(self, tasks: Tasks) -> None:
        arn = tasks.start(tasks.container(EXITS_ON_SIGTERM, stopTimeout=30))
        until(lambda: "ready" in tasks.lines(arn), 20, "it is ready", pause=0.05)
        began = time.monotonic()
        task = tasks.stop(arn)
        assert time.monotonic() - began < 30, "it has not to use up its stop timeout"
        assert ends(task) == {"main": (143, None)}
        assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")

    def test_one_that_does_not_is_killed_after_its_stop_timeout(self, tasks: Tasks) -> None:
        arn = tasks.start(tasks.container(IGNORES_SIGTERM, stopTimeout=2))
        until(lambda: "ready" in tasks.lines(arn), 20, "it is ready", pause=0.05)
        began = time.monotonic()
        task = tasks.stop(arn)
        assert time.monotonic() - began >= 2
        assert ends(task) == {"main": (137, None)}

    def test_spot_interrupts_with_aws_s_words(self, tasks: Tasks) -> None:
        arn = tasks.start(tasks.container(["sleep", "60"], linuxParameters={"initProcessEnabled": True}))
        reason = "Your Spot Task was interrupted."
        assert tasks.aws.ecs.stop_tasks([arn], stop_code="SpotInterruption", reason=reason) == 1
        task = tasks.wait(arn)
        assert (task["stopCode"], task["stoppedReason"]) == ("SpotInterruption", reason)
        assert ends(task) == {"main": (143, None)}

    @pytest.mark.parametrize(("latency", "state"), [("placement_seconds", "PROVISIONING"), ("pull_seconds", "PENDING")])
    def test_a_task_that_does_not_run_yet_ends_at_once(self, tasks: Tasks, latency: str, state: str) -> None:
        tasks.aws.ecs.configure(**{latency: 30})
        arn = tasks.start(tasks.container(), until=state)
        began = time.monotonic()
        task = tasks.stop(arn)
        assert time.monotonic() - began < 30, "it has not to be placed or pulled before it can end"
        assert ends(task) == {"main": (None, None)} and "startedAt" not in task
        assert task["stopCode"] == "UserInitiated"
        assert tasks.left(arn) == []

    def test_at_whatever_moment_it_comes_nothing_is_left(self, tasks: Tasks) -> None:
        family = tasks.define(tasks.container(["sleep", "60"], stopTimeout=2))
        arns = []
        for number in range(8):
            (arn,) = tasks.run(family)
            time.sleep(number * 0.08)
            tasks.ecs.stop_task(cluster="airflow", task=arn)
            arns.append(arn)
        assert {tasks.wait(arn)["stopCode"] for arn in arns} == {"UserInitiated"}
        assert [left for arn in arns for left in tasks.left(arn)] == []


class TestFailuresToStart:
    @pytest.mark.parametrize("image", ["airflow-worker:missing", "nothing/here:1"])
    def test_an_image_that_is_not_there(self, tasks: Tasks, image: str) -> None:
        name = f"{tasks.image.partition('/')[0]}/{image}"
        task = tasks.finish(tasks.container(image=name))
        assert task["stopCode"] == "TaskFailedToStart"
        assert task["stoppedReason"] == (
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
            f"{name}: {name}: not found"
        )
        assert ends(task) == {"main": (None, None)}

    def test_a_secret_that_is_not_there(self, tasks: Tasks) -> None:
        arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:missing-abcdef"
        task = tasks.finish(tasks.container(secrets=[{"name": "KEY", "valueFrom": arn}]))
        assert task["stopCode"] == "TaskFailedToStart"
        assert task["stoppedReason"].startswith(
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
            f"failed: unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch "
            f"secret {arn} from secrets manager: ResourceNotFoundException: "
        )

    def test_a_log_group_that_is_not_there(self, tasks: Tasks) -> None:
        options = {"awslogs-group": "/missing", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "task"}
        task = tasks.finish(tasks.container(logConfiguration={"logDriver": "awslogs", "options": options}))
        assert task["stopCode"] == "TaskFailedToStart"
        assert task["stoppedReason"] == (
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
            "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not "
            "exist. : exit status 1"
        )

    def test_a_command_that_is_not_there(self, tasks: Tasks) -> None:
        task = tasks.finish(tasks.container(["/nothing/here"]))
        assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", "Task failed to start")
        code, reason = ends(task)["main"]
        assert code is None and reason is not None
        assert reason.startswith("CannotStartContainerError: Error response from daemon: ")
        assert '"/nothing/here": stat /nothing/here: no such file or directory' in reason


def test_many_tasks_at_once_all_end_well(tasks: Tasks) -> None:
    family = tasks.define(tasks.container(shell("echo done")))
    arns = [arn for _ in range(2) for arn in tasks.run(family, count=8)]
    found = [tasks.wait(arn) for arn in arns]
    assert [ends(task)["main"] for task in found] == [(0, None)] * 16
    assert [tasks.lines(task) for task in found] == [["done"]] * 16
