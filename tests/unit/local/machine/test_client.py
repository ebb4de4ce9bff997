"""The socket that a container uses, where the engine runs in a virtual machine or elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.errors import EngineError
from local.machine.client import engine_socket


@pytest.mark.parametrize(
    ("platform", "host", "socket"),
    [
        ("linux", "unix:///run/user/1000/docker.sock", "/run/user/1000/docker.sock"),
        ("linux", "unix:///home/me/.docker/desktop/docker.sock", "/var/run/docker.sock"),
        ("linux", "unix:///home/me/.colima/default/docker.sock", "/var/run/docker.sock"),
        ("darwin", "unix:///Users/me/.docker/run/docker.sock", "/var/run/docker.sock"),
    ],
)
def test_the_socket_is_the_one_that_the_engine_sees(
    monkeypatch: pytest.MonkeyPatch, platform: str, host: str, socket: str
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv("DOCKER_HOST", host)
    assert engine_socket() == socket


def test_an_engine_on_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    with pytest.raises(
        EngineError, match=r"with a socket on this machine, but the engine is at tcp://10\.0\.0\.1:2375\."
    ):
        engine_socket()


def test_without_docker_host_the_context_names_the_engine(
    monkeypatch: pytest.MonkeyPatch, docker: Callable[[str], None]
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    docker('test "$1 $2" = "context inspect" && echo unix:///run/user/1000/docker.sock')
    monkeypatch.setattr("sys.platform", "linux")
    assert engine_socket() == "/run/user/1000/docker.sock"
