"""Names of images as in task definitions: registry, repository, tag, digest. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

DOCKER_HUB = "registry-1.docker.io"
"""The host for names without a registry."""
_HUB_NAMES = ("docker.io", "index.docker.io", DOCKER_HUB)
# docs.aws.amazon.com/general/latest/gr/ecr.html: with FIPS, dual-stack (dkr-ecr, on.aws), China and the European
# sovereign cloud; the isolated regions as in awslabs/amazon-ecr-credential-helper, ecr-login/api/client.go.
_ECR = re.compile(
    r"(?P<account>[0-9]{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\."
    r"(?:amazonaws\.com(?:\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn|amazonaws\.eu"
    r"|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
# github.com/distribution/reference: the grammar at the head of reference.go.
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class ImageNameError(ValueError):
    """A name is not a valid image name."""


@dataclass(frozen=True)
class ImageReference:
    """The name of an image. Without tag and digest, the tag is ``latest``; a digest alone has an empty tag."""

    registry: str
    """The host of the registry, with its port."""
    repository: str
    tag: str
    digest: str

    @property
    def version(self) -> str:
        """The digest, if there is one, or the tag."""
        return self.digest or self.tag

    @property
    def ecr(self) -> tuple[str, str] | None:
        """The account and region of a private Amazon ECR registry; None for other registries."""
        found = _ECR.fullmatch(self.registry)
        return (found["account"], found["region"]) if found else None


def has_registry(name: str) -> bool:
    """Return whether a name begins with the host of a registry, by Docker's rule."""
    first, slash, _ = name.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def parse(name: str) -> ImageReference:
    """Parse the name of an image as Docker and ECS do. Raises ImageNameError."""
    rest, at, digest = name.partition("@")
    registry, path = rest.split("/", 1) if has_registry(rest) else (DOCKER_HUB, rest)
    repository, colon, tag = path.partition(":")
    if registry in _HUB_NAMES:
        registry = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    if (
        not _HOST.fullmatch(registry)
        or not _REPOSITORY.fullmatch(repository)
        or (colon and not _TAG.fullmatch(tag))
        or (at and not _DIGEST.fullmatch(digest))
    ):
        raise ImageNameError(f"{name!r} is not a valid image name")
    return ImageReference(registry, repository, tag or ("" if digest else "latest"), digest)
