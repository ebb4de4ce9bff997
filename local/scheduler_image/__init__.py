"""The image of the scheduler's side: a worker image with the executor of this repository installed into it.

Scheduler, webserver or API server, DAG processor and triggerer all run it: the executor belongs wherever its name is
configured. Airflow, Python and providers are those of the worker image, so the two always fit.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

from docker.errors import ImageNotFound
from docker.models.containers import Container

from images.context import build_wheel
from local.client import engine
from local.console import step
from local.errors import ServiceError
from local.image_build import docker_build
from local.resources import remove_images

REPOSITORY = "airflow-ecs-local/scheduler"
_DOCKERFILE = Path(__file__).with_name("Dockerfile")
_EXECUTOR = Path(__file__).parents[2] / "executor"


def image_name(worker_id: str, wheel: bytes) -> str:
    """The image's name, tagged by what it is made from: another worker image or executor makes another one."""
    digest = hashlib.sha256()
    for part in (worker_id.encode(), _DOCKERFILE.read_bytes(), wheel):
        digest.update(hashlib.sha256(part).digest())
    return f"{REPOSITORY}:{digest.hexdigest()[:12]}"


def ensure_image(worker_image: str) -> str:
    """Return the name of the scheduler image on top of a local worker image, built first if it is not there yet.

    Needs no network. Raises ServiceError when there is no such worker image, or the build fails.
    """
    try:
        worker_id = str(engine().images.get(worker_image).id)
    except ImageNotFound as error:
        raise ServiceError(f"There is no local image {worker_image}. Build it first: python build.py --help") from error
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder:
        context = Path(folder)
        wheel = context / build_wheel(context, _EXECUTOR)
        image = image_name(worker_id, wheel.read_bytes())
        if engine().images.list(name=image):
            return image
        with step(f"Scheduler image: {worker_image} and the executor"):
            (context / _DOCKERFILE.name).write_bytes(_DOCKERFILE.read_bytes())
            flags = ["--build-arg", f"WORKER_IMAGE={worker_image}"]
            failure = "The scheduler image could not be built"
            docker_build(context, image, *flags, secret="ca", error=ServiceError, failure=failure)
    return image


def used_by(containers: Iterable[Container]) -> set[str]:
    """The images of the scheduler's side that containers were made from, by name."""
    names = (str(container.attrs["Config"]["Image"]) for container in containers)
    return {name for name in names if name.startswith(f"{REPOSITORY}:")}


def remove(images: Iterable[str]) -> int:
    """Remove images of the scheduler's side, but for those that another run uses; return how many there were."""
    return sum(remove_images(engine(), image) for image in images)
