"""Which Docker engine is talked to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from local.client import engine
from local.errors import EngineError

if TYPE_CHECKING:
    from tests.unit.local.conftest import Engine


def test_it_is_that_of_the_docker_commands_context(
    fake_engine: Engine, docker: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    docker(f'test "$1 $2" = "context inspect" && echo {fake_engine.url}')
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
    with pytest.raises(EngineError, match=r"^No Docker engine answers \(.*\)\. Start Docker, or run: local/engine\.sh"):
        engine()
