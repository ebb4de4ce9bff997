"""The images' benchmarks, beside the reference image's: make bench-images

    .venv/bin/python tests/bench/images.py [--only NAME] [--airflow VERSION] [--quick] [--write]

Prints a table, and exits with 1 when our image misses a target. What is measured, and how: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run by its path

from local.console import guarded, say
from local.errors import LocalError
from tests.bench.circumstances import load, machine
from tests.bench.image_contenders import AIRFLOWS, ROOT, described
from tests.bench.image_scenarios import SCENARIOS, Bench
from tests.bench.report import Figure, table, write

_DOCUMENT = ROOT / "docs" / "benchmarks.md"
_TARGET = "bench-images"
_ROUNDS = 5


def circumstances(bench: Bench, load_before: float) -> str:
    """The machine, and the base images."""
    first = machine("the containers, the engine, S3 and the database together", load_before)
    bases = "; ".join(described(base) for base in bench.bases)
    return f"{first} `make {_TARGET}`\n\n- on {bases}; medians of {bench.rounds} containers each"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run benchmarks; 1 when a target of ours is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[*SCENARIOS], help="a benchmark; may be given repeatedly")
    parser.add_argument("--airflow", action="append", choices=AIRFLOWS, help="an Airflow; may be given repeatedly")
    parser.add_argument("--quick", action="store_true", help="one container each, ours alone: does it work?")
    parser.add_argument("--write", action="store_true", help=f"write the table to {_DOCUMENT.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    if options.write and (options.quick or options.only or options.airflow):
        parser.error("--write writes the whole table: not with --quick, --only or --airflow")
    load_before = load()
    bench = Bench(
        airflows=tuple(options.airflow or AIRFLOWS),
        rounds=1 if options.quick else _ROUNDS,
        alone=options.quick,
        say=say,
    )
    figures: list[Figure] = []
    for name in options.only or SCENARIOS:
        began = time.monotonic()
        found = SCENARIOS[name](bench)
        figures += found
        say(f"{name}: {time.monotonic() - began:.0f} s\n{table(found, shares=True)}\n")
    text = f"{circumstances(bench, load_before)}\n\n{table(figures, shares=True)}"
    print(text)
    if options.write:
        try:
            write(_DOCUMENT, _TARGET, text)
        except ValueError as error:
            raise LocalError(str(error)) from None
    missed = [figure for figure in figures if not figure.met and (figure.correctness or not options.quick)]
    for figure in missed:
        say(f"MISSED: {figure.benchmark}: {figure.what}: {' / '.join(figure.cells(shares=True)[2:6])}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(guarded(main))
