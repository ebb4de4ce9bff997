"""The scripts that run in containers, as far as they need no Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.airflow.in_container import example_dags, prepare_run

SCRIPT = Path(example_dags.__file__)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A pretended Airflow 3: one example of the core, one that moved to the standard provider, one in both."""
    airflow = tmp_path / "airflow"
    for folder in ("example_dags", "providers/standard/example_dags"):
        (airflow / folder).mkdir(parents=True)
    (airflow / "__init__.py").write_text("raise SystemExit('Airflow was imported')\n", encoding="utf-8")
    (airflow / "example_dags" / "core.py").write_text("# core\n", encoding="utf-8")
    (airflow / "example_dags" / "both.py").write_text("# core's\n", encoding="utf-8")
    (airflow / "providers" / "standard" / "example_dags" / "moved.py").write_text("# moved\n", encoding="utf-8")
    (airflow / "providers" / "standard" / "example_dags" / "both.py").write_text("# moved's\n", encoding="utf-8")
    return tmp_path


def examples(installed: Path, *names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *names]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(installed)}, capture_output=True, text=True)


def test_examples_are_found_wherever_airflow_has_them_and_without_importing_it(installed: Path) -> None:
    done = examples(installed, "moved", "core", "both")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(example_dags.MARKER)
    found = json.loads(done.stdout[len(example_dags.MARKER) :])
    assert found == {"core.py": "# core\n", "moved.py": "# moved\n", "both.py": "# core's\n"}


def test_examples_that_this_airflow_does_not_have_are_named(installed: Path) -> None:
    done = examples(installed, "core", "nope", "neither")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "ERROR: this Airflow has no example DAG nope, neither\n"


class OfAirflow2:
    """A task instance of Airflow 2 hands out a command line."""

    def command_as_list(self, local: bool, pickle_id: object) -> list[object]:
        return ["airflow", "tasks", "run", Path("/dags/x.py"), local, pickle_id]

    class dag_model:
        pickle_id = 7


def test_the_command_of_airflow_2_is_that_of_its_scheduler_as_text() -> None:
    command = prepare_run.executor_command(OfAirflow2())
    assert command == ["airflow", "tasks", "run", "/dags/x.py", "True", "7"]


def test_an_airflow_without_dag_bundles_has_none() -> None:
    assert prepare_run.dag_bundles() == []


def test_what_is_not_there_in_this_version_is_an_import_error_or_attribute_error() -> None:
    assert prepare_run.attribute("json.decoder:JSONDecoder") is json.JSONDecoder
    with pytest.raises(ImportError):
        prepare_run.attribute("json.no_such_module:x")
    with pytest.raises(AttributeError):
        prepare_run.attribute("json:no_such_name")
