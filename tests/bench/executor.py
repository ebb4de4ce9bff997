"""The executor's benchmarks, beside the reference executor's: make bench-executor

    .venv/bin/python tests/bench/executor.py [--only NAME] [--quick] [--ours] [--write]

Prints a table, and exits with 1 when our executor misses a target. What is measured, and how: docs/benchmarks.md.
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
from tests.bench.driven import Contender
from tests.bench.report import Figure, table, write
from tests.bench.scenarios import QUICK, SCENARIOS, Bench, Sizes
from tests.executor.environments import REFERENCE, ROOT, environment, make, release_of

_DOCUMENT = ROOT / "docs" / "benchmarks.md"
_TARGET = "bench-executor"
_OURS = "airflow_ecs_executor:AwsEcsExecutor"
_REFERENCE = "airflow.providers.amazon.aws.executors.ecs.ecs_executor:AwsEcsExecutor"


def prepare(*, quick: bool, alone: bool) -> Bench:
    """Make the environments."""
    ours = make(environment(release_of(REFERENCE).version))  # the same Airflow for both
    reference = None if alone else Contender("the reference executor", make(environment(REFERENCE)), _REFERENCE)
    return Bench(
        ours=Contender("our executor", ours, _OURS, own_options=True),
        reference=reference,
        sizes=QUICK if quick else Sizes(),
        say=say,
    )


def circumstances(bench: Bench, load_before: float) -> str:
    """The machine, and what was measured on it."""
    lines = [f"{machine('the executor and the API together', load_before)} `make {_TARGET}`"]
    for name, versions in bench.versions.items():
        listed = ", ".join(f"{item} {version}" for item, version in versions.items())
        lines.append(f"- {name}: {listed}")
    return "\n".join([lines[0], "", *lines[1:]])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run benchmarks; 1 when a target of ours is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[*SCENARIOS], help="a benchmark; may be given repeatedly")
    parser.add_argument("--quick", action="store_true", help="few tasks, ours alone: does it work? No figures to quote")
    parser.add_argument("--ours", action="store_true", help="without the reference executor")
    parser.add_argument("--write", action="store_true", help=f"write the table to {_DOCUMENT.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    if options.write and (options.quick or options.ours or options.only):
        parser.error("--write writes the whole table: not with --quick, --ours or --only")
    load_before = load()
    bench = prepare(quick=options.quick, alone=options.quick or options.ours)
    figures: list[Figure] = []
    for name in options.only or SCENARIOS:
        began = time.monotonic()
        found = SCENARIOS[name](bench)
        figures += found
        say(f"{name}: {time.monotonic() - began:.0f} s\n{table(found)}\n")
    text = f"{circumstances(bench, load_before)}\n\n{table(figures)}"
    print(text)
    if options.write:
        try:
            write(_DOCUMENT, _TARGET, text)
        except ValueError as error:
            raise LocalError(str(error)) from None
    missed = [figure for figure in figures if not figure.met and (figure.correctness or not options.quick)]
    for figure in missed:
        say(f"MISSED: {figure.benchmark}: {figure.what}: {' / '.join(figure.cells()[2:6])}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(guarded(main))
