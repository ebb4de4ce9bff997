"""The figures of the benchmarks and their table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_BEGIN, _END = "<!-- table: make {target} writes it -->", "<!-- end of the table -->"
_COMPARABLE = ("s", "/s", "kB", "MB")


@dataclass(frozen=True)
class Figure:
    """One row: the figure of ours and, if it is comparable, of the reference."""

    benchmark: str
    what: str
    ours: float
    reference: float | None = None
    unit: str = "s"
    """``s`` (less than 1 s is shown in ms), ``%``, ``kB``, ``MB``, ``/s``, or empty for a count."""
    at_most: float | None = None
    at_least: float | None = None
    share_at_most: float | None = None
    """The target for ours divided by the reference's. It does not apply if the reference was not measured."""
    compared: bool = True
    """Whether ours can be compared with the reference's, unlike parts that are divided differently."""
    correctness: bool = False
    """Whether the target is independent of the machine, so that it also applies to a small run."""
    more_is_better: bool = False

    @property
    def met(self) -> bool:
        """Whether ours meets its target; True without a target."""
        above = self.at_most is not None and not self.ours <= self.at_most
        below = self.at_least is not None and not self.ours >= self.at_least
        return not above and not below and not self._share_missed

    @property
    def _share_missed(self) -> bool:
        if self.share_at_most is None or self.reference is None:
            return False
        return not self.ours <= self.share_at_most * self.reference

    @property
    def _comparable(self) -> bool:
        return self.compared and self.unit in _COMPARABLE

    @property
    def judged(self) -> bool:
        """Whether there is a target that applies to the measurement."""
        on_share = self.share_at_most is not None and self.reference is not None
        return self.at_most is not None or self.at_least is not None or on_share

    @property
    def target(self) -> str:
        """The target as text."""
        if self.share_at_most is not None:
            return f"share ≤ {self.share_at_most}"
        if self.at_most is not None:
            return f"≤ {self._shown(self.at_most)}" if self.at_most else "0"
        return f"≥ {self._shown(self.at_least)}" if self.at_least is not None else "–"

    @property
    def ratio(self) -> str:
        """How many times better ours is, as text."""
        if self.reference is None or not self._comparable:
            return "–"
        larger, smaller = (self.ours, self.reference) if self.more_is_better else (self.reference, self.ours)
        return f"{larger / smaller:,.1f}×" if smaller else "–"

    @property
    def share(self) -> str:
        """Ours divided by the reference's, as text."""
        if not self.reference or not self._comparable:
            return "–"
        return f"{self.ours / self.reference:.3f}"

    def cells(self, *, shares: bool = False) -> Sequence[str]:
        """Return the row of the table, with the share of the reference instead of the ratio if ``shares`` is set."""
        reference = "–" if self.reference is None else self._shown(self.reference)
        compared = self.share if shares else self.ratio
        met = ("yes" if self.met else "**no**") if self.judged else "–"
        return (self.benchmark, self.what, self._shown(self.ours), reference, compared, self.target, met)

    def _shown(self, value: float) -> str:
        if math.isnan(value):
            return "never"
        if self.unit == "s":
            return f"{value * 1000:.1f} ms" if abs(value) < 1 else f"{value:.1f} s"
        if self.unit in ("%", "kB", "MB", "/s"):
            return f"{value:.1f}{'' if self.unit == '/s' else ' '}{self.unit}"
        return f"{value:,.0f}"


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that ``share`` of the values do not exceed; NaN if there are no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def table(figures: Sequence[Figure], *, shares: bool = False) -> str:
    """Return the figures as a Markdown table that is also readable on a terminal, with ratios or shares."""
    header = ("Benchmark", "Figure", "Ours", "Reference", "Share" if shares else "Ratio", "Target", "Met")
    rows = [list(header), *(list(figure.cells(shares=shares)) for figure in figures)]
    for row, former in reversed([*zip(rows[1:], rows, strict=False)]):
        if row[0] == former[0]:
            row[0] = ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["| " + " | ".join(cell.ljust(widths[column]) for column, cell in enumerate(row)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def write(document: Path, target: str, text: str) -> None:
    """Write a text between the markers of a document that name a target of make."""
    begin = _BEGIN.format(target=target)
    before, found, rest = document.read_text(encoding="utf-8").partition(begin)
    _, end, after = rest.partition(_END)
    if not found or not end:
        raise ValueError(f"{document} has no markers for the table of make {target}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
