"""Which image `make image` builds, as the real build tool resolves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.bases.pythons import Interpreter
from local.errors import BuildError
from local.image_demo import Target, choose

if TYPE_CHECKING:
    from tests.unit.local.conftest import Engine


def test_a_python_asked_for_is_taken_without_asking_whether_it_is_here(no_engine: None) -> None:
    assert choose("2.10", "3.8") == Target("2.10.5", "3.8", "airflow-ecs-worker:2.10.5-python3.8-s3")


@pytest.mark.parametrize(
    ("here", "python", "image"),
    [
        ("3.12", "3.12", "airflow-ecs-worker:3.3.2-python3.12-s3"),
        ("3.11", "3.11", "airflow-ecs-worker:3.3.2-python3.11-s3"),
    ],
)
def test_without_one_asked_for_it_is_the_default_or_the_newest_that_is_here(
    here: str,
    python: str,
    image: str,
    fake_engine: Engine,
    docker: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    docker("exit 1")
    found = {minor: Interpreter(f"{minor}.1", Path("/x")) for minor in ("3.9", here)}
    monkeypatch.setattr("local.bases.available_pythons", lambda: found)
    assert choose("3", None) == Target("3.3.2", python, image)


def test_what_the_build_tool_refuses_is_refused_in_its_words() -> None:
    with pytest.raises(BuildError, match=r"Airflow 9 is not in the matrix\. Known: 2\.10\.5"):
        choose("9", None)
