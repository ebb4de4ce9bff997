"""The runner on Docker, as far as it needs no engine: settings, latencies, reasons, changes that are not given up."""

from __future__ import annotations

import asyncio
import json

import pytest

from local.ecs.containers.engine import repository_of, uninterrupted
from local.ecs.containers.runner import (
    SETTINGS_VARIABLE,
    ContainerRunner,
    Latency,
    Settings,
    from_environment,
    pull_failure,
)
from local.errors import LocalError, ServiceError

SETTINGS = Settings("network", "127.0.0.1:5000", "image", {}, "us-east-1")


class TestSettings:
    def test_come_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        text = {"network": "n", "registry": "r", "network_image": "i", "labels": {}, "region": "us-east-1"}
        monkeypatch.setenv(SETTINGS_VARIABLE, json.dumps(text))
        assert isinstance(from_environment(), ContainerRunner)

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"network": "n", "other": 1}'])
    def test_of_another_form_are_refused(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setenv(SETTINGS_VARIABLE, text)
        with pytest.raises(LocalError, match=f"{SETTINGS_VARIABLE} is no JSON object"):
            from_environment()

    def test_must_be_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(SETTINGS_VARIABLE, raising=False)
        with pytest.raises(LocalError, match=f"{SETTINGS_VARIABLE} is not set"):
            from_environment()


class TestLatencies:
    def test_that_are_not_named_stay(self) -> None:
        first = Latency().changed({"placement_seconds": 2, "pull_seconds": 0.5})
        assert first.changed({"pull_seconds": 0}) == Latency(placement_seconds=2)

    @pytest.mark.parametrize("value", [-1, "1", None, True])
    def test_are_seconds(self, value: object) -> None:
        with pytest.raises(LocalError, match="pull_seconds must be a number from 0 on"):
            Latency().changed({"pull_seconds": value})

    def test_of_another_name_are_refused_with_the_names_there_are(self) -> None:
        with pytest.raises(LocalError, match=r"'run_seconds'.*deprovision_seconds, placement_seconds, pull_seconds"):
            Latency().changed({"run_seconds": 1})

    def test_are_those_of_all_tasks(self) -> None:
        with pytest.raises(LocalError, match="without match and times"):
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


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("debian", "debian"),
        ("debian:12", "debian"),
        ("host:5000/team/worker", "host:5000/team/worker"),
        ("host:5000/team/worker:1@sha256:abc", "host:5000/team/worker"),
    ],
)
def test_the_repository_of_an_image_is_its_name_without_tag_and_digest(image: str, repository: str) -> None:
    assert repository_of(image) == repository


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


def test_without_an_engine_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.ecs.containers.engine.Engine.__init__.__defaults__", ("/nowhere/docker.sock",))
    with pytest.raises(ServiceError, match="Tasks cannot run here"):
        asyncio.run(ContainerRunner(SETTINGS).open())
