"""What a push of DAGs has to do: the files here and the objects there, compared. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import translate

from images.errors import InputError, RequestError

ARCHIVES = (".tar.gz", ".tgz", ".zip")
"""Endings of what is pushed as one archive."""
_READ_ONLY = ".tar.zst"  # the entrypoint knows it, but not every Python can write it
_RESERVED = ".airflow-ecs"
_MAX_KEY = 1024  # bytes; Amazon S3 User Guide, "Naming Amazon S3 objects"


@dataclass(frozen=True)
class Destination:
    """A place in a bucket: a prefix, which ends in ``/`` or is empty, or the key of one archive."""

    bucket: str
    path: str

    def __str__(self) -> str:
        """The address as S3_URI has it: a prefix named like an archive keeps the ``/`` that tells them apart."""
        text = f"s3://{self.bucket}/{self.path}"
        plain = text.rstrip("/")
        return text if plain.lower().endswith((*ARCHIVES, _READ_ONLY)) else plain

    @property
    def archive(self) -> str:
        """The archive's ending; empty for a prefix."""
        return next((ending for ending in ARCHIVES if self.path.lower().endswith(ending)), "")


@dataclass(frozen=True)
class Content:
    """What an object shall hold: its size in bytes, and digests (MD5 in hex, SHA-256 in base64, as S3 has them)."""

    size: int
    md5: str
    sha256: str


@dataclass(frozen=True)
class Stored:
    """An object as a listing tells of it."""

    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class Plan:
    """Paths below the prefix, sorted. ``unclear`` have the right size, but their listing does not tell the content."""

    upload: tuple[str, ...]
    unclear: tuple[str, ...]
    delete: tuple[str, ...]
    unchanged: int


def destination_of(uri: str) -> Destination:
    """Where ``s3://bucket/prefix`` or ``s3://bucket/dags.zip`` leads; a prefix is a folder, not ``dags-old``.

    :raises RequestError: a kind of archive that cannot be written, or a place that the entrypoint would refuse.
    """
    bucket, _, path = uri.removeprefix("s3://").partition("/")
    path = path.lstrip("/")
    if path.lower().endswith(_READ_ONLY):
        raise RequestError(f"A {_READ_ONLY} is not written here.", f"Choose one of: {', '.join(ARCHIVES)}")
    if "\\" in path or any(part in ("", ".", "..") for part in path.removesuffix("/").split("/") if path):
        raise RequestError(
            "The address has a backslash, or an empty, '.' or '..' part, which the entrypoint refuses.",
            "For example: s3://my-bucket/team/dags",
        )
    found = Destination(bucket, path)
    if found.archive or not path or path.endswith("/"):
        return found
    return Destination(bucket, f"{path}/")


def content_of(body: bytes) -> Content:
    """The size and the digests of bytes."""
    sha256 = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return Content(len(body), hashlib.md5(body, usedforsecurity=False).hexdigest(), sha256)


def same(content: Content, stored: Stored) -> bool | None:
    """Whether an object has this content; None if its listing does not tell.

    The ETag of an object that was written in one piece, and not encrypted by KMS, is its MD5 (Amazon S3 API Reference,
    Object): any other ETag says nothing.
    """
    if content.size != stored.size:
        return False
    etag = stored.etag.strip('"')
    return True if etag == content.md5 else None


def plan(
    files: Mapping[str, Content], objects: Mapping[str, Stored], left_out: Callable[[str], bool], keep_removed: bool
) -> Plan:
    """Compare a folder's files with a prefix's objects, both by their paths below it.

    Folder markers of consoles (keys that end in ``/``, so that of the prefix itself is an empty path) and objects that
    are ``left_out`` stay as they are.
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
    """Refuse deletions by which something else than old DAGs would be lost.

    :param replace: a prefix that has nothing in common with the folder is meant.
    :raises RequestError: a whole bucket would be cleared, or a prefix that has nothing in common with the folder.
    """
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


def check_folders(destination: Destination, files: Iterable[str], kept: Iterable[str]) -> None:
    """Refuse to bring a file to where a kept object needs a folder, or the other way round.

    :raises RequestError: the entrypoint would refuse the whole prefix.
    """
    files, kept = set(files), set(kept)
    clash = next((path for path in sorted(files) if _parents(path) & kept), None) or next(
        (path for path in sorted(kept) if _parents(path) & files), None
    )
    if clash:
        both = sorted(_parents(clash) & (files | kept))[0]
        raise RequestError(
            f"{both} would be a file and a folder at once in {destination}, which the entrypoint refuses.",
            "Delete or rename one of them, or leave --keep-removed or --exclude out.",
        )


def _parents(path: str) -> set[str]:
    parts = path.split("/")
    return {"/".join(parts[:count]) for count in range(1, len(parts))}


def leaving_out(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether one of the patterns takes a path out; as DAGS_EXCLUDE of the entrypoint and ``aws s3 sync`` have it.

    A pattern is compared with the whole path below the folder, ``*`` matches ``/`` too, and one that ends in ``/``
    stands for all in that folder.
    """
    if not patterns:
        return lambda path: False
    whole = re.compile("|".join(translate(f"{item}*" if item.endswith("/") else item) for item in patterns))
    return lambda path: whole.match(path) is not None


def check_path(path: str, prefix: str) -> None:
    """:raises InputError: a path that the entrypoint, or S3, would refuse."""
    try:
        length = len(f"{prefix}{path}".encode())
    except UnicodeEncodeError:
        raise InputError(f"The name {path!r} is not UTF-8, as S3 needs it.", "Rename the file.") from None
    if "\\" in path or not path.isprintable():
        raise InputError(f"The name {path!r} holds a backslash or a control character.", "Rename the file.")
    if length > _MAX_KEY:
        raise InputError(f"The name {path[:40]}… has more than {_MAX_KEY} bytes with its prefix.", "Shorten it.")
    if path.split("/")[0] == _RESERVED:
        raise InputError(f"{path} has a name that the entrypoint keeps for itself.", "Leave it out: --exclude")
