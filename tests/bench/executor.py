"""The executor's benchmarks, beside the reference executor's: make bench-executor.

    .venv/bin/python tests/bench/executor.py [--only NAME] [--quick] [--ours] [--write]

Prints a table, and exits with 1 when our executor misses a target. What is measured, and how: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run by its path

from local.machine.console import guarded, say
from tests.bench.driven import Contender
from tests.bench.runner import Benchmarks
from tests.bench.scenarios import QUICK, SCENARIOS, Bench, Sizes
from tests.executor.environments import REFERENCE, environment, make, release_of

_OURS = "airflow_ecs_executor:AwsEcsExecutor"
_REFERENCE = "airflow.providers.amazon.aws.executors.ecs.ecs_executor:AwsEcsExecutor"


def prepare(options: argparse.Namespace) -> Bench:
    """Make the environments."""
    ours = make(environment(release_of(REFERENCE).version))  # the same Airflow for both
    alone = options.quick or options.ours
    reference = None if alone else Contender("the reference executor", make(environment(REFERENCE)), _REFERENCE)
    return Bench(
        ours=Contender("our executor", ours, _OURS, own_options=True),
        reference=reference,
        sizes=QUICK if options.quick else Sizes(),
        say=say,
    )


def details(bench: Bench) -> list[str]:
    """The versions of each contender."""
    return [
        f"{name}: {', '.join(f'{item} {version}' for item, version in versions.items())}"
        for name, versions in bench.versions.items()
    ]


def add_options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Those of the executor alone."""
    return [parser.add_argument("--ours", action="store_true", help="without the reference executor")]


BENCHMARKS = Benchmarks(
    target="bench-executor",
    description=__doc__,
    quick="few tasks",
    used_for="the executor and the API together",
    scenarios=SCENARIOS,
    prepare=prepare,
    details=details,
    add_options=add_options,
)


if __name__ == "__main__":
    sys.exit(guarded(BENCHMARKS.run))
