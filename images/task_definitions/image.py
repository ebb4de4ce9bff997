"""The image of a task definition, as its registry has it now: by digest, with its architecture and its Airflow."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_ecs_executor.aws.task_definition import ARCHITECTURES, Platform
from airflow_ecs_executor.image_check.comparison import repository_of
from airflow_ecs_executor.image_check.errors import NoSuchImageError, NoSuchPlatformError, RegistryError
from airflow_ecs_executor.image_check.facts import ImageFacts, facts_of
from airflow_ecs_executor.image_check.reference import has_registry, parse

from images.errors import ImageMismatchError, ImageUnknownError, RequestError
from images.registry.logins import remote_images

_NAMES = {image: ecs for ecs, image in ARCHITECTURES.items()}
"""ECS's names of CPU architectures, by those of images."""


@dataclass(frozen=True)
class TaskImage:
    """An image. ``pinned`` is its name with its digest, ``architecture`` is ECS's name of its CPU."""

    pinned: str
    architecture: str
    facts: ImageFacts


def find(name: str, platform: Platform | None) -> TaskImage:
    """Look an image up in its registry; of several platforms linux/amd64, unless ``platform`` says otherwise.

    ECS documents ``repository:tag`` and ``repository@digest`` (ContainerDefinition, image), not both at once, so the
    tag is left out. Raises RequestError, ImageMismatchError for the platform, or ImageUnknownError.
    """
    if not has_registry(name):
        raise RequestError(
            f"The name {name} has no registry from which ECS could pull it.",
            f"Push it first: python build.py push {name} --to REPOSITORY (or --stack NAME). Its last lines are the "
            "names to use here.",
        )
    images = remote_images()
    try:
        tag = parse(name).tag
        pinned = f"{repository_of(name)}@{images.identify(name).digest}"
        remote = images.look_up(pinned, platform)
    except NoSuchPlatformError as error:
        raise ImageMismatchError(f"{name}: {error}.", f"Give --platform, or build it for {platform}.") from None
    except NoSuchImageError as error:
        raise ImageUnknownError(
            f"There is no image {name}: {error}.", "`python build.py push` prints the names of images."
        ) from None
    except RegistryError as error:
        allow = f"Allow {error.action}." if error.action else ""
        raise ImageUnknownError(f"The image {name} could not be looked up: {error}.", allow) from None
    except ValueError as error:
        raise RequestError(f"{error}.", "For example: registry.example.com/airflow-worker:1.0") from None
    facts = facts_of(remote.config, tag)
    if platform is not None and facts.architecture != platform.architecture:
        raise ImageMismatchError(
            f"{name} is for {facts.architecture}, not for {platform.architecture}.",
            f"Leave --platform out, or build the image with --platform {platform}.",
        )
    if facts.architecture not in _NAMES:
        raise ImageMismatchError(
            f"{name} is for {facts.architecture or 'a CPU that it does not name'}, which Fargate does not have."
        )
    if not facts.airflow:
        raise ImageUnknownError(
            f"The image {name} does not say which Airflow it has.",
            "Build it with python build.py, or label it org.apache.airflow.version=VERSION.",
        )
    return TaskImage(pinned, _NAMES[facts.architecture], facts)
