"""The Debian root file system under stand-in bases and services: the official image, or mmdebstrap's."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from local.bases import hub
from local.client import engine
from local.console import run, say, step
from local.errors import BaseImageError
from local.exclusive import exclusively

SUITE = "bookworm"
DEBIAN_PYTHON = "3.11.2"
OFFICIAL_IMAGE = f"debian:{SUITE}-slim"
PACKAGES = (
    "ca-certificates",
    "dumb-init",
    "libpq5",
    "netcat-openbsd",
    "procps",
    "python3",
    "python3-venv",
)
# Named by its packages: a change of them makes a new one.
ROOT_IMAGE = f"airflow-ecs-local/debian:{SUITE}-{hashlib.sha256(' '.join(PACKAGES).encode()).hexdigest()[:8]}"

# Documentation and translations are left out of the root file system, and bytecode with them: the official
# images ship none, and a stand-in that did would flatter measurements.
_DPKG_EXCLUDES = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*")
_DPKG_INCLUDES = ("/usr/share/doc/*/copyright",)
_DROP_BYTECODE = 'find "$1/usr" -name __pycache__ -prune -exec rm -rf {} +'
_DOCKERFILE = f"""\
FROM {OFFICIAL_IMAGE}
RUN apt-get update \\
    && apt-get install -y --no-install-recommends {" ".join(PACKAGES)} \\
    && rm -rf /var/lib/apt/lists/* \\
    && find /usr -name __pycache__ -prune -exec rm -rf {{}} +
"""


def ensure_root_image() -> str:
    """Return the name of the root image, made first if it is not there yet."""
    with exclusively(ROOT_IMAGE):
        if not engine().images.list(name=ROOT_IMAGE):
            _make_root_image()
    return ROOT_IMAGE


def _make_root_image() -> None:
    answer = hub.pull(OFFICIAL_IMAGE)
    with step(f"Debian {SUITE} root file system for stand-ins and services"):
        if answer is hub.Answer.PULLED:
            _build_on_official()
        else:
            _bootstrap()


def _build_on_official() -> None:
    """Add the packages to the official Debian image."""
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder:
        (Path(folder) / "Dockerfile").write_text(_DOCKERFILE, encoding="utf-8")
        run(
            ["docker", "buildx", "build", "--load", "--tag", ROOT_IMAGE, folder],
            error=BaseImageError,
            failure=f"Debian's packages could not be added to {OFFICIAL_IMAGE}",
        )


def _bootstrap() -> None:
    """Make the root file system from Debian's archive and import it."""
    _require_mmdebstrap()
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder:
        archive = Path(folder) / "rootfs.tar"
        options = [f"--dpkgopt=path-exclude={path}" for path in _DPKG_EXCLUDES]
        options += [f"--dpkgopt=path-include={path}" for path in _DPKG_INCLUDES]
        run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={','.join(PACKAGES)}",
                *options,
                f"--customize-hook={_DROP_BYTECODE}",
                SUITE,
                str(archive),
            ],
            error=BaseImageError,
            failure="mmdebstrap could not make the Debian root file system",
        )
        run(
            ["docker", "import", "--change", 'CMD ["bash"]', str(archive), ROOT_IMAGE],
            error=BaseImageError,
            failure="The engine did not take the Debian root file system",
        )


def _require_mmdebstrap() -> None:
    """mmdebstrap, installed first where this can be done; otherwise one message."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if not root or not shutil.which("apt-get"):
        raise BaseImageError(
            "Docker Hub cannot be reached, and stand-in images can only be made as root on Debian or Ubuntu "
            f"(mmdebstrap). Make {OFFICIAL_IMAGE} and apache/airflow available to this engine (docker pull through "
            "a mirror, or docker load) and try again."
        )
    if shutil.which("mmdebstrap"):
        return
    say("mmdebstrap is missing: installing it with apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False, stdout=subprocess.DEVNULL)
    run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap"],
        error=BaseImageError,
        failure="mmdebstrap could not be installed; install it and try again",
        env=environment,
    )
