"""The benchmarks of the images, compared with the reference image: make bench-images.

    .venv/bin/python tests/bench/images.py [--only NAME] [--airflow VERSION] [--quick] [--write]

Prints a table and exits with 1 if our image misses a target. docs/benchmarks.md describes the measurements.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run by its path

from local.machine.console import guarded, say
from tests.bench.image_contenders import AIRFLOWS, described
from tests.bench.image_scenarios import SCENARIOS, Bench
from tests.bench.runner import Benchmarks

_ROUNDS = 5


def prepare(options: argparse.Namespace) -> Bench:
    """Return what is measured. Images are built when they are first used."""
    return Bench(
        airflows=tuple(options.airflow or AIRFLOWS),
        rounds=1 if options.quick else _ROUNDS,
        alone=options.quick,
        say=say,
    )


def details(bench: Bench) -> list[str]:
    """Return the base images."""
    bases = "; ".join(described(base) for base in bench.bases)
    return [f"on {bases}; medians of {bench.rounds} containers each"]


def add_options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Add the options of this program."""
    return [
        parser.add_argument("--airflow", action="append", choices=AIRFLOWS, help="an Airflow version; can be repeated")
    ]


BENCHMARKS = Benchmarks(
    target="bench-images",
    description=__doc__,
    quick="one container each",
    used_for="the containers, the engine, S3 and the database together",
    scenarios=SCENARIOS,
    prepare=prepare,
    details=details,
    add_options=add_options,
    shares=True,
)


if __name__ == "__main__":
    sys.exit(guarded(BENCHMARKS.run))
