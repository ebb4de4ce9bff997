"""Do the benchmarks work? A small run of one of the executor's, and the tables."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.report import Figure, table, write
from tests.bench.runner import DOCUMENT

_PROGRAM = Path(__file__).with_name("executor.py")
_IMAGE_CHECK = Path(__file__).with_name("image_check.py")
_END = "<!-- end of the table -->"


def test_small_benchmarks_run() -> None:
    """Real executor processes, the real API, and no target of correctness missed."""
    command = [sys.executable, str(_PROGRAM), "--quick", "--only", "lost"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "second containers" in done.stdout


def test_an_image_is_checked_in_few_requests() -> None:
    """Real processes and real HTTP; more than five requests would be a missed target of correctness."""
    done = subprocess.run([sys.executable, str(_IMAGE_CHECK), "--quick"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("requests") == 2


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


@pytest.mark.parametrize(
    ("figure", "met", "share", "target"),
    [
        (Figure("b", "f", 2.0, 10.0, share_at_most=0.22), True, "0.200", "share ≤ 0.22"),
        (Figure("b", "f", 2.21, 10.0, share_at_most=0.22), False, "0.221", "share ≤ 0.22"),
        (Figure("b", "f", 2.0, share_at_most=0.22), True, "–", "share ≤ 0.22"),
        (Figure("b", "f", math.nan, 10.0, share_at_most=0.22), False, "nan", "share ≤ 0.22"),
        (Figure("b", "f", 200.0, 146.0, unit="MB", at_most=221), True, "1.370", "≤ 221.0 MB"),
        (Figure("b", "f", 2.0, 0.0, unit="MB"), True, "–", "–"),
    ],
)
def test_a_target_on_the_share_of_the_reference(figure: Figure, met: bool, share: str, target: str) -> None:
    """It cannot be missed where the reference was not measured, and then it is not called met either."""
    assert (figure.met, figure.share, figure.target) == (met, share, target)
    shown = figure.cells(shares=True)
    assert shown[4] == share
    assert shown[6] == ("–" if not figure.judged else "yes" if met else "**no**")
    assert figure.judged is (target != "–" and not (figure.reference is None and figure.share_at_most is not None))


@pytest.mark.parametrize("target", ["bench-images", "bench-executor", "bench-image-check", "bench-e2e"])
def test_a_table_is_written_between_its_markers(target: str, tmp_path: Path) -> None:
    """Again and again, and nothing else changes."""
    source = DOCUMENT.read_text(encoding="utf-8")
    document = tmp_path / "benchmarks.md"
    document.write_text(source, encoding="utf-8")
    write(document, target, table([Figure("first", "f", 1.0)]))
    write(document, target, table([Figure("second", "f", 1.0), Figure("second", "g", 0.5)]))
    text = document.read_text(encoding="utf-8")
    marker = f"<!-- table: make {target} writes it -->"
    before, _, rest = text.partition(marker)
    assert before == source.partition(marker)[0]
    written, _, after = rest.partition(_END)
    assert after == source.partition(marker)[2].partition(_END)[2]
    assert written.count("second ") == 1
    assert "first" not in written
    with pytest.raises(ValueError, match=f"no markers for the table of make {target}"):
        write(_PROGRAM, target, "text")
