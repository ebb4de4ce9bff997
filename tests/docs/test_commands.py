"""Commands of the documentation that need neither Docker nor AWS run as they are printed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import Block, blocks, copy_project, marked, pages, run_shell

# What a reader has: this repository, a folder of DAGs and a file of requirements.
_COPIED = ("build.py", "matrix.yaml", "images", "entrypoint", "executor", "requirements", "deploy")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    copy_project(tmp_path, (*_COPIED, "local/demo/dags"))
    shutil.copytree(tmp_path / "local" / "demo" / "dags", tmp_path / "dags")
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
    environment = {"PYTHONPATH": str(checkout / "executor"), "DOCKER_HOST": "unix:///nowhere"}
    ran = run_shell(code, checkout, environment, timeout=120)
    assert ran.code == 0, ran.output
    assert ran.output.strip(), "nothing was printed"


def test_there_is_something_to_run() -> None:
    assert len(marked("run")) >= 6 and marked("dry-run")


@pytest.mark.parametrize(
    "block", [block for page in pages() for block in blocks(page) if block.language == "sh"], ids=str
)
def test_every_shell_block_is_shell(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_shell_ends_at_the_first_command_that_fails(tmp_path: Path) -> None:
    ran = run_shell("echo $GIVEN; false; echo after", tmp_path, {"GIVEN": "before"})
    assert (ran.code, ran.output) == (1, "before\n")
