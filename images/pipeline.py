"""Build, verify, tag and push a set of images: all of them, or none."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_ecs_executor.image_check.reference import parse

from images import bake
from images.console import say
from images.context import write_context
from images.engine import Engine
from images.errors import RequestError
from images.labels import build_labels
from images.scan import Finding
from images.spec import AWS_CREDENTIALS, ImageSpec
from images.verify import require_verified, verify

if TYPE_CHECKING:
    from images.registry.logins import RegistryAuth


def build(
    engine: Engine,
    specs: Sequence[ImageSpec],
    options: bake.BakeOptions,
    references: Mapping[str, Sequence[str]],
    *,
    push: bool,
    progress: str,
) -> None:
    """Build images, verify each by running it, then tag and push them.

    ``references`` are the images' names, by identifier. The images are built under temporary names, which are removed
    at the end: if one cannot be built or verified, no tag has moved. The engine has to have Buildx
    (`Engine.require_buildx`). Raises a BuildToolError.
    """
    auths = _auths(references) if push else {}  # first: who may not push need not build
    secrets = credential_arguments() if any(spec.options.insecure_aws_credentials for spec in specs) else {}
    options = replace(options, labels=build_labels(*_provenance(), own=dict(specs[0].options.labels)))
    platforms = options.platforms or ("",)
    run = f"airflow-ecs-candidate-{uuid.uuid4().hex[:12]}"
    candidates = {
        (s.identifier, p): f"{run}:{s.identifier}-{p.replace('/', '-') or 'host'}" for s in specs for p in platforms
    }
    known_layers: dict[str, list[Finding]] = {}
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-build-") as folder:
        context = Path(folder)
        write_context(context / "context", specs, specs[0].options)
        try:
            for platform in platforms:
                # The classic image store holds one platform a name: each is built and verified on its own.
                only = replace(options, platforms=(platform,) if platform else ())
                tags = {spec.identifier: [candidates[spec.identifier, platform]] for spec in specs}
                definition = bake.bake_file(specs, tags, only, context / "context", push=False)
                started = time.monotonic()
                engine.bake(definition, context, progress, secrets)
                built = specs[0].identifier if len(specs) == 1 else f"{len(specs)} images"
                say(f"built {built} in {time.monotonic() - started:.0f} s; verifying")
                # Those with DAGs in them first: their layers are those of the others and one more.
                for spec in sorted(specs, key=lambda spec: spec.dags != "local"):
                    reference = candidates[spec.identifier, platform]
                    require_verified(spec.identifier, verify(engine, reference, platform or None, known_layers))
                    say(f"verified {spec.identifier}{f' on {platform}' if platform else ''}")
            for spec in specs:
                engine.tag(candidates[spec.identifier, platforms[0]], references[spec.identifier])
            if push:
                _push(engine, specs, options, references, context, progress, secrets, auths)
        finally:
            for reference in candidates.values():
                engine.untag(reference)
    for spec in specs:
        say(f"{'pushed' if push else 'tagged'} {' '.join(references[spec.identifier])}")


def _auths(references: Mapping[str, Sequence[str]]) -> Mapping[str, RegistryAuth]:
    from images.registry.push import auths_for  # here: whoever pushes nothing does not need the AWS SDK

    return auths_for(name for names in references.values() for name in names)


def _push(
    engine: Engine,
    specs: Sequence[ImageSpec],
    options: bake.BakeOptions,
    references: Mapping[str, Sequence[str]],
    context: Path,
    progress: str,
    secrets: Mapping[str, str],
    auths: Mapping[str, RegistryAuth],
) -> None:
    """Push what was verified: from the engine, or, if its store cannot hold it, from the build cache by Buildx."""
    from images.registry.docker_config import with_logins
    from images.registry.push import push_as

    with with_logins(auths.values()) as environment:
        if len(options.platforms) > 1 or options.sbom or options.provenance:
            cached = replace(options, no_cache=False, pull=False)  # else Buildx would build and push another image
            definition = bake.bake_file(specs, references, cached, context / "context", push=True)
            engine.bake(definition, context, progress, {**secrets, **environment})
            return
        for spec in specs:
            for name in references[spec.identifier]:
                say(f"pushing {name}")
                push_as(engine, engine.local_image(name), name, auths.get(parse(name).registry), environment)


def credential_arguments() -> dict[str, str]:
    """Return build arguments with this environment's AWS credentials. Raises RequestError if it has none."""
    found = {name: os.environ[key] for name, key in AWS_CREDENTIALS.items() if os.environ.get(key)}
    if not {"aws_access_key_id", "aws_secret_access_key"} <= set(found):
        raise RequestError(
            "--insecure-bake-aws-credentials found no credentials.",
            "Export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or better, leave the flag out and use a task role.",
        )
    return found


def _provenance() -> tuple[str, str, str]:
    """Return when and from what the images are built: RFC 3339 time, commit, repository address."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        now = datetime.fromtimestamp(int(epoch), timezone.utc) if epoch else datetime.now(timezone.utc)
    except (ValueError, OverflowError):
        raise RequestError(
            f"SOURCE_DATE_EPOCH={epoch} is not a time.", "Give seconds since 1970, or unset it."
        ) from None
    source = _git("remote", "get-url", "origin")
    if "@" in source.split("//")[-1].split("/")[0] and "//" in source:
        source = ""  # an address with a user's name or token in it is nobody else's business
    return now.strftime("%Y-%m-%dT%H:%M:%SZ"), _git("rev-parse", "HEAD"), source


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
