"""The check of one image: it is looked up and compared."""

from __future__ import annotations

from airflow_ecs_executor.aws.task_definition import Platform
from airflow_ecs_executor.image_check.comparison import ImageReport, Versions, compare, lacks_platform
from airflow_ecs_executor.image_check.errors import NoSuchPlatformError, RegistryError
from airflow_ecs_executor.image_check.facts import facts_of
from airflow_ecs_executor.image_check.remote import Images


def check_image(images: Images, name: str, versions: Versions, platform: Platform | None) -> ImageReport:
    """Look up an image in its registry, and compare it. If that is not possible, the report says why."""
    try:
        remote = images.look_up(name, platform)
    except NoSuchPlatformError as error:
        assert platform is not None
        return lacks_platform(name, platform, error.platforms)
    except RegistryError as error:
        return ImageReport(name, error=str(error), action=error.action)
    except ValueError as error:
        return ImageReport(name, error=str(error))
    facts = facts_of(remote.config, remote.reference.tag)
    return compare(name, facts, remote.digests, versions, platform)
