"""The contenders: our image, the reference image on the same base, and our image without its entrypoint."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.errors import BuildError
from local.machine.bases import Base, ensure_base, is_stand_in, usable_python
from local.machine.console import run
from local.machine.image_build import docker_build, trust
from tests.paths import ROOT
from tests.releases import MATRIX, NEWEST_3, OLDEST

_REFERENCE_FOLDER = Path(__file__).with_name("reference_image")
_AWS_CLI_FOLDER = ROOT / "images" / "aws-cli"
_OURS, _REFERENCE = "airflow-ecs-bench-ours", "airflow-ecs-bench-reference"
_MEASURED = {OLDEST: "3.11", NEWEST_3: NEWEST_3.default_python}
"""The Python versions that are measured. If a base image is not available, another version is used."""
AIRFLOWS = tuple(release.version for release in _MEASURED)


@dataclass(frozen=True)
class Contender:
    """An image and how its container is created."""

    name: str
    image: str
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Options of docker-py for the container."""


def base_of(airflow: str) -> Base:
    """Return the base image of the contenders."""
    release = MATRIX.release(airflow)
    return ensure_base(airflow, usable_python(airflow, _MEASURED[release], release.pythons))


def described(base: Base) -> str:
    """Return the name of a base image, and whether it is a stand-in."""
    return f"{base.image}{', a stand-in' if is_stand_in(base.image) else ''}"


def ours(base: Base) -> Contender:
    """Build and verify our image with the build tool."""
    flags = ["--airflow", base.airflow, "--python", base.python, "--dags", "s3", "--repository", _OURS]
    build_tool(*flags, *trust("--ca-bundle"))
    return Contender("ours", f"{_OURS}:{base.airflow}-python{base.python}-s3")


def bare(contender: Contender) -> Contender:
    """Return the floor: our image with its bytecode, without its entrypoint, and with the DAGs in place."""
    return Contender("bare", contender.image, options={"entrypoint": ["/usr/bin/dumb-init", "--"]})


def reference(base: Base) -> Contender:
    """Build the reference image."""
    image = f"{_REFERENCE}:{base.airflow}-python{base.python}"
    arguments = ["--build-context", f"aws_cli={_AWS_CLI_FOLDER}", "--build-arg", f"BASE={base.image}"]
    build(_REFERENCE_FOLDER, image, *arguments)
    return Contender("the reference", image)


def build_tool(*arguments: str) -> None:
    """Run build.py."""
    command = [sys.executable, str(ROOT / "build.py"), *arguments]
    run(command, error=BuildError, failure="build.py failed", cwd=ROOT)


def build(context: Path, image: str, *arguments: str) -> None:
    """Build an image without the build tool, from a Dockerfile that uses the same certificates."""
    failure = f"{image} could not be built"
    docker_build(context, image, *arguments, secret="ca-bundle", error=BuildError, failure=failure)
