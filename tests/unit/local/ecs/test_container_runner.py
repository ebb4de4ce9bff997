"""The runner on Docker, as far as it needs no engine: settings, latencies, reasons, changes that are not given up."""

from __future__ import annotations

import asyncio

import pytest

from local.ecs.containers.engine import uninterrupted
from local.ecs.containers.runner import (
    ContainerRunner,
    Latency,
    Settings,
    pull_failure,
)
from local.ecs.errors import EmulatorError

SETTINGS = Settings("network", "127.0.0.1:5000", "image", {}, "us-east-1")


class TestLatencies:
    def test_of_another_name_are_refused_with_the_names_there_are(self) -> None:
        with pytest.raises(EmulatorError, match=r"'run_seconds'.*deprovision_seconds, placement_seconds, pull_seconds"):
            Latency().changed({"run_seconds": 1})

    def test_are_those_of_all_tasks(self) -> None:
        with pytest.raises(EmulatorError, match="without match and times"):
            ContainerRunner(SETTINGS).behave("x", None, {"pull_seconds": 1})


@pytest.mark.parametrize(
    ("message", "end"),
    [
        ("manifest for x/worker:1 not found: manifest unknown: manifest unknown", "x/worker:1: not found"),
        ("name unknown: repository name not known to registry", "x/worker:1: not found"),
        ("Get https://x/v2/: dial tcp: i/o timeout", "Get https://x/v2/: dial tcp: i/o timeout"),
    ],
)
def test_a_failed_pull_has_ecs_s_words(message: str, end: str) -> None:
    assert pull_failure("x/worker:1", message) == (
        f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref x/worker:1: "
        f"{end}"
    )


def test_a_change_that_has_begun_is_carried_out_however_often_it_is_cancelled() -> None:
    async def scenario() -> None:
        done = asyncio.Event()

        async def change() -> None:
            await asyncio.sleep(0.1)
            done.set()

        changing = asyncio.create_task(uninterrupted(change()))
        for _ in range(3):
            await asyncio.sleep(0.01)
            changing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await changing
        assert done.is_set()

    asyncio.run(scenario())
