"""From the objects of a prefix to the files of a folder: what is safe, what is where. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Iterable

from .errors import DagsError
from .settings import S3Location

STAGING_PREFIX = ".airflow-ecs-staging-"


@dataclass(frozen=True)
class RemoteObject:
    """An object as S3 lists it: ``size`` in bytes; ``etag`` with its quotes, empty if there is none."""

    bucket: str
    key: str
    size: int
    etag: str
    modified: datetime

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class PlannedFile:
    """An object and its place: ``path`` is relative to the folder and never leaves it."""

    remote: RemoteObject
    path: str


def plan(location: S3Location, listed: Iterable[RemoteObject]) -> list[PlannedFile]:
    """The files which ``listed``, the objects under ``location``, will be.

    Keys ending in ``/`` are folder markers of S3 consoles and no files.

    Raises `DagsError` for a key that would leave the folder or is no path, and for a key that is both a file
    and a folder.
    """
    files = [
        PlannedFile(remote, remote.key[len(location.prefix) :]) for remote in listed if not remote.key.endswith("/")
    ]
    for file in files:
        _refuse_unsafe(file)
    folders = {parent for file in files for parent in _parents(file.path)}
    for file in files:
        if file.path in folders:
            raise DagsError(f"{file.remote} is a file and a folder at once: rename or delete one of them")
    return files


def _refuse_unsafe(file: PlannedFile) -> None:
    parts = file.path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in file.path or "\0" in file.path:
        raise DagsError(
            f"{file.remote} is no safe file name (an empty, '.' or '..' part, a backslash or a NUL): "
            "rename or delete the object; nothing was loaded"
        )
    if parts[0].startswith(STAGING_PREFIX):
        raise DagsError(f"{file.remote} begins with a reserved name: rename or delete the object")


def _parents(path: str) -> Iterable[str]:
    position = path.find("/")
    while position != -1:
        yield path[:position]
        position = path.find("/", position + 1)
