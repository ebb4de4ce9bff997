"""Which screenshots are taken, and what happens where there is no browser."""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from local.demo import DAGS
from local.demo.screenshots.__main__ import chromium, take_pictures
from local.demo.screenshots.pictures import AWAITED, DAG_IDS, pictures
from local.errors import LocalError
from tests.paths import DOCS

if TYPE_CHECKING:
    from tests.unit.local.conftest import Script

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


class TestChromium:
    def test_one_on_path_is_taken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = tmp_path / "chromium"
        program.touch(mode=0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert chromium() == str(program)

    def test_where_it_cannot_be_installed_one_message_says_what_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(LocalError, match=r"^No browser: install Chromium"):
            chromium()


class TestBrowser:
    """The program of the browser: here a script in its place, or its module without Playwright."""

    @pytest.mark.parametrize(
        ("seconds", "body", "message"),
        [
            (0.2, "exec sleep 60", "^The browser did not take its pictures within 0 s$"),
            (20, "exit 1", "^A picture could not be taken: the browser's message is above$"),
        ],
    )
    def test_what_goes_wrong_is_one_message(
        self, seconds: float, body: str, message: str, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("local.demo.screenshots.__main__._FOLDER", tmp_path / "images")
        monkeypatch.setattr("local.demo.screenshots.__main__._BROWSER_TIMEOUT", seconds)
        airflow = SimpleNamespace(airflow="3.3.2", address="http://127.0.0.1:1", user="admin", password="only-here")
        deployment: Any = SimpleNamespace(airflow=airflow)
        with pytest.raises(LocalError, match=message):
            take_pictures(deployment, RUNS, script("python", body), "chromium")

    @pytest.fixture
    def browser(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        names = dict.fromkeys(("Locator", "Page", "sync_playwright"))
        monkeypatch.setitem(sys.modules, "playwright.sync_api", SimpleNamespace(Error=OSError, **names))
        monkeypatch.delitem(sys.modules, "local.demo.screenshots.browser", raising=False)
        return importlib.import_module("local.demo.screenshots.browser")

    @pytest.mark.parametrize(("user", "without"), [(0, True), (1000, False)])
    def test_only_root_goes_without_a_sandbox(
        self, user: int, without: bool, browser: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: user)
        assert browser.options("chromium")["chromium_sandbox"] is not without

    def test_a_picture_of_what_went_wrong_is_kept_elsewhere_and_named(
        self, browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        page = SimpleNamespace(screenshot=lambda path: path.touch())
        said = browser.what_is_there(page)
        (kept,) = tmp_path.rglob("failed.png")
        assert said == f"what is there instead: {kept}"

    def test_a_browser_that_has_ended_leaves_nothing(
        self, browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def ended(path: Path) -> None:
            raise browser.Error

        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        assert browser.what_is_there(SimpleNamespace(screenshot=ended)) == "the browser shows nothing any more"
        assert not [*tmp_path.iterdir()]
