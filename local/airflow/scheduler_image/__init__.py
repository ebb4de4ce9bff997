"""The image of the scheduler's side: a worker image with the executor of this repository installed into it.

Scheduler, webserver or API server, DAG processor and triggerer all run it: the executor belongs wherever its name is
configured. Airflow, Python and providers are those of the worker image, so the two always fit.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from docker.errors import ImageNotFound

from images.context import build_wheel
from local.aws_services.stack import Stack
from local.errors import ServiceError
from local.machine.console import step
from local.machine.image_build import docker_build

REPOSITORY = "airflow-ecs-local/scheduler"
_DOCKERFILE = Path(__file__).with_name("Dockerfile")
_EXECUTOR = Path(__file__).parents[3] / "executor"


def build_image(stack: Stack, worker_image: str) -> str:
    """Build the scheduler image on top of a local worker image, and return its name. The stack removes it at its end.

    Raises ServiceError if the worker image does not exist or the build fails.
    """
    try:
        stack.client.images.get(worker_image)
    except ImageNotFound as error:
        raise ServiceError(f"There is no local image {worker_image}. Build it first: python build.py --help") from error
    image = f"{REPOSITORY}:{stack.run_id}"
    flags = ["--build-arg", f"WORKER_IMAGE={worker_image}"]
    with (
        step(f"Scheduler image: {worker_image} and the executor"),
        tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder,
    ):
        context = Path(folder)
        build_wheel(context, _EXECUTOR)
        (context / _DOCKERFILE.name).write_bytes(_DOCKERFILE.read_bytes())
        failure = "The scheduler image could not be built"
        docker_build(context, image, *flags, secret="ca", error=ServiceError, failure=failure, labels=stack.labels)
    return image


def digest() -> str:
    """Return a digest of the executor and the Dockerfile."""
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder:
        wheel = Path(folder) / build_wheel(Path(folder), _EXECUTOR)
        return hashlib.sha256(_DOCKERFILE.read_bytes() + wheel.read_bytes()).hexdigest()[:12]
