"""The images under test: what is built, with which flags, and the build tool's command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from images.matrix import AirflowRelease
from local.machine.bases import usable_python
from local.machine.image_build import trust
from tests.paths import ROOT
from tests.releases import MATRIX, NEWEST_2, NEWEST_3, OLDEST

DATA = Path(__file__).parent / "data"
PROJECT = ROOT / "tests" / "dags" / "project"
REPOSITORY = "airflow-ecs-test"

REQUIREMENTS = ["--requirements", str(DATA / "requirements.txt")]


@dataclass(frozen=True)
class Product:
    """An image under test: the flags that build it and what they promise."""

    airflow: str
    python: str
    mode: str
    """How DAGs reach its containers."""
    flags: tuple[str, ...]
    flavour: str = "full"
    packages: tuple[str, ...] = ()
    """Versions of packages that it has beside those of its base: ``name==version``."""
    container_dag_path: str = "/opt/airflow/dags"
    aws_cli: bool = True
    name: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def base(self) -> tuple[str, str, str]:
        """What its base image holds: Airflow, Python, flavour."""
        return self.airflow, self.python, self.flavour

    @property
    def identifier(self) -> str:
        """Its name in the matrix."""
        prefix = "" if self.flavour == "full" else f"{self.flavour}-"
        return f"{prefix}{self.airflow}-python{self.python}-{self.mode}"

    @property
    def reference(self) -> str:
        """The tag under which the tests know the image."""
        return f"{REPOSITORY}:{self.name or self.identifier}"


def python_for(release: AirflowRelease) -> str:
    """The default Python of a release; where neither Docker Hub nor that Python can be reached, the newest that can."""
    return usable_python(release.version, release.default_python, release.pythons)


def _pair(release: AirflowRelease, python: str) -> tuple[str, ...]:
    return ("--airflow", release.version, "--python", python)


def _loading(release: AirflowRelease, python: str) -> Product:
    """The image that loads DAGs from S3 and has no option besides."""
    return Product(release.version, python, "s3", (*_pair(release, python), "--dags", "s3"))


_LOCAL = ("--dag-path", str(PROJECT))
_PYTHON_2, _PYTHON_3 = python_for(NEWEST_2), python_for(NEWEST_3)

# Images that differ in nothing but the DAG mode are built by one command: that they are is tested by their layers.
WORKER, BAKED, BARE = (
    Product(NEWEST_2.version, _PYTHON_2, mode, ("--select", f"{NEWEST_2.version}-python{_PYTHON_2}-*", *_LOCAL))
    for mode in ("s3", "local", "none")
)
NEW_WORKER, NEW_BAKED = (
    Product(
        NEWEST_3.version,
        _PYTHON_3,
        mode,
        ("--select", f"{NEWEST_3.version}-python{_PYTHON_3}-[sl]*", *_LOCAL, "--container-dag-path", "/data/dags"),
        container_dag_path="/data/dags",
    )
    for mode in ("s3", "local")
)
OLD_WORKER = _loading(OLDEST, OLDEST.pythons[0])
NEW_SLIM = Product(
    NEWEST_3.version,
    _PYTHON_3,
    "s3",
    (*_pair(NEWEST_3, _PYTHON_3), "--base", "slim", "--no-aws-cli", *REQUIREMENTS),
    flavour="slim",
    packages=("cowsay==6.1",),
    aws_cli=False,
)
EVERYTHING = Product(
    NEWEST_2.version,
    _PYTHON_2,
    "local",
    (
        *(*_pair(NEWEST_2, _PYTHON_2), "--dags", "local", *_LOCAL, "--requirements", str(DATA / "unpinned.txt")),
        *("--constraints", str(DATA / "constraints.txt"), "--apt-packages", "jq", "tree", "--region", "eu-central-1"),
        *("--plugins-path", str(DATA / "plugins"), "--config-path", str(DATA / "config")),
        *("--env", 'GREETING=say "hi" for $5 \\o/', "--airflow-cfg", str(DATA / "airflow.cfg")),
        *("--label", "com.example.team=data", "--tag", f"{REPOSITORY}:everything"),
        *("--pip-config", str(DATA / "pip.conf"), "--progress", "plain"),
    ),
    packages=("cowsay==6.0",),
    name="everything",
    environment={"GREETING": 'say "hi" for $5 \\o/', "AWS_DEFAULT_REGION": "eu-central-1"},
)
SLIM = Product(OLDEST.version, "3.11", "s3", (*_pair(OLDEST, "3.11"), "--base", "slim"), flavour="slim")

PRODUCTS = (WORKER, BAKED, BARE, OLD_WORKER, NEW_WORKER, NEW_BAKED, NEW_SLIM, EVERYTHING)
"""What is built for `make test`; all others are for every Airflow of the matrix."""
# One image with DAGs from S3 for each Airflow of the matrix.
EVERY_AIRFLOW = {
    release.version: {OLDEST: OLD_WORKER, NEWEST_2: WORKER, NEWEST_3: NEW_WORKER}.get(release)
    or _loading(release, python_for(release))
    for release in MATRIX.releases
}
# Airflow 2 hands a command line to its executor, Airflow 3 a workload.
WITH_COMMANDS = [product for airflow, product in EVERY_AIRFLOW.items() if airflow.startswith("2.")]
WITH_WORKLOADS = [product for airflow, product in EVERY_AIRFLOW.items() if not airflow.startswith("2.")]


def each(products: Iterable[Product]) -> list[Any]:
    """Parameters for a test of several images; those that `make test` does not build are for the whole matrix."""
    return [
        pytest.param(product, id=product.name or product.identifier, marks=() if product in PRODUCTS else _ALL_AIRFLOWS)
        for product in products
    ]


_ALL_AIRFLOWS = pytest.mark.full


def build_py(*flags: str | Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the build tool as a user does; package downloads trust the machine's certificates."""
    command = [sys.executable, str(ROOT / "build.py"), *map(str, flags)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **(environment or {})})


def build_flags() -> list[str]:
    """Flags that every build on this machine needs."""
    return trust("--ca-bundle")
