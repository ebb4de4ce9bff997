"""Fenced code of the README and the documentation's pages, and the shell and the copy of the project that run it.

A comment on the line above a fence, which no reader sees, says what may be done with it:

    <!-- run -->
    ```sh
    python build.py matrix
    ```

Marks are free words, separated by blanks: ``run`` is for blocks that need neither Docker nor AWS (`test_commands.py`),
``dry-run`` for builds that it tries without building, ``docker`` and ``aws`` for what `tests/walkthrough` runs,
``local-ecs`` for what `tests/e2e` does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.paths import DOCS, ROOT, TOOLS

_HEADING = re.compile(r"#{1,6} +(.+?) *#* *$")
_MARKS = re.compile(r"\s*<!-- ([^>]*) -->\s*$")
_FENCE = re.compile(r"( *)(`{3,}|~{3,})([\w+-]*)")


@dataclass(frozen=True)
class Block:
    """A fenced block: ``page`` is relative to the repository, ``line`` that of the fence, ``heading`` the one above."""

    page: str
    line: int
    heading: str
    language: str
    code: str
    marks: frozenset[str]

    def __str__(self) -> str:
        """Where it is, as editors and pytest's IDs have it."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """The README and every page of the documentation."""
    return [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, from top to bottom; those in lists and tabs without their indentation."""
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), start=1))
    found = []
    heading, marks = "", frozenset[str]()
    for number, line in lines:
        if fence := _FENCE.match(line):
            code = textwrap.dedent("".join(_fenced(lines, fence[2])))
            found.append(Block(os.path.relpath(page, ROOT), number, heading, fence[3], code, marks))
        elif title := _HEADING.match(line):
            heading = title[1]
        comment = _MARKS.match(line)
        marks = frozenset(comment[1].split()) if comment else frozenset()
    return found


def _fenced(lines: Iterator[tuple[int, str]], fence: str) -> Iterator[str]:
    for _, line in lines:
        if line.strip() == fence:
            return
        yield line + "\n"


def marked(mark: str, *, language: str = "sh") -> list[Block]:
    """All blocks with a mark, page by page."""
    return [block for page in pages() for block in blocks(page) if mark in block.marks and block.language == language]


@dataclass(frozen=True)
class Ran:
    """How a shell ended; ``output`` is both streams, as a terminal shows them."""

    code: int
    output: str


def run_shell(code: str, cwd: Path, env: Mapping[str, str], *, timeout: float = 600.0) -> Ran:
    """Run a block as one script of bash, which ends at the first command that fails.

    ``env`` is added to this process's environment, where its own tools come first. Standard input is empty: what
    asks, fails. Raises subprocess.TimeoutExpired after ``timeout`` seconds.
    """
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=cwd,
        env={**os.environ, "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    return Ran(done.returncode, done.stdout)


def copy_project(folder: Path, names: Iterable[str]) -> None:
    """Copy parts of the project to a folder, in which commands of the documentation may then write."""
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
        else:
            shutil.copy(ROOT / name, target)


def commands(block: Block) -> Iterator[str]:
    """The lines of a shell block without comments, continued ones joined."""
    for line in block.code.replace("\\\n", " ").splitlines():
        command = re.sub(r"(^|\s)#.*", "", line).strip()
        if command:
            yield command
