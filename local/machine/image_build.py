"""Builds of images into this machine's engine, which trust the certificates that this machine trusts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from local.errors import LocalError
from local.machine.console import run

_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def ca_bundle() -> Path | None:
    """The certificate bundle that builds trust: the user's own, else the system's."""
    given = os.environ.get("SSL_CERT_FILE")
    for candidate in (Path(given) if given else None, _CA_BUNDLE):
        if candidate is not None and candidate.is_file():
            return candidate
    return None


def trust(flag: str, value: str = "{}") -> list[str]:
    """A flag that names the bundle, in place of the ``{}`` of its value; none where there is no bundle."""
    bundle = ca_bundle()
    return [flag, value.format(bundle)] if bundle else []


def docker_build(
    context: Path,
    image: str,
    *arguments: str,
    secret: str,
    error: type[LocalError],
    failure: str,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Build an image with Buildx alone; ``secret`` is by what id its Dockerfile knows the bundle.

    ``labels``: those of a run, with which the image goes. Raises ``error`` with the end of the build's output.
    """
    command = ["docker", "buildx", "build", "--load", "--provenance=false", "--progress=plain", "--tag", image]
    command += [f"--label={name}={value}" for name, value in (labels or {}).items()]
    command += [*trust("--secret", f"id={secret},src={{}}"), *arguments, str(context)]
    run(command, error=error, failure=failure)
