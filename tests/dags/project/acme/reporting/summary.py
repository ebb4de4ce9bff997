"""A report as text."""

from __future__ import annotations


def summary(totals: dict[str, int]) -> str:
    """One line for each region, best first, and the sum."""
    lines = [f"{region}: {units}" for region, units in sorted(totals.items(), key=lambda item: -item[1])]
    return "\n".join([*lines, f"total: {sum(totals.values())}"])
