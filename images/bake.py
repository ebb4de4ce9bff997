"""The Buildx bake file of a set of images. Pure: data in, JSON-ready data out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from images.context import dockerfile_name
from images.spec import AWS_CREDENTIALS, ImageSpec


@dataclass(frozen=True)
class BakeOptions:
    """How the images are built, in contrast to what they contain.

    ``sbom`` and ``provenance`` are attestation parameters as Buildx takes them (``true``, ``mode=max``), or empty.
    """

    platforms: tuple[str, ...] = ()
    ca_bundle: Path | None = None
    pip_config: Path | None = None
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    sbom: str = ""
    provenance: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    no_cache: bool = False
    pull: bool = False


def target_name(spec: ImageSpec) -> str:
    """Return the name of a bake target, which may contain only letters, digits, ``-`` and ``_``."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", spec.identifier)


def bake_file(
    specs: Sequence[ImageSpec], tags: Mapping[str, Sequence[str]], options: BakeOptions, context: Path, push: bool
) -> dict[str, Any]:
    """Return the bake definition; ``tags`` are full image names by identifier.

    With ``push``, images go to registries, with attestations; else into the local engine, which cannot hold
    attestations.
    """
    secrets = [
        f"id={name},{_field(f'src={path}')}"
        for name, path in (("ca-bundle", options.ca_bundle), ("pip-config", options.pip_config))
        if path
    ]
    attest = [f"type=sbom{_parameters(options.sbom)}"] if options.sbom else []
    attest += [f"type=provenance{_parameters(options.provenance)}"] if options.provenance else []
    targets: dict[str, Any] = {}
    for spec in specs:
        target: dict[str, Any] = {
            "context": str(context),
            "dockerfile": dockerfile_name(spec),
            "tags": list(tags[spec.identifier]),
            "labels": dict(options.labels),
            "output": ["type=registry" if push else "type=docker"],
        }
        if options.platforms:
            target["platforms"] = list(options.platforms)
        if secrets:
            target["secret"] = secrets
        if options.cache_from:
            target["cache-from"] = list(options.cache_from)
        if options.cache_to:
            target["cache-to"] = list(options.cache_to)
        if push and attest:
            target["attest"] = attest
        if options.no_cache:
            target["no-cache"] = True
        if options.pull:
            target["pull"] = True
        targets[target_name(spec)] = target
    definition: dict[str, Any] = _literal({"group": {"default": {"targets": list(targets)}}, "target": targets})
    insecure = [target_name(spec) for spec in specs if spec.options.insecure_aws_credentials]
    if insecure:
        # The values are neither in the bake file nor on a command line: Buildx reads them from its environment.
        definition["variable"] = {name: {"default": ""} for name in AWS_CREDENTIALS}
        for name in insecure:
            definition["target"][name]["args"] = {arg: f"${{{arg}}}" for arg in AWS_CREDENTIALS}
    return definition


def _parameters(value: str) -> str:
    """Return what follows ``type=sbom``: nothing for ``true``, ``,disabled=true`` for ``false``, or parameters."""
    return {"true": "", "false": ",disabled=true"}.get(value, f",{value}")


def _field(text: str) -> str:
    """Return a text as a field of a comma-separated value."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"') else text


def _literal(value: Any) -> Any:
    """Escape ``${...}`` and ``%{...}``, which bake would expand in every string of its file."""
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return value.replace("${", "$${").replace("%{", "%%{") if isinstance(value, str) else value
