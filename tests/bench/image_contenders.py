"""Who is measured: our image, the reference image beside it on the same base, and our image without its entrypoint."""

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
"""The Python that is measured; where its base image cannot be had, another one."""
AIRFLOWS = tuple(release.version for release in _MEASURED)


@dataclass(frozen=True)
class Contender:
    """An image, and how its container is made."""

    name: str
    image: str
    loads_dags: bool = True
    """From S3. Otherwise they are put into the container before it starts."""
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """docker-py's, for the container."""


def base_of(airflow: str) -> Base:
    """The base image of the contenders, on this engine."""
    release = MATRIX.release(airflow)
    return ensure_base(airflow, usable_python(airflow, _MEASURED[release], release.pythons))


def described(base: Base) -> str:
    """A base image, and whether it is a stand-in."""
    return f"{base.image}{', a stand-in' if is_stand_in(base.image) else ''}"


def ours(base: Base) -> Contender:
    """Our image, as the build tool builds and verifies it."""
    flags = ["--airflow", base.airflow, "--python", base.python, "--dags", "s3", "--repository", _OURS]
    build_tool(*flags, *trust("--ca-bundle"))
    return Contender("ours", f"{_OURS}:{base.airflow}-python{base.python}-s3")


def bare(contender: Contender) -> Contender:
    """The floor: our image with its bytecode, but without its entrypoint, and with the DAGs in place."""
    return Contender("bare", contender.image, loads_dags=False, options={"entrypoint": ["/usr/bin/dumb-init", "--"]})


def reference(base: Base) -> Contender:
    """The reference image."""
    image = f"{_REFERENCE}:{base.airflow}-python{base.python}"
    arguments = ["--build-context", f"aws_cli={_AWS_CLI_FOLDER}", "--build-arg", f"BASE={base.image}"]
    build(_REFERENCE_FOLDER, image, *arguments)
    return Contender("the reference", image)


def build_tool(*arguments: str) -> None:
    """Run build.py."""
    command = [sys.executable, str(ROOT / "build.py"), *arguments]
    run(command, error=BuildError, failure="build.py failed", cwd=ROOT)


def build(context: Path, image: str, *arguments: str) -> None:
    """Build an image without the build tool, from a Dockerfile that knows the certificates as it does."""
    failure = f"{image} could not be built"
    docker_build(context, image, *arguments, secret="ca-bundle", error=BuildError, failure=failure)
