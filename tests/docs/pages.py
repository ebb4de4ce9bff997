"""Fenced code blocks of the README and the documentation, and functions that run them in a copy of the project.

An HTML comment on the line above a block marks it:

    <!-- run -->
    ```sh
    python build.py matrix
    ```

Marks are words, separated by blanks: ``run`` for blocks that require neither Docker nor AWS (`test_commands.py`),
``dry-run`` for builds that are only resolved, ``docker`` and ``aws`` for blocks that `tests/walkthrough` runs, and
``local-ecs`` for those that `tests/e2e` runs.
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
    """A fenced block: its page (relative to the repository), the line of its fence, and the heading above it."""

    page: str
    line: int
    heading: str
    language: str
    code: str
    marks: frozenset[str]

    def __str__(self) -> str:
        """Return the position in the form that editors and pytest use."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Return the README and every page of the documentation."""
    return [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, without the indentation of lists and tabs."""
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
    """Return all blocks with a mark, page by page."""
    return [block for page in pages() for block in blocks(page) if mark in block.marks and block.language == language]


@dataclass(frozen=True)
class Ran:
    """The result of a shell. ``output`` contains both streams, as on a terminal."""

    code: int
    output: str


def run_shell(code: str, cwd: Path, env: Mapping[str, str], *, timeout: float = 600.0) -> Ran:
    """Run a block as a bash script, which ends at the first command that fails.

    ``env`` is added to the environment of this process, and its tools come first on PATH. Standard input is empty, so
    commands that ask questions fail. Raises subprocess.TimeoutExpired after ``timeout`` seconds.
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
    """Copy parts of the project to a folder to which commands of the documentation can write."""
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
        else:
            shutil.copy(ROOT / name, target)


def commands(block: Block) -> Iterator[str]:
    """Yield the lines of a shell block without comments; continued lines are joined."""
    for line in block.code.replace("\\\n", " ").splitlines():
        command = re.sub(r"(^|\s)#.*", "", line).strip()
        if command:
            yield command
