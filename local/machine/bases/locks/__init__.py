"""Locked dependencies of each Airflow version, one universal file for all its Pythons."""

from __future__ import annotations

import datetime
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from local.errors import BaseImageError
from local.machine.console import run, step

_FOLDER = Path(__file__).parent
_DATA = _FOLDER.parent / "requirements.yaml"
SETTLED = datetime.timedelta(days=3)
"""How long after an Airflow's release its lock stands for: by then its providers are there."""
# uv takes a bare 3.8 as 3.8.0, which some wheels of Airflow's dependencies exclude.
_FULL_VERSIONS = {"3.8": "3.8.18"}


def lock_file(airflow: str) -> Path:
    """Return where the lock of an Airflow version is, whether it exists or not."""
    return _FOLDER / f"airflow-{airflow}.txt"


@cache
def requirements_data() -> dict[str, Any]:
    """Return the content of requirements.yaml."""
    data = yaml.safe_load(_DATA.read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def resolve(airflow: str, *, python: str, until: datetime.date | None = None) -> str:
    """Resolve Airflow and the extras of the full flavour for ``python`` and every newer one."""
    data = requirements_data()
    extras = ",".join(data["extras"]["full"])
    command = [
        str(Path(sys.executable).with_name("uv")),
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--no-header",
        "--no-annotate",
    ]
    command += ["--no-emit-index-url", "--no-emit-find-links"]
    command += ["--python-version", _FULL_VERSIONS.get(python, python)]
    if until is not None:
        command += ["--exclude-newer", until.isoformat()]
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder:
        source = Path(folder) / "requirements.in"
        lines = [f"apache-airflow[{extras}]=={airflow}", *data["tools"], ""]
        source.write_text("\n".join(lines), encoding="utf-8")
        target = Path(folder) / "requirements.txt"
        run(
            [*command, str(source), "--output-file", str(target)],
            error=BaseImageError,
            failure=f"The dependencies of Airflow {airflow} on Python {python} could not be resolved",
        )
        return target.read_text(encoding="utf-8")


def lock(airflow: str, lowest: str, released: datetime.date | None) -> str:
    """Return the lock of an Airflow on its lowest Python and up, as of a few days after its release."""
    until = released + SETTLED if released else None
    header = (
        f"# Airflow {airflow} on Python {lowest} and up, with the extras of bases/requirements.yaml, "
        f"as of {until or 'today'}.\n# Made by: python -m local.machine.bases lock {airflow}\n"
    )
    return header + resolve(airflow, python=lowest, until=until)


def write_locks(airflows: Iterable[tuple[str, str]]) -> None:
    """Write the lock of each (Airflow, lowest Python)."""
    released: dict[str, datetime.date] = requirements_data()["released"]
    for airflow, lowest in airflows:
        with step(f"Lock of Airflow {airflow}, Python {lowest} and up"):
            lock_file(airflow).write_text(lock(airflow, lowest, released.get(airflow)), encoding="utf-8")
