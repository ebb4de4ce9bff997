"""What a push of DAGs has to do: local files and objects in S3, compared. Pure."""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from airflow_ecs_entrypoint.errors import DagsError, SettingsError
from airflow_ecs_entrypoint.s3_uri import S3Location, parse_s3_uri
from airflow_ecs_entrypoint.sync.plan import Paths

from images.errors import InputError, RequestError

ARCHIVES = (".tar.gz", ".tgz", ".zip")
"""Endings of what is pushed as one archive."""
_READ_ONLY = "tar.zst"
"""The entrypoint reads it, but not every Python can write it."""
_MAX_KEY = 1024  # bytes; Amazon S3 User Guide, "Naming Amazon S3 objects"


class Destination(S3Location):
    """Where a push writes: a prefix, or the key of one archive."""

    def __str__(self) -> str:
        """Return the value for S3_URI; a prefix named like an archive keeps the ``/`` that tells them apart."""
        uri = f"s3://{self.bucket}/{self.path}"
        plain = S3Location(self.bucket, self.path.rstrip("/"))
        return uri if plain.archive else uri.rstrip("/")

    @property
    def ending(self) -> str:
        """What the key of the archive ends in, one of `ARCHIVES`; empty for a prefix."""
        return next((ending for ending in ARCHIVES if self.path.lower().endswith(ending)), "")


@dataclass(frozen=True)
class Content:
    """What an object must contain: its size in bytes, and digests (MD5 in hex, SHA-256 in base64, as S3 has them)."""

    size: int
    md5: str
    sha256: str


@dataclass(frozen=True)
class Stored:
    """An object as S3 lists it."""

    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class Plan:
    """Paths below the prefix, sorted. ``unclear`` have the right size, but the listing does not show their content."""

    upload: tuple[str, ...]
    unclear: tuple[str, ...]
    delete: tuple[str, ...]
    unchanged: int


def destination_of(uri: str) -> Destination:
    """Return the place that an S3 URI names. Raises RequestError if it cannot be read or written."""
    try:
        location = parse_s3_uri("URI", uri)
    except SettingsError as error:
        raise RequestError(f"{error}.", "For example: s3://my-bucket/team/dags") from None
    if location.archive == _READ_ONLY:
        raise RequestError(
            f"The build tool does not write .{_READ_ONLY} archives.", f"Choose one of: {', '.join(ARCHIVES)}"
        )
    return Destination(location.bucket, location.path)


def content_of(body: bytes) -> Content:
    """Return the size and the digests of bytes."""
    sha256 = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return Content(len(body), hashlib.md5(body, usedforsecurity=False).hexdigest(), sha256)


def same(content: Content, stored: Stored) -> bool | None:
    """Return whether an object has this content; None if the listing does not show it.

    The ETag of an object that was written in one piece and is not encrypted with KMS is its MD5 (Amazon S3 API
    Reference, Object). Any other ETag says nothing about the content.
    """
    if content.size != stored.size:
        return False
    etag = stored.etag.strip('"')
    return True if etag == content.md5 else None


def plan(
    files: Mapping[str, Content], objects: Mapping[str, Stored], left_out: Callable[[str], bool], keep_removed: bool
) -> Plan:
    """Compare a folder's files with a prefix's objects, both by their paths below it.

    Folder markers of consoles (keys that end in ``/``; that of the prefix itself is an empty path) and objects that are
    ``left_out`` stay as they are.
    """
    objects = {path: stored for path, stored in objects.items() if path and not path.endswith("/")}
    verdicts = {path: same(content, objects[path]) if path in objects else False for path, content in files.items()}
    surplus = (path for path in objects if path not in files and not left_out(path))
    return Plan(
        upload=tuple(sorted(path for path, verdict in verdicts.items() if verdict is False)),
        unclear=tuple(sorted(path for path, verdict in verdicts.items() if verdict is None)),
        delete=() if keep_removed else tuple(sorted(surplus)),
        unchanged=sum(verdict is True for verdict in verdicts.values()),
    )


def check_replacement(
    destination: Destination, files: Iterable[str], objects: Iterable[str], found: Plan, *, replace: bool
) -> None:
    """Raise RequestError before a bucket, or, without ``replace``, a prefix of entirely other files is cleared."""
    if not found.delete:
        return
    if not destination.path:
        raise RequestError(
            f"{destination} is a whole bucket, from which {len(found.delete)} objects would be deleted.",
            f"Name a prefix, such as {destination}/dags, or add --keep-removed.",
        )
    if not replace and not set(files) & set(objects):
        raise RequestError(
            f"{destination} has {len(found.delete)} objects, none of which is in this folder: is it the right place?",
            "--dry-run lists them. To keep them, add --keep-removed; to replace them, --replace.",
        )


def check_paths(destination: Destination, files: Iterable[str], kept: Iterable[str] = ()) -> None:
    """Refuse files that the entrypoint, or S3, would refuse; ``kept`` are the objects that stay in S3.

    Raises InputError for the name of a file, and RequestError if a kept object and the files do not fit into one
    folder.
    """
    paths = Paths(str(destination), sys.maxsize)
    prefix = "" if destination.archive else destination.path
    files = sorted(files)
    try:
        for path in files:
            _check_key(path, prefix)
            paths.add(path, 0, path)
    except DagsError as error:
        raise InputError(f"The entrypoint would refuse the files: {error}.", "--exclude leaves files out.") from None
    try:
        for path in sorted(set(kept).difference(files)):
            if path and not path.endswith("/"):  # else a folder marker of a console
                paths.add(path, 0, path)
    except DagsError as error:
        raise RequestError(
            f"The entrypoint would refuse {destination}: {error}.",
            "Or leave out --keep-removed and --exclude, which keep objects in S3.",
        ) from None


def _check_key(path: str, prefix: str) -> None:
    try:
        length = len(f"{prefix}{path}".encode())
    except UnicodeEncodeError:
        raise InputError(f"The name {path!r} is not UTF-8, which S3 requires.", "Rename the file.") from None
    if not path.isprintable():
        raise InputError(f"The name {path!r} has a control character.", "Rename the file.")
    if length > _MAX_KEY:
        raise InputError(f"The name {path[:40]}… has more than {_MAX_KEY} bytes with its prefix.", "Shorten it.")
