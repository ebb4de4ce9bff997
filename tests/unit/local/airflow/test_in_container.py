"""The scripts that run in containers, as far as they need no Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.airflow.in_container import example_dags

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
