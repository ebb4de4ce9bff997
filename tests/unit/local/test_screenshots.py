"""Which screenshots are taken, and what happens where there is no browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.demo import DAGS
from local.errors import LocalError
from local.screenshots.__main__ import chromium
from local.screenshots.pictures import AWAITED, DAG_IDS, pictures

DOCS = Path(__file__).parents[3] / "docs"
RUNS = {dag_id: f"run of {dag_id}" for dag_id in DAG_IDS}


def test_the_docs_show_all_that_are_taken_and_no_other() -> None:
    shown = re.findall(r"\]\(images/([^)]+)\)", (DOCS / "local-ecs.md").read_text(encoding="utf-8"))
    taken = [picture.file for airflow in ("2.11.2", "3.3.2") for picture in pictures(airflow, RUNS)]
    assert sorted(shown) == sorted(taken) == sorted(path.name for path in (DOCS / "images").iterdir())


@pytest.mark.parametrize("airflow", ["2.10.5", "3.0.6"])
def test_each_waits_for_what_it_has_to_show(airflow: str) -> None:
    assert all(picture.wait_for for picture in pictures(airflow, RUNS))


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
