"""The figures of the benchmarks, and the table of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_BEGIN, _END = "<!-- table: make bench-executor writes it -->", "<!-- end of the table -->"
_HEADER = ("Benchmark", "Figure", "Ours", "Reference", "Ratio", "Target", "Met")


@dataclass(frozen=True)
class Figure:
    """One row: what was measured of our executor and, where it makes sense, of the reference."""

    benchmark: str
    what: str
    ours: float
    reference: float | None = None
    unit: str = "s"
    """``s`` (shown as milliseconds when short), ``%``, ``kB``, ``/s``, or empty: a count."""
    at_most: float | None = None
    at_least: float | None = None
    correctness: bool = False
    """The target does not depend on the size or the speed of the machine: it holds for a small run as well."""
    more_is_better: bool = False

    @property
    def met(self) -> bool:
        """Whether ours keeps to its target; True without one."""
        above = self.at_most is not None and not self.ours <= self.at_most
        below = self.at_least is not None and not self.ours >= self.at_least
        return not above and not below

    @property
    def target(self) -> str:
        """The target in words."""
        if self.at_most is not None:
            return f"≤ {self._shown(self.at_most)}" if self.at_most else "0"
        return f"≥ {self._shown(self.at_least)}" if self.at_least is not None else "–"

    @property
    def ratio(self) -> str:
        """How many times better ours is."""
        if self.reference is None or self.unit not in ("s", "/s", "kB"):
            return "–"
        larger, smaller = (self.ours, self.reference) if self.more_is_better else (self.reference, self.ours)
        return f"{larger / smaller:,.1f}×" if smaller else "–"

    def cells(self) -> Sequence[str]:
        """The row of the table."""
        reference = "–" if self.reference is None else self._shown(self.reference)
        judged = self.at_most is not None or self.at_least is not None
        met = ("yes" if self.met else "**no**") if judged else "–"
        return (self.benchmark, self.what, self._shown(self.ours), reference, self.ratio, self.target, met)

    def _shown(self, value: float) -> str:
        if math.isnan(value):
            return "never"
        if self.unit == "s":
            return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.1f} s"
        if self.unit in ("%", "kB", "/s"):
            return f"{value:.1f}{'' if self.unit == '/s' else ' '}{self.unit}"
        return f"{value:,.0f}"


def percentile(values: Iterable[float], share: float) -> float:
    """The value that ``share`` of the values do not exceed; NaN of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def table(figures: Sequence[Figure]) -> str:
    """The figures as Markdown that is readable on a terminal as well."""
    rows = [list(_HEADER), *(list(figure.cells()) for figure in figures)]
    for row, former in reversed([*zip(rows[1:], rows, strict=False)]):
        if row[0] == former[0]:
            row[0] = ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = ["| " + " | ".join(cell.ljust(widths[column]) for column, cell in enumerate(row)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def write(document: Path, text: str) -> None:
    """Put a text between the markers of a document."""
    before, begin, rest = document.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{document} has no markers for the table")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
