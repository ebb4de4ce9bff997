"""The page about the first day on AWS has the table of what `make aws-smoke` asks."""

from __future__ import annotations

import re

from tests.paths import DOCS
from tools.aws_smoke.checks import CHECKS, Check

PAGE = (DOCS / "first-day-on-aws.md").read_text(encoding="utf-8")


def row(check: Check) -> str:
    """What the table has of a check. Names of pages are links."""
    cells = [
        f"`{check.name}`{' (named)' if check.named else ''}",
        check.asks,
        check.expects,
        check.otherwise,
        check.cost,
    ]
    return re.sub(r"docs/([\w-]+\.md)", r"[\1](\1)", f"| {' | '.join(cells)} |\n")


def test_every_check_is_in_the_table() -> None:
    table = "".join(row(check) for check in CHECKS)
    assert table in PAGE, f"write:\n{table}"
