"""What a task definition has for our container: image, platform, environment, log. Pure.

Read from the ``taskDefinition`` of DescribeTaskDefinition's answer (Amazon ECS API Reference, TaskDefinition).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Mapping

MATCHING = ":matching"
"""Replaces a revision, and means the newest active one whose image is compatible with the scheduler."""

ARCHITECTURES = {"X86_64": "amd64", "ARM64": "arm64"}
"""CPU architectures, by ECS's names (RuntimePlatform, cpuArchitecture), as images name them."""
_REVISION = re.compile(r":[0-9]+$")
_NAME = re.compile(r"(?:arn:[^:]+:ecs:[^:]*:[^:]*:task-definition/)?(?P<family>[^:/]+)(?::[0-9]+|:matching)?")


@dataclass(frozen=True)
class Platform:
    """The platform of an image, with OCI's names: ``amd64`` or ``arm64``; ``linux`` or ``windows``."""

    architecture: str = "amd64"
    os: str = "linux"

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"


@dataclass(frozen=True)
class TaskDefinition:
    """A task definition revision, as far as it concerns our container. What it does not have is an empty string."""

    arn: str
    family: str
    revision: int
    status: str
    containers: tuple[str, ...]
    """The names of all containers."""
    image: str
    platform: Platform | None
    """What the image must be built for; None if the definition does not say."""
    environment: Mapping[str, str] = field(hash=False)
    secrets: frozenset[str]
    """The names of the variables that come from secrets."""
    environment_files: bool
    """Whether there are more variables, in files."""
    log_driver: str
    log_options: Mapping[str, str] = field(hash=False)

    @property
    def name(self) -> str:
        """``family:revision``."""
        return f"{self.family}:{self.revision}"


def read_definition(document: Mapping[str, Any], container_name: str) -> TaskDefinition:
    """Read a described task definition."""
    containers = [item for item in document.get("containerDefinitions") or () if isinstance(item, Mapping)]
    ours: Mapping[str, Any] = next((item for item in containers if item.get("name") == container_name), {})
    logging: Mapping[str, Any] = ours.get("logConfiguration") or {}
    return TaskDefinition(
        arn=str(document.get("taskDefinitionArn") or ""),
        family=str(document.get("family") or ""),
        revision=int(document.get("revision") or 0),
        status=str(document.get("status") or "ACTIVE"),
        containers=tuple(str(item.get("name")) for item in containers),
        image=str(ours.get("image") or ""),
        platform=_platform(document),
        environment={str(item.get("name")): str(item.get("value", "")) for item in ours.get("environment") or ()},
        secrets=frozenset(str(item.get("name")) for item in ours.get("secrets") or ()),
        environment_files=bool(ours.get("environmentFiles")),
        log_driver=str(logging.get("logDriver") or ""),
        log_options=logging.get("options") or {},
    )


def _platform(document: Mapping[str, Any]) -> Platform | None:
    """Return the platform. Fargate's default is Linux on X86_64; elsewhere, the container instance decides.

    docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RuntimePlatform.html
    """
    stated: Mapping[str, Any] = document.get("runtimePlatform") or {}
    architecture, system = stated.get("cpuArchitecture"), str(stated.get("operatingSystemFamily") or "LINUX")
    if not architecture and "FARGATE" not in (document.get("requiresCompatibilities") or ()):
        return None
    return Platform(
        architecture=ARCHITECTURES.get(str(architecture or "X86_64"), str(architecture).lower()),
        os="windows" if system.startswith("WINDOWS") else "linux",
    )


def names_a_revision(name: str) -> bool:
    """Return whether a name or ARN is that of one revision, which never changes."""
    return bool(_REVISION.search(name))


def describable(name: str) -> str:
    """Return what ECS can describe for a name: the family, if the revision is still to be chosen."""
    return name[: -len(MATCHING)] if name.endswith(MATCHING) else name


def family_of(name: str) -> str:
    """Return the family of a name: ``family``, ``family:revision``, ``family:matching`` or an ARN."""
    found = _NAME.fullmatch(name)
    return found["family"] if found else name
