"""The images under test: what is built, with which flags, and the build tool's command."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from images.matrix import load_matrix
from local.bases import usable_python
from local.image_build import trust

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(__file__).parent / "data"
PROJECT = ROOT / "tests" / "dags" / "project"
REPOSITORY = "airflow-ecs-test"

REQUIREMENTS = ["--requirements", str(DATA / "requirements.txt")]


@dataclass(frozen=True)
class Product:
    """An image under test: the flags that build it and what they promise."""

    identifier: str
    base: tuple[str, str, str]  # Airflow, Python, flavour
    flags: tuple[str, ...] = ()
    requirements: bool = False
    container_dag_path: str = "/opt/airflow/dags"
    aws_cli: bool = True
    name: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """The tag under which the tests know the image."""
        return f"{REPOSITORY}:{self.name or self.identifier}"

    @property
    def mode(self) -> str:
        """Its DAG mode."""
        return self.identifier.rpartition("-")[2]


# Python 3.12 for Airflow 3, or, where neither Docker Hub nor a Python 3.12 can be reached, the newest that can.
NEW = usable_python("3.3.2", "3.12", ("3.10", "3.11", "3.13", "3.14"))

_LOCAL = ("--dag-path", str(PROJECT))
_V2, _V2_OLD, _V3 = ("2.10.5", "3.11", "full"), ("2.10.5", "3.8", "full"), ("3.3.2", NEW, "full")
_V2_SLIM, _V3_SLIM = ("2.10.5", "3.11", "slim"), ("3.3.2", NEW, "slim")

# The images of one entry are built by one command.
FAMILIES: dict[str, tuple[Product, ...]] = {
    "Airflow 2, every DAG mode": tuple(
        Product(f"2.10.5-python3.11-{mode}", _V2, ("--select", "2.10.5-python3.11-*", *_LOCAL))
        for mode in ("s3", "local", "none")
    ),
    "Airflow 2 on the oldest Python": (
        Product("2.10.5-python3.8-s3", _V2_OLD, ("--python", "3.8", "--dags", "s3", *REQUIREMENTS), requirements=True),
    ),
    "Airflow 3, DAGs in a folder of their own": tuple(
        Product(
            f"3.3.2-python{NEW}-{mode}",
            _V3,
            ("--select", f"3.3.2-python{NEW}-[sl]*", *_LOCAL, "--container-dag-path", "/data/dags"),
            container_dag_path="/data/dags",
        )
        for mode in ("s3", "local")
    ),
    "Airflow 2, slim": (
        Product(
            "slim-2.10.5-python3.11-s3",
            _V2_SLIM,
            ("--airflow", "2.10.5", "--python", "3.11", "--base", "slim", "--no-aws-cli", *REQUIREMENTS),
            requirements=True,
            aws_cli=False,
        ),
    ),
    "Airflow 3, slim": (
        Product(f"slim-3.3.2-python{NEW}-s3", _V3_SLIM, ("--airflow", "3.3.2", "--python", NEW, "--base", "slim")),
    ),
    "every option at once": (
        Product(
            "2.10.5-python3.11-local",
            _V2,
            (
                *("--airflow", "2.10.5", "--python", "3.11", "--dags", "local", *_LOCAL, *REQUIREMENTS),
                *("--constraints", "none", "--apt-packages", "jq", "tree", "--region", "eu-central-1"),
                *("--plugins-path", str(DATA / "plugins"), "--config-path", str(DATA / "config")),
                *("--env", 'GREETING=say "hi" for $5 \\o/', "--airflow-cfg", str(DATA / "airflow.cfg")),
                *("--label", "com.example.team=data", "--tag", f"{REPOSITORY}:everything"),
                *("--pip-config", str(DATA / "pip.conf"), "--progress", "plain"),
            ),
            requirements=True,
            name="everything",
            environment={"GREETING": 'say "hi" for $5 \\o/', "AWS_DEFAULT_REGION": "eu-central-1"},
        ),
    ),
}
# Airflows that differ in what happens on SIGTERM, and in little else that the tests above would not show.
OTHER_AIRFLOWS: dict[str, tuple[Product, ...]] = {
    f"Airflow {release.version}": (
        Product(
            f"{release.version}-python{python}-s3",
            (release.version, python, "full"),
            ("--airflow", release.version, "--python", python, "--dags", "s3"),
        ),
    )
    for release in load_matrix().releases[1:-1]
    for python in [usable_python(release.version, "3.12", release.pythons)]
}
OLD_WORKER = f"{REPOSITORY}:2.10.5-python3.8-s3"
WORKER = f"{REPOSITORY}:2.10.5-python3.11-s3"
NEW_WORKER = f"{REPOSITORY}:3.3.2-python{NEW}-s3"
NEW_SLIM_WORKER = f"{REPOSITORY}:slim-3.3.2-python{NEW}-s3"
EVERYTHING = f"{REPOSITORY}:everything"

PRODUCTS = {product.reference: product for family in FAMILIES.values() for product in family}
# One image with DAGs from S3 for each Airflow of the matrix.
EVERY_AIRFLOW = {
    product.base[0]: product
    for product in (PRODUCTS[WORKER], *(family[0] for family in OTHER_AIRFLOWS.values()), PRODUCTS[NEW_WORKER])
}
WITH_WORKLOADS = {airflow: product for airflow, product in EVERY_AIRFLOW.items() if not airflow.startswith("2.")}


def build_py(*flags: str | Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the build tool as a user does; package downloads trust the machine's certificates."""
    command = [sys.executable, str(ROOT / "build.py"), *map(str, flags)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **(environment or {})})


def build_flags() -> list[str]:
    """Flags that every build on this machine needs."""
    return trust("--ca-bundle")
