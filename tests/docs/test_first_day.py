"""The page about the first day on AWS lists what `make aws-smoke` asks, in its order and with its costs."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS
from tools.aws_smoke.checks import CHECKS

ROWS = re.findall(r"^\| (`.*?) \|.*\| (.*?) \|$", (DOCS / "first-day-on-aws.md").read_text(encoding="utf-8"), re.M)


def test_every_check_is_listed_in_the_order_of_its_worth() -> None:
    assert [name for names, _ in ROWS for name in re.findall(r"`([\w-]+)`", names)] == [check.name for check in CHECKS]


def test_what_has_to_be_named_is_called_so() -> None:
    named = {name for names, _ in ROWS if "(named)" in names for name in re.findall(r"`([\w-]+)`", names)}
    assert named == {check.name for check in CHECKS if check.named}


def test_the_costs_are_those_of_the_checks() -> None:
    costs = {name: cost for names, cost in ROWS for name in re.findall(r"`([\w-]+)`", names)}
    shared = {check.name for check in CHECKS if check.task == "plain"} - {"first-task"}
    for check in CHECKS:
        assert costs[check.name].startswith("with `first-task`" if check.name in shared else check.cost), check.name
