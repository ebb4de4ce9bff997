"""Manifests and indexes, as registries return them. Pure.

github.com/opencontainers/image-spec: manifest.md, image-index.md; and Docker's own media types of the same things.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Mapping

from airflow_ecs_executor.aws.task_definition import Platform
from airflow_ecs_executor.image_check.errors import NoSuchPlatformError, RegistryError

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


def document_in(content: bytes, digest: str, what: str) -> dict[str, Any]:
    """Return the JSON object that a registry has sent for ``digest`` (or an empty string). Raises RegistryError."""
    if digest and digest != digest_of(content, digest.partition(":")[0]):
        raise RegistryError(f"the registry's answer for {what} does not have its digest")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise RegistryError(f"the registry's answer for {what} is not a JSON object: is it a registry?")
    return document


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    """Return the digest by which a registry knows this content."""
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def is_index(document: Mapping[str, Any]) -> bool:
    """Return whether a document is an index, rather than a manifest."""
    return document.get("mediaType") in INDEXES or ("manifests" in document and "config" not in document)


def choose(index: Mapping[str, Any], platform: Platform | None) -> str:
    """Return the digest of the manifest for a platform. None means any, but ``linux/amd64`` if there is one.

    Raises NoSuchPlatformError.
    """
    found = platforms_of(index)
    expected = str(platform or Platform())
    if expected in found:
        return found[expected]
    if platform is None and found:
        return next(iter(found.values()))
    raise NoSuchPlatformError(tuple(found), expected)


def platforms_of(index: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of an index's manifests by their platforms, such as ``linux/amd64``.

    Attestations, and the artifacts that SOCI and Nydus add for lazy loading, are ignored.
    """
    found: dict[str, str] = {}
    for item in index.get("manifests") or ():
        if isinstance(item, dict) and not _is_artifact(item):
            described = item.get("platform") or {}
            name = f"{described.get('os')}/{described.get('architecture')}"
            found.setdefault(name, str(item.get("digest")))
    return found


def _is_artifact(item: Mapping[str, Any]) -> bool:
    described, annotations = item.get("platform") or {}, item.get("annotations") or {}
    return bool(
        "vnd.docker.reference.type" in annotations  # docs.docker.com: build, attestations, attestation storage
        or described.get("architecture") in (None, "unknown")
        or item.get("artifactType")  # SOCI: github.com/awslabs/soci-snapshotter, index manifest v2
        or "nydus.remoteimage.v1" in (described.get("os.features") or ())
        or item.get("mediaType") not in (None, *MANIFESTS)
    )


def config_digest(document: Mapping[str, Any], what: str) -> str:
    """Return the digest of the configuration that a manifest names. Raises RegistryError if it is not an image."""
    config = document.get("config")
    digest = config.get("digest") if isinstance(config, dict) else None
    if not isinstance(digest, str) or ":" not in digest:
        old = " (a manifest of Docker's old schema 1)" if document.get("schemaVersion") == 1 else ""
        raise RegistryError(f"{what} is not an image that can be read{old}: build and push it again")
    return digest
