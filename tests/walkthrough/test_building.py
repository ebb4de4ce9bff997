"""The commands of README and quick start that take Docker alone, as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.machine.bases import ensure_base
from tests.docs.pages import blocks, copy_project, run_shell
from tests.paths import DOCS, ROOT
from tests.releases import MATRIX
from tests.walkthrough.building import NEEDED, buildable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The project, and beside it a reader's DAGs and requirements."""
    copy_project(tmp_path, (*NEEDED, "local/demo/dags"))
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "mine.py").write_text("import humanize\n")
    (tmp_path / "requirements.txt").write_text("humanize\n")
    return tmp_path


def built_by(command: str) -> tuple[str, str, str]:
    """Airflow, Python and DAG mode of the image that a build of a page makes."""
    flags = dict(re.findall(r"--(airflow|python|dags) (\S+)", command))
    releases = [r for r in MATRIX.matching(flags.get("airflow", "")) if flags.get("python", r.pythons[-1]) in r.pythons]
    return releases[-1].version, flags.get("python", releases[-1].default_python), flags["dags"]


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "quick-start.md"], ids=lambda page: page.name)
def test_a_page_builds_its_images_and_tries_them(page: Path, folder: Path) -> None:
    code = "\n".join(block.code for block in blocks(page) if "docker" in block.marks)
    images = [built_by(command) for command in re.findall(r"^python build\.py --.*", code, re.MULTILINE)]
    assert len(images) == 2
    for airflow, python, _ in images:
        ensure_base(airflow, python)
    done = run_shell(buildable(code), folder, {})
    assert done.code == 0, done.output
    for airflow, python, mode in images:
        assert f"airflow-ecs-worker:{airflow}-python{python}-{mode}" in done.output
    if "docker run" in code:
        airflow, python, _ = images[-1]
        assert f"\n{airflow}\n" in done.output and f"\nPython {python}." in done.output
