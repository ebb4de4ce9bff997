"""Every command and flag of ours that the documentation's shell blocks name exists."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.docs.pages import Block, blocks, commands, pages
from tests.paths import DOCS, EXECUTOR, ROOT

_PROGRAMS = {"build.py": ["build.py"], "airflow_ecs_executor": ["-m", "airflow_ecs_executor"]}
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
# A call, up to the end of its command: a pipe, a redirection, another command, or the end of a substitution.
_CALL = re.compile(r"(?:\bpython3?|-m) +(?:\S*/)?(build\.py|airflow_ecs_executor)\b([^|&;<>)`]*)")


def invocations(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Each call of a program of ours: its name and its words."""
    for command in commands(block):
        for call in _CALL.finditer(command):
            yield call[1], call[2].split()


@functools.cache
def help_of(program: str, *command: str) -> str | None:
    """What `--help` of a command prints, or None if there is no such command."""
    done = subprocess.run(
        [sys.executable, *_PROGRAMS[program], *command, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(EXECUTOR), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    return done.stdout if done.returncode == 0 else None


def command_of(program: str, words: list[str]) -> tuple[str, ...]:
    """The sub-command that the first words name: `build.py` alone means `build`, `dags` has commands of its own."""
    if program == "build.py" and (not words or words[0].startswith("-")):
        return ("build",)
    return tuple(words[: 2 if words[0] == "dags" else 1])


CALLS = [
    pytest.param(program, words, id=f"{block} {program} {' '.join(words[:2])}")
    for page in pages()
    for block in blocks(page)
    if block.language == "sh"
    for program, words in invocations(block)
]


@pytest.mark.parametrize(("program", "words"), CALLS)
def test_command_and_flags_exist(program: str, words: list[str]) -> None:
    command = command_of(program, words)
    text = help_of(program, *command)
    assert text is not None, f"no such command: {program} {' '.join(command)}"
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given <= {*_FLAG.findall(text)}, f"{program} {' '.join(command)}"


def test_every_flag_of_building_is_explained_in_the_page_about_images() -> None:
    page = (DOCS / "images.md").read_text(encoding="utf-8")
    text = help_of("build.py", "build")
    assert text is not None
    assert {*_FLAG.findall(text)} - {*_FLAG.findall(page)} <= {"--help"}


def test_calls_are_found_wherever_they_stand() -> None:
    code = "IMAGE=$(python build.py push x --stack $STACK | tail -n 1) && python -m airflow_ecs_executor config > a\n"
    block = Block("page", 1, "", "sh", code, frozenset())
    assert list(invocations(block)) == [
        ("build.py", ["push", "x", "--stack", "$STACK"]),
        ("airflow_ecs_executor", ["config"]),
    ]
