"""The bases of the inputs: images of Airflow with constraints, as official ones have them."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from local.machine.bases import ensure_base, is_stand_in
from local.machine.image_build import trust
from tests.images.product import REPOSITORY
from tests.interpreters import interpreters
from tests.real.cases import CONSTRAINTS
from tests.real.git_server import served_repository

PAIR = ("2.11.2", "3.12")


@pytest.fixture(scope="session")
def client() -> docker.DockerClient:
    """The engine's API."""
    return docker.from_env()


@pytest.fixture(scope="session")
def base(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image of Airflow 2.11.2 on Python 3.12, with the constraints that the official one has in this place."""
    folder = tmp_path_factory.mktemp("base")
    shutil.copy(CONSTRAINTS, folder / "constraints.txt")
    image = ensure_base(*PAIR).image
    lines = [f"FROM {image}", "COPY --chown=50000:0 constraints.txt /home/airflow/constraints.txt"]
    if is_stand_in(image):  # it has no headers of Python, which official images have
        shutil.copytree(_headers(), folder / "headers")
        lines.append(f"COPY headers /usr/local/include/python{PAIR[1]}")
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n", encoding="utf-8")
    name = f"{REPOSITORY}-real:{uuid.uuid4().hex[:8]}"
    client.images.build(path=str(folder), tag=name)
    yield name
    client.images.remove(name)


@pytest.fixture(scope="session")
def repository(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Git repository with a package."""
    with served_repository(tmp_path_factory.mktemp("git"), client) as address:
        yield address


def _headers() -> str:
    """Return the folder of Python's headers on this machine."""
    command = [interpreters()[PAIR[1]], "-c", "import sysconfig; print(sysconfig.get_path('include'))"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def package_flags() -> list[str]:
    """Flags that every build on this machine needs."""
    return trust("--ca-bundle")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for the files of an input."""
    return tmp_path
