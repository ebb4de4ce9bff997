"""Mapping of the objects of a prefix to the files of a folder, with safety checks. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from fnmatch import translate
from typing import Callable, Iterable, Sequence

from airflow_ecs_entrypoint.errors import DagsError
from airflow_ecs_entrypoint.settings import MAX_MEBIBYTES, Source

OWN_FOLDER = ".airflow-ecs"
"""The folder in each synced folder that contains the entrypoint's own files."""
MAX_FILES = 100_000
_MAX_PATH = 1024  # bytes, as for S3's keys


@dataclass(frozen=True)
class RemoteObject:
    """An object as listed by S3."""

    bucket: str
    key: str
    size: int
    """In bytes."""
    etag: str
    """The ETag with its quotes; empty if there is none."""
    modified: datetime
    version_id: str = ""
    """The version to be downloaded; empty for the current one."""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class PlannedFile:
    """An object and the ``path`` of its file, which is relative to the folder and inside it."""

    remote: RemoteObject
    path: str


class Paths:
    """The paths of a folder's files. Refuses unsafe and conflicting paths.

    ``what`` is the name of the source in messages.
    """

    def __init__(self, what: str, max_bytes: int) -> None:
        self.files: set[str] = set()
        self.size = 0
        self._folders: set[str] = set()
        self._what = what
        self._max_bytes = max_bytes

    def add(self, path: str, size: int, name: str) -> None:
        """Add a file of ``size`` bytes. ``name`` is the name of its object or archive member in messages.

        Raises DagsError if the path is invalid or outside the folder, if the file is also a folder or appears twice, or
        if the folder has too many files or bytes.
        """
        if len(path.encode("utf-8", "surrogateescape")) > _MAX_PATH:
            raise DagsError(f"a name in {self._what} has more than {_MAX_PATH} bytes: shorten it")
        parts = path.split("/")
        if any(part in ("", ".", "..") for part in parts) or "\\" in path or "\0" in path:
            raise DagsError(
                f"{name} is not a safe file name (an empty, '.' or '..' part, a backslash or a NUL): "
                "rename or delete it"
            )
        if parts[0] == OWN_FOLDER:
            raise DagsError(f"{name} begins with a reserved name: rename or delete it")
        parents = ["/".join(parts[:count]) for count in range(1, len(parts))]
        for both in (path, *parents):
            if both in (self._folders if both == path else self.files):
                raise DagsError(f"{both} is both a file and a folder in {self._what}: rename or delete one of them")
        if path in self.files:
            raise DagsError(f"{name} appears twice: keep one of them")
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
    """Return a function that returns whether one of the patterns matches a path.

    As with ``aws s3 sync --exclude``, a pattern is compared with the whole relative path, and ``*`` also matches
    ``/``. A pattern that ends in ``/`` matches everything in that folder.
    """
    if not patterns:
        return lambda path: False
    whole = re.compile("|".join(translate(p + "*" if p.endswith("/") else p) for p in patterns))
    return lambda path: whole.match(path) is not None


def plan(source: Source, listed: Iterable[RemoteObject], max_bytes: int) -> list[PlannedFile]:
    """Return the files for ``listed``, the objects below the source's prefix.

    Keys that end in ``/`` are folder markers of the S3 console and are skipped. Raises DagsError if there are no files,
    or if `Paths` refuses one of them.
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
        raise no_files_error(source, left_out)
    return files


def no_files_error(source: Source, left_out: int) -> DagsError:
    """Return the error for a source without files, or with only files that DAGS_EXCLUDE skips."""
    if left_out:
        return DagsError(
            f"{source.location} holds no files but {left_out} that DAGS_EXCLUDE leaves out: correct the patterns"
        )
    if source.moment is not None:
        return DagsError(f"{source.location} held no files at that time: check {source.setting} and its version")
    return DagsError(f"{source.location} holds no files: check {source.setting}, or upload to it")
