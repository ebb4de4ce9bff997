"""Messages that the documentation quotes as ours are in the sources."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from tests.paths import DOCS, ROOT

# In tables whose first column has one of these headings, every code span of that column is a message of ours.
OURS = ("Our message", "Line says")
_PACKAGES = ("build.py", "images", "executor/airflow_ecs_executor", "entrypoint/airflow_ecs_entrypoint")


def quoted() -> list[str]:
    """The messages that the pages have as ours."""
    found = []
    for page in sorted(DOCS.glob("*.md")):
        ours = False
        for line in page.read_text(encoding="utf-8").splitlines():
            first = line.strip("|").split("|")[0].strip()
            if not line.startswith("|"):
                ours = False
            elif first in OURS:
                ours = True
            elif ours:
                found += re.findall(r"`([^`]+)`", first)
    return found


@functools.cache
def texts() -> list[str]:
    """Every string of the sources but docstrings, each with its joined parts; what is put in at run time is `…`."""
    found = []
    for name in _PACKAGES:
        path = ROOT / name
        for source in [path] if path.is_file() else sorted(path.rglob("*.py")):
            found += _strings(source)
    return found


def _strings(source: Path) -> list[str]:
    found = []
    tree = ast.parse(source.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            found.append(node.value)
        elif isinstance(node, ast.JoinedStr):
            found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
    return found


@pytest.mark.parametrize("message", quoted())
def test_the_message_is_ours(message: str) -> None:
    # A quotation's `…` stands for anything, and so does that of a source.
    pattern = ".*".join(re.escape(part) for part in message.split("…"))
    assert any(re.search(pattern, text, re.DOTALL) for text in texts())


def test_messages_are_quoted() -> None:
    assert len(quoted()) >= 20
