"""Commands of the documentation that need neither Docker nor AWS run as they are printed."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, marked, run_shell

# What a reader has: this repository, a folder of DAGs and a file of requirements.
_COPIED = ("build.py", "matrix.yaml", "images", "entrypoint", "executor", "requirements", "deploy")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*_cache")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=_LEFT_OUT)
        else:
            shutil.copy(source, tmp_path / name)
    shutil.copytree(ROOT / "local" / "demo" / "dags", tmp_path / "dags", ignore=_LEFT_OUT)
    (tmp_path / "requirements.txt").write_text("pandas\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("block", marked("run"), ids=str)
def test_it_runs_as_printed(block: Block, checkout: Path) -> None:
    check(block.code, checkout)


@pytest.mark.parametrize("block", marked("dry-run"), ids=str)
def test_it_would_build_as_printed(block: Block, checkout: Path) -> None:
    check(re.sub(r"^python build\.py (?=--)", "python build.py --dry-run ", block.code, flags=re.MULTILINE), checkout)


def check(code: str, checkout: Path) -> None:
    """Run it with the build tool's Python, the executor, and no engine."""
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(checkout / "executor"),
        "DOCKER_HOST": "unix:///nowhere",
    }
    ran = run_shell(code, checkout, environment, timeout=120)
    assert ran.code == 0, ran.output
    assert ran.output.strip(), "nothing was printed"


def test_there_is_something_to_run() -> None:
    assert len(marked("run")) >= 6 and marked("dry-run")
