"""The README's path to production is that of docs/production.md, which a test follows."""

from __future__ import annotations

from tests.docs.pages import blocks, commands
from tests.paths import DOCS, ROOT

# What the page has in variables, or under another name.
OF_ITS_OWN = {"http://airflow.internal:8080/execution/", ">", "ecs_executor_config.sh", "./ecs_executor_config.sh"}


def test_its_commands_are_those_of_the_page_that_is_followed() -> None:
    followed = {
        word
        for block in blocks(DOCS / "production.md")
        if "aws" in block.marks
        for command in commands(block)
        for word in command.split()
    }
    (block,) = (block for block in blocks(ROOT / "README.md") if block.heading == "To production on AWS")
    found = [command for command in commands(block) if not command.startswith("export ")]
    assert len(found) >= 9
    for command in found:
        assert set(command.split()) <= followed | OF_ITS_OWN, command
