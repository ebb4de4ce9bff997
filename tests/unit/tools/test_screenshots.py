"""Which screenshots are taken, and what happens where there is no browser."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.demo import DAGS
from local.errors import LocalError
from tests.paths import DOCS
from tools.screenshots.__main__ import chromium, take_pictures
from tools.screenshots.pictures import AWAITED, DAG_IDS, pictures

RUNS = {dag_id: f"run of {dag_id}" for dag_id in DAG_IDS}


def test_the_docs_show_all_that_are_taken_and_no_other() -> None:
    shown = re.findall(r"\]\(images/([^)]+)\)", (DOCS / "local-ecs.md").read_text(encoding="utf-8"))
    taken = [picture.file for airflow in ("2.11.2", "3.3.2") for picture in pictures(airflow, RUNS)]
    assert sorted(shown) == sorted(taken) == sorted(path.name for path in (DOCS / "images").iterdir())


@pytest.mark.parametrize("airflow", ["2.10.5", "3.0.6"])
def test_each_waits_for_what_it_has_to_show(airflow: str) -> None:
    found = list(pictures(airflow, RUNS))
    assert found and all(picture.wait_for for picture in found)


def test_they_are_of_the_demo_s_dags() -> None:
    demo = {path.stem for path in DAGS.glob("demo_*.py")}
    assert set(DAG_IDS) <= demo
    assert {dag_id for dag_id, *_ in AWAITED} <= set(DAG_IDS)


def test_without_a_browser_one_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalError, match=r"^No browser: install Chromium"):
        chromium()


@pytest.mark.parametrize(
    ("seconds", "body", "message"),
    [
        (0.2, "exec sleep 60", "^The browser did not take its pictures within 0 s$"),
        (20, "exit 1", "^A picture could not be taken: the browser's message is above$"),
    ],
)
def test_a_browser_that_fails_is_one_message(
    seconds: float, body: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.screenshots.__main__._FOLDER", tmp_path / "images")
    monkeypatch.setattr("tools.screenshots.__main__._BROWSER_TIMEOUT", seconds)
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{body}\n")
    python.chmod(0o755)
    airflow = SimpleNamespace(airflow="3.3.2", address="http://127.0.0.1:1", user="admin", password="only-here")
    deployment: Any = SimpleNamespace(airflow=airflow)
    with pytest.raises(LocalError, match=message):
        take_pictures(deployment, RUNS, python, "chromium")
