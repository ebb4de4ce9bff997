"""Image builds that trust the certificates that this machine trusts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from local.errors import LocalError
from local.machine.console import run

_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def ca_bundle() -> Path | None:
    """Return the certificate bundle that builds trust: the user's own, else the system's."""
    given = os.environ.get("SSL_CERT_FILE")
    for candidate in (Path(given) if given else None, _CA_BUNDLE):
        if candidate is not None and candidate.is_file():
            return candidate
    return None


def trust(flag: str, value: str = "{}") -> list[str]:
    """Return a flag whose value has the bundle's path in place of ``{}``; nothing without a bundle."""
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
    """Build an image with Buildx. ``secret`` is the id of the certificate bundle in the Dockerfile.

    ``labels`` are those of a run, which removes the image at its end. Raises ``error`` with the end of the output.
    """
    command = ["docker", "buildx", "build", "--load", "--provenance=false", "--progress=plain", "--tag", image]
    command += [f"--label={name}={value}" for name, value in (labels or {}).items()]
    command += [*trust("--secret", f"id={secret},src={{}}"), *arguments, str(context)]
    run(command, error=error, failure=failure)
