"""Do the benchmarks work? A small run of one of them, and the table."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.report import Figure, percentile, table, write

_PROGRAM = Path(__file__).with_name("executor.py")


def test_small_benchmarks_run() -> None:
    """Real executor processes, the real API, and no target of correctness missed."""
    command = [sys.executable, str(_PROGRAM), "--quick", "--only", "lost"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "second containers" in done.stdout


@pytest.mark.parametrize(
    ("figure", "met", "ratio"),
    [
        (Figure("b", "f", 0.01, 10.0, at_most=0.05), True, "1,000.0×"),
        (Figure("b", "f", 0.06, 10.0, at_most=0.05), False, "166.7×"),
        (Figure("b", "f", 100.0, 10.0, unit="/s", more_is_better=True), True, "10.0×"),
        (Figure("b", "f", 94.9, unit="%", at_least=95), False, "–"),
        (Figure("b", "f", 0, 3, unit="", at_most=0), True, "–"),
        (Figure("b", "f", math.nan, at_most=30), False, "–"),
    ],
)
def test_a_figure_knows_its_target(figure: Figure, met: bool, ratio: str) -> None:
    """A figure that could not be measured misses its target."""
    assert figure.met is met
    assert figure.ratio == ratio


def test_percentile() -> None:
    """The smallest value that so many do not exceed."""
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([3.0], 0.5) == 3.0
    assert math.isnan(percentile([], 0.5))


def test_the_table_is_written_between_its_markers(tmp_path: Path) -> None:
    """Again and again, and nothing else changes."""
    source = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
    document = tmp_path / "benchmarks.md"
    document.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    write(document, table([Figure("first", "f", 1.0)]))
    write(document, table([Figure("second", "f", 1.0), Figure("second", "g", 0.5)]))
    text = document.read_text(encoding="utf-8")
    assert "first" not in text.partition("## How it is measured")[0]
    assert text.count("second ") == 1
    assert text.endswith(source.read_text(encoding="utf-8").partition("## How it is measured")[2])
    with pytest.raises(ValueError, match="no markers"):
        write(_PROGRAM, "text")
