"""Which Docker engine is talked to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from local.errors import EngineError
from local.machine.client import engine, engine_socket

if TYPE_CHECKING:
    from tests.unit.local.conftest import Engine


def test_it_is_that_of_the_docker_commands_context(
    fake_engine: Engine, docker: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    docker(f'test "$1 $2" = "context inspect" && echo tcp://{fake_engine.host}')
    fake_engine.images["only:here"] = {}
    assert [image.id for image in engine().images.list(name="only:here")] == ["only:here"]


def test_docker_host_goes_before_the_context(fake_engine: Engine, docker: Callable[[str], None]) -> None:
    docker("echo tcp://127.0.0.1:1")
    assert engine().ping()


@pytest.mark.parametrize("context", ["echo tcp://127.0.0.1:1", "echo no-address"])
def test_one_that_does_not_answer_is_one_message_with_the_way_out(
    no_engine: None, docker: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, context: str
) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    docker(context)
    with pytest.raises(EngineError, match=r"^No Docker engine answers \(.*\)\. Start Docker, or run: make engine"):
        engine()


class TestSocket:
    @pytest.fixture(autouse=True)
    def on_linux(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.platform", "linux")

    @pytest.mark.parametrize(
        ("host", "socket"),
        [
            ("unix:///var/run/docker.sock", "/var/run/docker.sock"),
            ("unix:///run/user/1000/docker.sock", "/run/user/1000/docker.sock"),
            ("unix:///home/me/.docker/desktop/docker.sock", "/var/run/docker.sock"),
            ("unix:///home/me/.colima/default/docker.sock", "/var/run/docker.sock"),
        ],
    )
    @pytest.mark.parametrize("named_by", ["DOCKER_HOST", "the context"])
    def test_it_is_the_engine_s_own(
        self, docker: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, named_by: str, host: str, socket: str
    ) -> None:
        if named_by == "DOCKER_HOST":
            monkeypatch.setenv("DOCKER_HOST", host)
        else:
            monkeypatch.delenv("DOCKER_HOST", raising=False)
            docker(f"echo {host}")
        assert engine_socket() == socket

    def test_on_a_mac_the_engine_has_it_at_the_usual_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.platform", "darwin")
        monkeypatch.setenv("DOCKER_HOST", "unix:///Users/me/.docker/run/docker.sock")
        assert engine_socket() == "/var/run/docker.sock"

    def test_where_nobody_names_one_it_is_the_usual_one(
        self, docker: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("DOCKER_HOST", raising=False)
        docker("echo")
        assert engine_socket() == "/var/run/docker.sock"

    @pytest.mark.parametrize("host", ["tcp://10.0.0.1:2375", "ssh://me@there"])
    def test_an_engine_elsewhere_is_refused(self, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
        monkeypatch.setenv("DOCKER_HOST", host)
        with pytest.raises(EngineError, match=rf"with a socket on this machine, but the engine is at {host}\."):
            engine_socket()
