"""The executor's tests inside Airflow: python -m tests.executor.run [--full] [--airflow V [--python P]] [PYTEST…].

They run on the newest Airflow 2, the newest Airflow 3, and the oldest Airflow on its oldest Python for what differs
there, side by side; with `--full` on every Airflow of the matrix, one after the other, with more tasks. Further
arguments go to pytest.

Makes the environments, starts a PostgreSQL for the tests that need one, and runs pytest on tests/executor by each
environment's Python. What the tests are told, as environment variables:

LOCAL_ECS_PYTHON               a Python that can run local.ecs: this one
REFERENCE_PYTHON               the Python of the reference executor's environment
AIRFLOW_WITHOUT_AMAZON_PYTHON  the Python of the same Airflow without the Amazon provider
TEST_POSTGRES_URL              a PostgreSQL; tests make databases of their own in it
SCENARIO_TASKS                 with `--full`: how many tasks a scheduler gets at once

conftest.py sets up the rest: Airflow's home, and an AWS that is not there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from subprocess import STDOUT

import pytest

from local.aws_services.stack import Stack
from local.machine.console import guarded
from tests.executor.environments import REFERENCE, environment, make
from tests.interpreters import interpreters
from tests.paths import ROOT
from tests.releases import MATRIX, NEWEST_2, NEWEST_3, OLDEST

MANY_TASKS = "1000"


@dataclass(frozen=True)
class Run:
    """Tests on one Airflow. Without a Python, that of this process is used, if Airflow supports it."""

    airflow: str
    python: str | None = None
    arguments: tuple[str, ...] = ()

    def command(self, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """Pytest's command for these arguments, and what the tests are told; the environments are made."""
        tested = environment(self.airflow, self.python)
        command = [str(make(tested)), "-m", "pytest", "-c", "tests/executor/pytest.ini", *self.arguments, *arguments]
        if not any(part.startswith("tests/") for part in arguments):
            command.append("tests/executor")
        return command, {
            "LOCAL_ECS_PYTHON": sys.executable,
            "REFERENCE_PYTHON": str(make(environment(REFERENCE))),
            "AIRFLOW_WITHOUT_AMAZON_PYTHON": str(make(environment(self.airflow, tested.python, without_amazon=True))),
        }


def runs(airflows: Sequence[str], python: str | None, *, full: bool) -> list[Run]:
    """The runs that are asked for."""
    if airflows:
        return [Run(airflow, python) for airflow in airflows]
    oldest_python = OLDEST.pythons[0] if OLDEST.pythons[0] in interpreters() else OLDEST.default_python
    if full:
        return [Run(OLDEST.version, oldest_python), *(Run(release.version) for release in MATRIX.releases)]
    return [
        Run(NEWEST_3.version),
        Run(NEWEST_2.version, None, ("--ignore=tests/executor/differential",)),  # requests are the same on each Airflow
        Run(OLDEST.version, oldest_python, ("-m", "oldest")),
    ]


def run_all(chosen: Sequence[Run], arguments: Sequence[str], told: dict[str, str], *, at_once: int) -> int:
    """Run them, show what each has printed when it has ended, and return an exit code of pytest.

    ``arguments``: for pytest, the same for each.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    processes: list[subprocess.Popen[bytes]] = []

    def run(one: Run) -> int:
        command, settings = one.command(arguments)
        started = time.monotonic()
        output = None if at_once == 1 else subprocess.PIPE
        environment = {**inherited, **told, **settings}
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output and STDOUT) as process:
            processes.append(process)
            printed, _ = process.communicate()
        if printed is not None:
            title = f"Airflow {one.airflow}, {time.monotonic() - started:.0f} s: {' '.join(command)}\n"
            sys.stdout.write(title + printed.decode(errors="replace"))
            sys.stdout.flush()
        return process.returncode

    with ThreadPoolExecutor(at_once) as pool:
        try:
            codes = [*pool.map(run, chosen)]
        except BaseException:  # of this thread: the others wait for their processes
            for process in processes:
                process.terminate()
            raise
    if _selects_tests(arguments):  # an Airflow may have none of them
        codes = [code for code in codes if code != pytest.ExitCode.NO_TESTS_COLLECTED] or codes
    return next((code for code in codes if code), 0)


def _selects_tests(arguments: Sequence[str]) -> bool:
    return any(part.startswith(("-k", "-m", "tests/")) for part in arguments)


def main() -> int:
    """Run the tests of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--airflow", action="append", default=[], help="an Airflow version of matrix.yaml")
    parser.add_argument("--python", help="its Python, such as 3.8; default: this one where Airflow runs on it")
    parser.add_argument("--full", action="store_true", help="every Airflow, one after the other, and more tasks")
    options, arguments = parser.parse_known_args()
    if options.python and not options.airflow:
        parser.error("--python needs --airflow")
    chosen = runs(options.airflow, options.python, full=options.full)
    with Stack() as stack:
        host, port = stack.postgres_address
        address = f"postgresql+psycopg2://airflow:{stack.postgres_password}@{host}:{port}/postgres"
        told = {"TEST_POSTGRES_URL": address, **({"SCENARIO_TASKS": MANY_TASKS} if options.full else {})}
        return run_all(chosen, arguments, told, at_once=1 if options.full else len(chosen))


if __name__ == "__main__":
    sys.exit(guarded(main))
