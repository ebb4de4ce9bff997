"""The executor's tests inside Airflow: python -m tests.executor.run AIRFLOW [--python 3.8] [pytest's arguments]

Makes the environments, starts a PostgreSQL for the tests that need one, and runs pytest on tests/executor by the
environment's Python. What the tests are told, as environment variables:

LOCAL_ECS_PYTHON               a Python that can run local.ecs: this one
REFERENCE_PYTHON               the Python of the reference executor's environment
AIRFLOW_WITHOUT_AMAZON_PYTHON  the Python of the same Airflow without the Amazon provider
TEST_POSTGRES_URL              a PostgreSQL; tests make databases of their own in it. One given here is used as it is.

conftest.py sets up the rest: Airflow's home, and an AWS that is not there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from local.console import guarded
from tests.executor.environments import REFERENCE, ROOT, environment, make


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL: the one that is given, else one of the local stack's."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        yield given
        return
    from local.stack import Stack  # connects to the engine

    with Stack() as stack:
        host, port = stack.postgres_address
        yield f"postgresql+psycopg2://airflow:{stack.postgres_password}@{host}:{port}/postgres"


def run(airflow: str, python: str | None, arguments: Sequence[str], *, with_postgres: bool = True) -> int:
    """Run the tests on one Airflow and return pytest's exit code."""
    tested = environment(airflow, python)
    interpreter = make(tested)
    settings = {
        "LOCAL_ECS_PYTHON": sys.executable,
        "REFERENCE_PYTHON": str(make(environment(REFERENCE))),
        "AIRFLOW_WITHOUT_AMAZON_PYTHON": str(make(environment(airflow, tested.python, without_amazon=True))),
    }
    with ExitStack() as guard:
        if with_postgres:
            settings["TEST_POSTGRES_URL"] = guard.enter_context(postgres())
        command = [str(interpreter), "-m", "pytest", "-c", "tests/executor/pytest.ini"]
        # The tests on the command line, or all.
        command += arguments if any(part.startswith("tests/") for part in arguments) else ["tests/executor", *arguments]
        inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        return subprocess.run(command, cwd=ROOT, env={**inherited, **settings}).returncode


def main() -> int:
    """Run the tests on the Airflow of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("airflow", metavar="AIRFLOW", help="an Airflow version of matrix.yaml")
    parser.add_argument("--python", help="the Python, such as 3.8; default: this one where Airflow runs on it")
    parser.add_argument(
        "--no-postgres",
        action="store_true",
        help="start no PostgreSQL: tests that need one fail, but no engine is needed",
    )
    options, rest = parser.parse_known_args()
    return run(options.airflow, options.python, rest, with_postgres=not options.no_postgres)


if __name__ == "__main__":
    sys.exit(guarded(main))
