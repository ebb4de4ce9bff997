from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from local.fakes.http_service import Answer, Connection, HttpService, Request
from local.machine.client import engine

Script = Callable[..., Path]


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    """An empty folder for programs that stand in for others on PATH."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    return folder


@pytest.fixture
def script(fakes: Path) -> Script:
    """Write a shell script, under the name of a program, into the folder of fakes."""

    def write(name: str, body: str) -> Path:
        path = fakes / name
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def docker(script: Script, fakes: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a `docker` of the given shell code before the real one; no Docker Hub is remembered as unreachable."""
    monkeypatch.setenv("PATH", f"{fakes}{os.pathsep}{os.environ['PATH']}")
    # Set before it is deleted, so that what the code under test sets is taken back too.
    monkeypatch.setenv("AIRFLOW_ECS_DOCKER_HUB", "")
    monkeypatch.delenv("AIRFLOW_ECS_DOCKER_HUB")

    def write(body: str) -> None:
        script("docker", body)

    return write


class Engine(HttpService):
    """What a Docker engine answers when it is asked for its images, on a port of this machine."""

    def __init__(self) -> None:
        super().__init__()
        self.images: dict[str, dict[str, str]] = {}

    def serve(self, request: Request, connection: Connection) -> None:
        path = re.sub(r"^/v[\d.]+", "", request.path)
        single = re.fullmatch(r"/images/(.+)/json", path)
        answer: object = {"ApiVersion": "1.44"}
        if single:
            answer = {"Id": single[1], "RepoTags": [single[1]], "Config": {"Labels": self.images[single[1]]}}
        elif path == "/images/json":
            answer = [{"Id": name} for name in self.images if name in unquote(request.target)]
        body = b"OK" if path == "/_ping" else json.dumps(answer).encode()
        connection.send(Answer(200, {"Content-Type": "application/json"}, body))


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on which no Docker engine answers."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    engine.cache_clear()
    yield
    engine.cache_clear()


@pytest.fixture
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine whose images a test chooses, in place of this machine's."""
    with Engine() as fake:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{fake.host}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        engine.cache_clear()
        yield fake
        if engine.cache_info().currsize:
            engine().close()
        engine.cache_clear()
