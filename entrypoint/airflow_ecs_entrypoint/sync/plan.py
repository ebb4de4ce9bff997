"""From the objects of a prefix to the files of a folder: what is safe, what is where. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from fnmatch import translate
from typing import Callable, Iterable, Sequence

from airflow_ecs_entrypoint.errors import DagsError
from airflow_ecs_entrypoint.settings import MAX_MEBIBYTES, Source

OWN_FOLDER = ".airflow-ecs"
"""In each loaded folder: what the entrypoint keeps there for itself."""
MAX_FILES = 100_000
_MAX_PATH = 1024  # bytes, as for S3's keys


@dataclass(frozen=True)
class RemoteObject:
    """An object as S3 lists it: ``size`` in bytes; ``etag`` with its quotes, empty if there is none; ``version_id``
    only where a certain version is wanted.
    """

    bucket: str
    key: str
    size: int
    etag: str
    modified: datetime
    version_id: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class PlannedFile:
    """An object and its place: ``path`` is relative to the folder and never leaves it."""

    remote: RemoteObject
    path: str


class Paths:
    """The paths of a folder's files, as they become known: refuses what must not be in one folder.

    ``what`` names the source, for people.
    """

    def __init__(self, what: str, max_bytes: int) -> None:
        self.files: set[str] = set()
        self.size = 0
        self._folders: set[str] = set()
        self._what = what
        self._max_bytes = max_bytes

    def add(self, path: str, size: int, name: str) -> None:
        """Take a file in; ``size`` in bytes, ``name`` is the object or member, for people.

        Raises `DagsError` for a path that would leave the folder or is none, for a file that is also a folder or
        comes twice, and for more than a folder may hold.
        """
        if len(path.encode("utf-8", "surrogateescape")) > _MAX_PATH:
            raise DagsError(f"a name in {self._what} has more than {_MAX_PATH} bytes: shorten it")
        parts = path.split("/")
        if any(part in ("", ".", "..") for part in parts) or "\\" in path or "\0" in path:
            raise DagsError(
                f"{name} is no safe file name (an empty, '.' or '..' part, a backslash or a NUL): "
                "rename or delete it; nothing was loaded"
            )
        if parts[0] == OWN_FOLDER:
            raise DagsError(f"{name} begins with a reserved name: rename or delete it")
        parents = ["/".join(parts[:count]) for count in range(1, len(parts))]
        if path in self._folders or any(parent in self.files for parent in parents):
            raise DagsError(f"{name} is a file and a folder at once: rename or delete one of them")
        if path in self.files:
            raise DagsError(f"{name} is there twice: keep one of them")
        self.files.add(path)
        self._folders.update(parents)
        self.size += size
        if len(self.files) > MAX_FILES:
            raise DagsError(f"{self._what} holds more than {MAX_FILES} files: is it the right place for DAGs?")
        if self.size > self._max_bytes:
            raise DagsError(
                f"{self._what} holds more than {self._max_bytes // 1024**2} MiB: is it the right place for DAGs? "
                f"If so, raise {MAX_MEBIBYTES.name}, or leave files out with DAGS_EXCLUDE"
            )


def excluded(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether one of the patterns takes a path out.

    As with ``aws s3 sync --exclude``, a pattern is compared with the whole relative path, and ``*`` matches ``/``
    too. A pattern that ends in ``/`` stands for all that is in that folder.
    """
    if not patterns:
        return lambda path: False
    whole = re.compile("|".join(translate(p + "*" if p.endswith("/") else p) for p in patterns))
    return lambda path: whole.match(path) is not None


def plan(source: Source, listed: Iterable[RemoteObject], max_bytes: int) -> list[PlannedFile]:
    """The files which ``listed``, the objects under the source's prefix, will be; at least one.

    Keys ending in ``/`` are folder markers of S3 consoles and no files.

    Raises `DagsError`.
    """
    leave_out = excluded(source.exclude)
    paths = Paths(str(source.location), max_bytes)
    files = []
    left_out = 0
    for remote in listed:
        path = remote.key[len(source.location.path) :]
        if remote.key.endswith("/"):
            continue
        if leave_out(path):
            left_out += 1
            continue
        paths.add(path, remote.size, str(remote))
        files.append(PlannedFile(remote, path))
    if not files:
        raise nothing_there(source, left_out)
    return files


def nothing_there(source: Source, left_out: int) -> DagsError:
    """The fault of a source without files, or without any but those that DAGS_EXCLUDE leaves out."""
    if left_out:
        return DagsError(
            f"{source.location} holds no files but {left_out} that DAGS_EXCLUDE leaves out: correct the patterns"
        )
    if source.moment is not None:
        return DagsError(f"{source.location} held no files at that time: check {source.setting} and its version")
    return DagsError(f"{source.location} holds no files: check {source.setting}, or upload to it")
