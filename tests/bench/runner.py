"""The common part of all benchmark programs: options, scenarios, the table and the exit code."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from local.errors import LocalError
from local.machine.console import say
from tests.bench.circumstances import load, machine
from tests.bench.report import Figure, table, write
from tests.paths import DOCS

DOCUMENT = DOCS / "benchmarks.md"

Bench = TypeVar("Bench")


@dataclass(frozen=True)
class Benchmarks(Generic[Bench]):
    """The benchmarks of one program."""

    target: str
    """The target of make, which names the markers of the table in docs/benchmarks.md."""
    description: str
    quick: str
    """The size of a measurement with ``--quick``."""
    used_for: str
    """What shares the machine during the measurement."""
    scenarios: Mapping[str, Callable[[Bench], list[Figure]]]
    prepare: Callable[[argparse.Namespace], Bench]
    details: Callable[[Bench], Sequence[str]]
    """Returns lines that describe what was measured."""
    add_options: Callable[[argparse.ArgumentParser], Sequence[argparse.Action]]
    """Adds options, and returns those that omit a part of the table."""
    shares: bool = False
    """Whether the table shows ours as a share of the reference's instead of a ratio."""

    def run(self, arguments: Sequence[str] | None = None) -> int:
        """Measure and print the table. Return 1 if ours misses a target."""
        options = self._options(arguments)
        load_before = load()
        bench = self.prepare(options)
        figures: list[Figure] = []
        for name in options.only or self.scenarios:
            began = time.monotonic()
            found = self.scenarios[name](bench)
            figures += found
            say(f"{name}: {time.monotonic() - began:.0f} s\n{table(found, shares=self.shares)}\n")
        first = f"{machine(self.used_for, load_before)} `make {self.target}`"
        details = "\n".join(f"- {line}" for line in self.details(bench))
        text = f"{first}\n\n{details}\n\n{table(figures, shares=self.shares)}"
        print(text)
        if options.write:
            try:
                write(DOCUMENT, self.target, text)
            except ValueError as error:
                raise LocalError(str(error)) from None
        missed = [figure for figure in figures if not figure.met and (figure.correctness or not options.quick)]
        for figure in missed:
            say(f"MISSED: {figure.benchmark}: {figure.what}: {' / '.join(figure.cells(shares=self.shares)[2:6])}")
        return 1 if missed else 0

    def _options(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        parser = argparse.ArgumentParser(
            description=self.description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        partial = [
            parser.add_argument(
                "--only", action="append", choices=[*self.scenarios], help="a benchmark; can be repeated"
            ),
            parser.add_argument(
                "--quick", action="store_true", help=f"{self.quick}, only ours, to test the benchmarks"
            ),
            *self.add_options(parser),
        ]
        parser.add_argument("--write", action="store_true", help=f"write the table to docs/{DOCUMENT.name}")
        options = parser.parse_args(arguments)
        if options.write and any(getattr(options, action.dest) for action in partial):
            names = ", ".join(action.option_strings[0] for action in partial)
            parser.error(f"--write writes the whole table: not with any of {names}")
        return options
