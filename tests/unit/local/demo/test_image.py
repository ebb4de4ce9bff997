"""Which image `make image` builds, as the real build tool resolves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.demo.image import Target, choose
from local.errors import BuildError
from local.machine.bases.pythons import Interpreter
from tests.releases import NEWEST_3, OLDEST

if TYPE_CHECKING:
    from tests.unit.local.conftest import Engine


def test_a_python_asked_for_is_taken_without_asking_whether_it_is_here(no_engine: None) -> None:
    airflow, python = OLDEST.version, OLDEST.pythons[0]
    assert choose(airflow, python) == Target(airflow, python, f"airflow-ecs-worker:{airflow}-python{python}-s3")


@pytest.mark.parametrize("here", [NEWEST_3.default_python, NEWEST_3.pythons[0]])
def test_without_one_asked_for_it_is_the_default_or_the_newest_that_is_here(
    here: str,
    fake_engine: Engine,
    docker: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    docker("exit 1")
    found = {minor: Interpreter(f"{minor}.1", Path("/x")) for minor in ("3.8", here)}
    monkeypatch.setattr("local.machine.bases.available_pythons", lambda: found)
    airflow = NEWEST_3.version
    assert choose("3", None) == Target(airflow, here, f"airflow-ecs-worker:{airflow}-python{here}-s3")


def test_what_the_build_tool_refuses_is_refused_in_its_words() -> None:
    with pytest.raises(BuildError, match=r"Airflow 9 is not in the matrix\. Known: \d+\.\d+\.\d+"):
        choose("9", None)
