"""The image with PostgreSQL, the AWS stand-ins (moto, our ECS API) and an image registry."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from local.errors import ServiceError
from local.machine.bases.debian import PACKAGES, SUITE, ensure_root_image
from local.machine.client import engine
from local.machine.console import step
from local.machine.exclusive import exclusively
from local.machine.image_build import docker_build

_FOLDER = Path(__file__).parent
_FILES = ("Dockerfile", "registry.yaml", "requirements.txt")
REPOSITORY = "airflow-ecs-local/services"


def image_name() -> str:
    """Return the services image, tagged by what it is made from: a change of its files makes a new one."""
    digest = hashlib.sha256(" ".join((SUITE, *PACKAGES)).encode())
    for name in _FILES:
        digest.update((_FOLDER / name).read_bytes())
    return f"{REPOSITORY}:{digest.hexdigest()[:12]}"


def ensure_image() -> str:
    """Return the name of the services image, built first if it is not there yet."""
    image = image_name()
    with exclusively(image):
        if not engine().images.list(name=image):
            _build(image)
    return image


def _build(image: str) -> None:
    root_image = ensure_root_image()
    with (
        step("Services image: PostgreSQL, moto, registry"),
        tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder,
    ):
        for name in _FILES:
            (Path(folder) / name).write_bytes((_FOLDER / name).read_bytes())
        flags = ["--build-arg", f"DEBIAN_IMAGE={root_image}"]
        failure = "The services image could not be built"
        docker_build(Path(folder), image, *flags, secret="ca", error=ServiceError, failure=failure)
