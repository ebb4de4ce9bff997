"""Check an image as the executor does: by its configuration in the registry, without pulling it.

The executor's own modules do it, so that both always give the same answer.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from airflow_ecs_executor.aws.errors import classify
from airflow_ecs_executor.aws.task_definition import Platform, read_definition
from airflow_ecs_executor.image_check import comparison
from airflow_ecs_executor.image_check.comparison import Fit, ImageReport, Versions
from airflow_ecs_executor.image_check.facts import facts_of
from airflow_ecs_executor.image_check.reference import has_registry, parse
from airflow_ecs_executor.image_check.remote import check_image
from docker.errors import DockerException

from images import aws
from images.engine import Engine
from images.errors import AwsError, EngineError, ImageMismatchError, ImageUnknownError, RequestError
from images.registry.logins import remote_images

_TASK_DEFINITION = re.compile(r"arn:[^:]+:ecs:.*|[A-Za-z0-9_-]+(:[0-9]+)?")


@dataclass(frozen=True)
class Target:
    """The image to check, as a registry or a task definition names it, and the platform that it must have (None: any).

    ``may_be_here``: the name may mean an image on this machine's engine, which ECS would not find.
    """

    title: str
    image: str
    platform: Platform | None
    may_be_here: bool


def is_task_definition(name: str) -> bool:
    """Return whether a name is a task definition's (an ARN, a family, ``family:revision``), and not an image's."""
    return bool(_TASK_DEFINITION.fullmatch(name))


def platform_of(text: str) -> Platform:
    """Return a platform such as ``linux/arm64``."""
    system, _, architecture = text.partition("/")
    return Platform(architecture=architecture, os=system)


def target_of(name: str, container: str | None, region: str | None, platform: Platform | None) -> Target:
    """Return the image that the name of an image or of a task definition means.

    ``container`` is needed if a task definition has several; ``platform`` replaces the task definition's. Raises
    AwsError if the task definition could not be described, and RequestError if it is not clear which container is
    meant.
    """
    if not is_task_definition(name):
        return Target(f"image {name}", name, platform, may_be_here=not has_registry(name))
    in_arn = name.split(":")[3] if name.startswith("arn:") else None
    client = aws.client("ecs", region or in_arn)
    try:
        answer = client.describe_task_definition(taskDefinition=name)
    except aws.CALL_ERRORS as error:
        raise AwsError(
            f"The task definition {name} could not be described: {classify(error).reason}.",
            "Check credentials, --region, and the permission ecs:DescribeTaskDefinition. "
            f"An image of this name is written with its tag: {name.partition(':')[0]}:latest",
        ) from error
    document = answer["taskDefinition"]
    names = [item["name"] for item in document["containerDefinitions"]]
    chosen = container or (names[0] if len(names) == 1 else "")
    if chosen not in names:
        raise RequestError(
            f"The task definition {name} has the containers {', '.join(names)}.",
            "Name the one that runs Airflow's tasks: --container NAME",
        )
    definition = read_definition(document, chosen)
    title = f"task definition {definition.name}, container {chosen}"
    return Target(title, definition.image, platform or definition.platform, may_be_here=False)


def report_on(target: Target, versions: Versions, engine: Engine) -> ImageReport:
    """Compare an image. If its name has no registry, the engine is asked first: the image may not be pushed yet."""
    found: dict[str, Any] | None = None
    if target.may_be_here:
        try:
            found = engine.api.images.get(target.image).attrs
        except (EngineError, DockerException, OSError):
            pass  # no such image, or no engine: the registry decides
    if found is None:
        return check_image(remote_images(), target.image, versions, target.platform)
    config = {"config": found["Config"], "architecture": found["Architecture"]}
    return comparison.compare(
        target.image, facts_of(config, parse(target.image).tag), frozenset(), versions, target.platform
    )


def print_report(target: Target, report: ImageReport, versions: Versions, *, as_json: bool) -> None:
    """Print what was found. Raises ImageMismatchError or ImageUnknownError unless the image is compatible."""
    if as_json:
        print(json.dumps({"target": target.title, **comparison.as_json(report)}, indent=2))
    else:
        print(f"{target.title}: {comparison.as_text(report)}")
    if report.outcome is Fit.INCOMPATIBLE:
        command = comparison.build_command(report, versions, target.platform)
        raise ImageMismatchError(f"The {target.title} is incompatible.", f"Build and push a compatible one: {command}")
    if report.outcome is Fit.UNKNOWN:
        allow = f". Allow {report.action} to have it checked" if report.action else ""
        raise ImageUnknownError(
            f"It is not known whether the {target.title} is compatible.", comparison.unknowns(report) + allow
        )
