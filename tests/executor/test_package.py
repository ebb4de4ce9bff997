"""The installed distribution, as Airflow and an administrator see it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import airflow_ecs_executor
import pytest
from airflow_ecs_executor.config.options import OWN_SECTION, named

SECTION = "airflow_ecs_executor"
IMPORT_ALL = """
import pkgutil, sys
import airflow_ecs_executor
for module in pkgutil.walk_packages(airflow_ecs_executor.__path__, "airflow_ecs_executor."):
    __import__(module.name)
assert airflow_ecs_executor.AwsEcsExecutor.__module__ == "airflow_ecs_executor.executor"
print(*sorted(sys.modules), sep="\\n")
"""


@pytest.fixture(params=["with the Amazon provider", "without the Amazon provider"])
def python(request: pytest.FixtureRequest, python_without_amazon: str) -> str:
    """A Python of this Airflow."""
    return python_without_amazon if request.param.startswith("without") else sys.executable


def output(folder: Path, *command: str) -> str:
    """What a command prints, run outside of this repository."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules_after(folder: Path, python: str, code: str) -> set[str]:
    """The top-level modules that are loaded after some code."""
    return {name.partition(".")[0] for name in output(folder, python, "-c", code).split()}


def test_the_environments_are_what_they_are_called(python: str, tmp_path: Path) -> None:
    code = "from importlib import metadata; print(*(found.metadata['Name'] for found in metadata.distributions()))"
    assert ("apache-airflow-providers-amazon" in output(tmp_path, python, "-c", code).split()) is (
        python == sys.executable
    )


def test_the_version_is_that_of_the_distribution() -> None:
    assert metadata.version("airflow-ecs-executor") == airflow_ecs_executor.__version__


def test_airflow_lists_our_section(tmp_path: Path) -> None:
    listed = output(tmp_path, sys.executable, "-m", "airflow", "config", "list", "--include-descriptions")
    _, found, after = listed.partition(f"[{SECTION}]\n")
    assert found, listed
    ours = after.partition("\n[")[0]
    assert ours.startswith("# "), "no description"
    # Airflow 3.3 hides values, and comments defaults out.
    assert set(re.findall(r"^(?:# )?(\w+) = ", ours, re.MULTILINE)) == set(named(OWN_SECTION))


def test_airflow_lists_us_among_the_providers(tmp_path: Path) -> None:
    listed = output(tmp_path, sys.executable, "-m", "airflow", "providers", "list", "--output", "plain")
    ours = [line.split() for line in listed.splitlines() if line.startswith("airflow-ecs-executor")]
    assert [line[-1] for line in ours] == [airflow_ecs_executor.__version__], listed


def test_every_module_can_be_imported_and_nothing_of_the_other_parts_is(python: str, tmp_path: Path) -> None:
    loaded = modules_after(tmp_path, python, IMPORT_ALL)
    assert SECTION in loaded
    assert not loaded & {"airflow_ecs_entrypoint", "images", "local", "tests", "hatchling"}
