"""The contributor's pages name what exists: folders, files, commands and sessions."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import DOCS, ROOT

PAGES = [ROOT / "CONTRIBUTING.md", DOCS / "development.md"]
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"\.?[\w-]+(?:/[\w.-]+)*/|(?:\.?[\w-]+/)*[\w-]+\.(?:py|sh|yaml|yml|md|txt)")


def words(page: Path) -> list[str]:
    """The words of a page that are code, in its prose and in its blocks."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```.*?^```", text, re.M | re.S)
    return [word for code in [*fenced, *_CODE.findall(text)] for word in code.split()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_exists(page: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    names = {path.rpartition("/")[2] for path in tracked}
    named = {word for word in words(page) if _PATH.fullmatch(word)} - {"site/"}
    assert len(named) > 1
    assert [word for word in sorted(named) if not (ROOT / word).exists() and word not in names] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_command_exists(page: Path) -> None:
    targets = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"`make ([a-z0-9-]+)|^make ([a-z0-9-]+)", page.read_text(encoding="utf-8"), re.M))
    assert named and {first or second for first, second in named} <= targets


def test_every_session_is_described() -> None:
    done = subprocess.run([sys.executable, "-m", "nox", "--list"], cwd=ROOT, capture_output=True, text=True, check=True)
    sessions = set(re.findall(r"^[*-] (\w+)", done.stdout, re.M))
    described = set(re.findall(r"^\| `(\w+)` \|", (DOCS / "development.md").read_text(encoding="utf-8"), re.M))
    assert described == sessions
