"""The commands of README and quick start that take Docker alone, as they are printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.bases import ensure_base
from tests.docs.pages import DOCS, ROOT, blocks, copy_project, run_shell
from tests.walkthrough.building import NEEDED, buildable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The project, and beside it a reader's DAGs and requirements."""
    for base in (("2.10.5", "3.8", "full"), ("2.11.2", "3.12", "full"), ("3.3.2", "3.12", "full")):
        ensure_base(*base)
    copy_project(tmp_path, (*NEEDED, "local/demo/dags"))
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "mine.py").write_text("import humanize\n")
    (tmp_path / "requirements.txt").write_text("humanize\n")
    return tmp_path


def run_page(page: Path, folder: Path) -> str:
    """Paste all blocks for Docker into one shell; returns what it showed."""
    code = "\n".join(block.code for block in blocks(page) if "docker" in block.marks)
    assert "python build.py --" in code
    done = run_shell(buildable(code), folder, {})
    assert done.code == 0, done.output
    return done.output


def test_the_readme_builds_images(folder: Path) -> None:
    shown = run_page(ROOT / "README.md", folder)
    assert "airflow-ecs-worker:2.10.5-python3.8-s3" in shown
    assert "airflow-ecs-worker:2.11.2-python3.12-local" in shown


def test_the_quick_start_builds_images_and_tries_them(folder: Path) -> None:
    shown = run_page(DOCS / "quick-start.md", folder)
    assert "airflow-ecs-worker:3.3.2-python3.12-s3" in shown
    assert "\n3.3.2\n" in shown and "\nPython 3.12." in shown
