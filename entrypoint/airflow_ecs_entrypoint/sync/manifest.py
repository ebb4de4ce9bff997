"""The manifest of a synced folder, from which the next sync determines the changed files.

A file is unchanged only if its object in S3 has the same ETag and the file on disk has the same content (SHA-256). Size
and modification time are not sufficient.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from dataclasses import asdict, dataclass, field

from airflow_ecs_entrypoint.sync.plan import OWN_FOLDER

# Python writes bytecode beside the sources that tasks import. It is not verified, so it is removed unless S3 has it.
_BYTECODE = "__pycache__"
# Created by mkfs in the root folder of a volume, and owned by root.
NOT_OURS = frozenset(("lost+found",))
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Entry:
    """A file: the ETag of its object (empty for a file of an archive) and the SHA-256 of its content, in hex."""

    etag: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """The content of a folder and its origin."""

    source: str = ""
    """The location in S3."""
    etag: str = ""
    """The ETag of an archive."""
    exclude: tuple[str, ...] = ()
    """The patterns of files that were skipped."""
    files: dict[str, Entry] = field(default_factory=dict)
    """The files by relative path."""


def read(path: str) -> Manifest:
    """Return the manifest in the file ``path``, or an empty one if there is no readable manifest."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
        files = {str(name): Entry(str(etag), str(digest)) for name, (etag, digest) in found["files"].items()}
        return Manifest(str(found["source"]), str(found["etag"]), tuple(map(str, found["exclude"])), files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Manifest()


def write(path: str, manifest: Manifest) -> None:
    """Write a manifest. Raises `OSError`."""
    files = {name: (entry.etag, entry.digest) for name, entry in manifest.files.items()}
    with open(path, "w", encoding="utf-8") as stream:
        json.dump({**asdict(manifest), "files": files}, stream)


def holds(folder: str, manifest: Manifest) -> bool:
    """Return whether a folder contains exactly the files of the manifest, with the same content."""
    try:
        _remove_bytecode(folder, manifest)
        return _regular_files(folder) == set(manifest.files) and all(
            digest_of(os.path.join(folder, path)) == entry.digest for path, entry in manifest.files.items()
        )
    except OSError:
        return False


def unchanged_file(folder: str, path: str, entry: Entry) -> str | None:
    """Return the path of a file if its content is that of its entry, otherwise None."""
    place = os.path.join(folder, path)
    try:
        if os.path.realpath(place) != os.path.join(os.path.realpath(folder), path):
            return None  # the path contains a link
        return place if digest_of(place) == entry.digest else None
    except OSError:
        return None


def digest_of(path: str) -> str:
    """Return the SHA-256 of a file's content, in hex. Raises `OSError`."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _remove_bytecode(folder: str, manifest: Manifest) -> None:
    for parent, folders, _ in os.walk(folder):
        if _BYTECODE in folders:
            place = os.path.join(parent, _BYTECODE)
            folders.remove(_BYTECODE)
            kept = os.path.relpath(place, folder) + "/"
            if not os.path.islink(place) and not any(path.startswith(kept) for path in manifest.files):
                shutil.rmtree(place)


def _regular_files(folder: str) -> set[str]:
    """Return the relative paths of all files. Entries that are neither files nor folders get another name."""
    found = set()
    for parent, folders, files in os.walk(folder):
        if parent == folder:
            folders[:] = [name for name in folders if name not in (OWN_FOLDER, *NOT_OURS)]
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        folders[:] = [name for name in folders if name not in links]
        for name in (*files, *links):
            path = os.path.join(parent, name)
            regular = stat.S_ISREG(os.lstat(path).st_mode)
            found.add(os.path.relpath(path, folder) if regular else f"{path} is not a file")
    return found
