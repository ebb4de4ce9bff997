"""The runner on Docker, as far as it needs no engine: settings, latencies, reasons, changes that are not given up."""

from __future__ import annotations

import asyncio
import json
import tempfile

import pytest
from aiodocker.exceptions import DockerError
from aiohttp import web

from local.ecs.containers.engine import Engine, repository_of, uninterrupted
from local.ecs.containers.runner import (
    SETTINGS_VARIABLE,
    ContainerRunner,
    Latency,
    Settings,
    from_environment,
    pull_failure,
)
from local.ecs.errors import EmulatorError, UnavailableError

SETTINGS = Settings("network", "127.0.0.1:5000", "image", {}, "us-east-1")


class TestSettings:
    def test_come_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        text = {"network": "n", "registry": "r", "network_image": "i", "labels": {}, "region": "us-east-1"}
        monkeypatch.setenv(SETTINGS_VARIABLE, json.dumps(text))
        assert isinstance(from_environment(), ContainerRunner)

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"network": "n", "other": 1}'])
    def test_of_another_form_are_refused(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setenv(SETTINGS_VARIABLE, text)
        with pytest.raises(EmulatorError, match=f"{SETTINGS_VARIABLE} is not a JSON object"):
            from_environment()

    def test_must_be_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(SETTINGS_VARIABLE, raising=False)
        with pytest.raises(EmulatorError, match=f"{SETTINGS_VARIABLE} is not set"):
            from_environment()


class TestLatencies:
    def test_that_are_not_named_stay(self) -> None:
        first = Latency().changed({"placement_seconds": 2, "pull_seconds": 0.5})
        assert first.changed({"pull_seconds": 0}) == Latency(placement_seconds=2)

    @pytest.mark.parametrize("value", [-1, "1", None, True])
    def test_are_seconds(self, value: object) -> None:
        with pytest.raises(EmulatorError, match="pull_seconds must be a number from 0 on"):
            Latency().changed({"pull_seconds": value})

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


class TestAStop:
    """Of an engine whose answer to it a test chooses."""

    @pytest.mark.parametrize("status", [204, 304, 404])
    def test_of_a_container_that_runs_has_stopped_or_is_gone_is_no_error(self, status: int) -> None:
        asyncio.run(self.stopped(status))

    @pytest.mark.parametrize("status", [409, 500])
    def test_that_the_engine_could_not_do_is_told(self, status: int) -> None:
        with pytest.raises(DockerError, match="could not"):
            asyncio.run(self.stopped(status))

    @staticmethod
    async def stopped(status: int) -> None:
        async def version(request: web.Request) -> web.Response:
            return web.json_response({"ApiVersion": "1.44"})

        async def stop(request: web.Request) -> web.Response:
            assert request.query["t"] == "2"
            return web.json_response({"message": "could not"} if status >= 400 else None, status=status)

        application = web.Application()
        application.add_routes([web.get("/version", version), web.post("/v1.44/containers/abc/stop", stop)])
        served = web.AppRunner(application)
        await served.setup()
        with tempfile.TemporaryDirectory() as folder:  # the name of a socket must be short
            path = f"{folder}/docker.sock"
            await web.UnixSite(served, path).start()
            engine = Engine(path)
            try:
                await engine.stop("abc", 2)
            finally:
                await engine.close()
                await served.cleanup()


def test_without_an_engine_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.ecs.containers.engine.Engine.__init__.__defaults__", ("/nowhere/docker.sock",))
    with pytest.raises(UnavailableError, match="Tasks cannot run here"):
        asyncio.run(ContainerRunner(SETTINGS).open())
