"""Helpers for containers: copy files in and out, wait for the end, read the output."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import requests
from docker.errors import NotFound
from docker.models.containers import Container

from local.errors import ServiceError

AIRFLOW_UID = 50000
_IGNORED = frozenset({"__pycache__", ".git", ".DS_Store"})


def folder_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by their relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _IGNORED.intersection(path.relative_to(folder).parts)
    }


def put_files(container: Container, folders: Mapping[str, Mapping[str, bytes]]) -> None:
    """Write files into existing folders of a container, started or not: contents by name, by folder.

    They belong to the image's user and group.
    """
    for folder, files in folders.items():
        container.put_archive(folder, _archive(files))


def _archive(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folders = sorted({str(parent) for name in files for parent in list(PurePosixPath(name).parents)[:-1]})
        for folder in folders:
            archive.addfile(_member(folder, 0o775, tarfile.DIRTYPE))
        for name, content in files.items():
            member = _member(name, 0o664, tarfile.REGTYPE)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _member(name: str, mode: int, kind: bytes) -> tarfile.TarInfo:
    """Return an archive member with the image's user."""
    member = tarfile.TarInfo(name)
    member.mode, member.type, member.uid, member.gid = mode, kind, AIRFLOW_UID, 0
    return member


def read_files(container: Container, path: str, chosen: Callable[[str], bool]) -> dict[str, str]:
    """Return the text of the chosen files below a path of a container; nothing if the path does not exist."""
    try:
        stream, _ = container.get_archive(path)
    except NotFound:
        return {}
    found: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        for member in archive:
            if member.isfile() and chosen(member.name):
                content = archive.extractfile(member)
                if content is not None:
                    found[member.name] = content.read().decode(errors="replace")
    return found


def wait(container: Container, what: str, timeout: float) -> int:
    """Wait for a container's end and return its exit code; kill it when it takes too long."""
    try:
        return int(container.wait(timeout=timeout)["StatusCode"])
    except requests.exceptions.RequestException as error:
        container.kill()
        output: bytes = container.logs(tail=25)
        raise ServiceError(
            f"{what} did not end within {timeout:.0f} s:\n{output.decode(errors='replace').rstrip()}"
        ) from error


def output_of(container: Container) -> str:
    """Return everything a container wrote to stdout and stderr."""
    output: bytes = container.logs()
    return output.decode(errors="replace")
