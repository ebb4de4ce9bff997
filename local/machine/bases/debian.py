"""The Debian root file system under stand-in bases and services: the official image, or mmdebstrap's."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from local.errors import BaseImageError
from local.machine.bases import hub
from local.machine.client import engine
from local.machine.console import run, say, step
from local.machine.exclusive import exclusively
from local.machine.image_build import docker_build

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
# images ship none, and a stand-in that did would flatter measurements. As theirs, its dpkg does not wait for the disk.
_DPKG_OPTIONS = """\
force-unsafe-io
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
"""
_SET_DPKG_UP = f"""mkdir -p "$1/etc/dpkg/dpkg.cfg.d" && printf '{_DPKG_OPTIONS}' >"$1/etc/dpkg/dpkg.cfg.d/docker" """
# Told to mmdebstrap, dpkg's options would make it unpack its first packages by a filter that takes twice as long.
_DROP_THE_REST = """\
rm -rf "$1"/usr/share/man/* "$1"/usr/share/locale/*
find "$1/usr/share/doc" ! -type d ! -name copyright -delete
find "$1/usr" -name __pycache__ -prune -exec rm -rf {} +
"""
_MEMORY = Path("/dev/shm")
_MEMORY_NEEDED = 2**30
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
        failure = f"Debian's packages could not be added to {OFFICIAL_IMAGE}"
        docker_build(Path(folder), ROOT_IMAGE, secret="ca", error=BaseImageError, failure=failure)


def _bootstrap() -> None:
    """Make the root file system from Debian's archive and import it."""
    _require_mmdebstrap()
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-", dir=_memory()) as folder:
        archive = Path(folder) / "rootfs.tar"
        run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={','.join(PACKAGES)}",
                f"--setup-hook={_SET_DPKG_UP}",
                f"--customize-hook={_DROP_THE_REST}",
                SUITE,
                str(archive),
            ],
            error=BaseImageError,
            failure="mmdebstrap could not make the Debian root file system",
            env={**os.environ, "TMPDIR": folder},
        )
        run(
            ["docker", "import", "--change", 'CMD ["bash"]', str(archive), ROOT_IMAGE],
            error=BaseImageError,
            failure="The engine did not take the Debian root file system",
        )


def _memory() -> Path | None:
    """Return a folder in memory with room for the ten thousand small files of a Debian, if there is one."""
    if not _MEMORY.is_dir() or not os.access(_MEMORY, os.W_OK):
        return None
    found = os.statvfs(_MEMORY)
    usable = not found.f_flag & (os.ST_NOEXEC | os.ST_NODEV)
    return _MEMORY if usable and found.f_bavail * found.f_frsize >= _MEMORY_NEEDED else None


def _require_mmdebstrap() -> None:
    """Install mmdebstrap if it is missing. Raises BaseImageError where that is not possible."""
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
