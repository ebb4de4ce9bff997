"""What all programs with benchmarks do alike: options, scenarios in turn, the table, the exit code."""

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
    """The benchmarks of one thing."""

    target: str
    """Of make: the table is written between the markers that name it."""
    description: str
    quick: str
    """What is left out with ``--quick``."""
    used_for: str
    """What shares the machine."""
    scenarios: Mapping[str, Callable[[Bench], list[Figure]]]
    prepare: Callable[[argparse.Namespace], Bench]
    details: Callable[[Bench], Sequence[str]]
    """What was measured: one line each."""
    add_options: Callable[[argparse.ArgumentParser], Sequence[argparse.Action]]
    """Adds options of its own, and returns those that leave something out of the table."""
    shares: bool = False
    """Show ours as a share of the reference's, not how many times better it is."""

    def run(self, arguments: Sequence[str] | None = None) -> int:
        """Measure, print the table, and return 1 when a target of ours is missed."""
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
                "--only", action="append", choices=[*self.scenarios], help="a benchmark; may be given repeatedly"
            ),
            parser.add_argument("--quick", action="store_true", help=f"{self.quick}, ours alone: does it work?"),
            *self.add_options(parser),
        ]
        parser.add_argument("--write", action="store_true", help=f"write the table to docs/{DOCUMENT.name}")
        options = parser.parse_args(arguments)
        if options.write and any(getattr(options, action.dest) for action in partial):
            names = ", ".join(action.option_strings[0] for action in partial)
            parser.error(f"--write writes the whole table: not with any of {names}")
        return options
