"""Which screenshots are taken, and what happens where there is no browser."""

from __future__ import annotations

import re

from local.demo import DAGS
from tests.paths import DOCS
from tools.screenshots.pictures import AWAITED, DAG_IDS, pictures

RUNS = {dag_id: f"run of {dag_id}" for dag_id in DAG_IDS}


def test_the_docs_show_all_that_are_taken_and_no_other() -> None:
    shown = re.findall(r"\]\(images/([^)]+)\)", (DOCS / "local-ecs.md").read_text(encoding="utf-8"))
    taken = [picture.file for airflow in ("2.11.2", "3.3.2") for picture in pictures(airflow, RUNS)]
    assert sorted(shown) == sorted(taken) == sorted(path.name for path in (DOCS / "images").iterdir())


def test_they_are_of_the_demo_s_dags() -> None:
    demo = {path.stem for path in DAGS.glob("demo_*.py")}
    assert set(DAG_IDS) <= demo
    assert {dag_id for dag_id, *_ in AWAITED} <= set(DAG_IDS)
