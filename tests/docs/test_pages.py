"""How fenced blocks, their marks and their commands are found."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import Block, blocks, commands, pages, run_shell

PAGE = """\
# A page

<!-- run airflow-3 -->
```sh
first \\
  --flag    # said here
```

## A section

```json
{"# no": "heading"}
```

1. In a list:

   ```sh
   second
   ```
"""


@pytest.fixture
def found(tmp_path: Path) -> list[Block]:
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    return blocks(path)


def test_blocks_know_where_they_are_and_what_they_are(found: list[Block]) -> None:
    assert [(block.line, block.heading, block.language) for block in found] == [
        (4, "A page", "sh"),
        (11, "A section", "json"),
        (17, "A section", "sh"),
    ]


def test_marks_belong_to_the_next_block_alone(found: list[Block]) -> None:
    assert [block.marks for block in found] == [{"run", "airflow-3"}, frozenset(), frozenset()]


def test_a_block_in_a_list_loses_its_indentation(found: list[Block]) -> None:
    assert found[2].code == "second\n"


def test_commands_are_whole_lines_without_comments(found: list[Block]) -> None:
    assert [command.split() for command in commands(found[0])] == [["first", "--flag"]]


def test_a_shell_ends_at_the_first_command_that_fails(tmp_path: Path) -> None:
    ran = run_shell("echo $GIVEN; false; echo after", tmp_path, {"GIVEN": "before"})
    assert (ran.code, ran.output) == (1, "before\n")


def test_a_shell_does_not_wait_for_answers(tmp_path: Path) -> None:
    assert run_shell("read answer", tmp_path, {}, timeout=10).code != 0


@pytest.mark.parametrize(
    "block", [block for page in pages() for block in blocks(page) if block.language == "sh"], ids=str
)
def test_every_shell_block_is_shell(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
