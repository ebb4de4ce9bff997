"""A Git repository over HTTP, as the containers of a build reach it."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import docker

_FILES = {
    "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n",
    # A build backend without dependencies, so that nothing but the repository is downloaded.
    "backend.py": """\
import zipfile


def build_wheel(directory, config_settings=None, metadata_directory=None):
    name, info = "airflow_ecs_tried-1.0-py3-none-any.whl", "airflow_ecs_tried-1.0.dist-info"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: airflow-ecs-tried\\nVersion: 1.0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
""",
}


@contextmanager
def served_repository(folder: Path, client: docker.DockerClient) -> Iterator[str]:
    """Serve a repository with a package ``mypkg`` 1.0 while the block runs. Returns its address for pip."""
    source, served = folder / "mypkg", folder / "served"
    source.mkdir()
    for name, text in _FILES.items():
        (source / name).write_text(text, encoding="utf-8")
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for command in (
        ["git", "init", "--quiet", "--initial-branch=main", str(source)],
        ["git", "-C", str(source), "add", "."],
        ["git", "-C", str(source), *identity, "commit", "--quiet", "--message=mypkg"],
        ["git", "clone", "--quiet", "--bare", str(source), str(served / "mypkg.git")],
        ["git", "-C", str(served / "mypkg.git"), "update-server-info"],
    ):
        subprocess.run(command, check=True)
    gateway = client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    handler = partial(_Handler, directory=str(served))
    with http.server.ThreadingHTTPServer((gateway, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{gateway}:{server.server_port}/mypkg.git"
        finally:
            server.shutdown()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Write no log."""
