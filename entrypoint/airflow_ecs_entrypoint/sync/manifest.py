"""What a loaded folder holds, written down, so that the next load fetches only what has changed.

A file counts as unchanged only if S3 still has the same ETag and the file on disk still has the same content
(SHA-256): size and time alone prove nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from dataclasses import asdict, dataclass, field

from airflow_ecs_entrypoint.sync.plan import OWN_FOLDER

# Written by Python beside the sources that tasks import. Nobody has checked it: it goes, unless it came from S3.
_BYTECODE = "__pycache__"
# Made by mkfs at the top of a volume, owned by root.
NOT_OURS = frozenset(("lost+found",))
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Entry:
    """A file: ``etag`` of its object (empty for a member of an archive) and SHA-256 of its content, in hex."""

    etag: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """The files of a folder by their relative path. ``source`` and ``etag`` say what they were made from: the
    location, and the ETag if it is one object; ``exclude``, which patterns were left out.
    """

    source: str = ""
    etag: str = ""
    exclude: tuple[str, ...] = ()
    files: dict[str, Entry] = field(default_factory=dict)


def read(path: str) -> Manifest:
    """The manifest in the file ``path``; an empty one if there is none, or none that can be read."""
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
    """Whether a folder holds exactly the manifest's files, with exactly their content."""
    try:
        _remove_bytecode(folder, manifest)
        return _regular_files(folder) == set(manifest.files) and all(
            digest_of(os.path.join(folder, path)) == entry.digest for path, entry in manifest.files.items()
        )
    except OSError:
        return False


def unchanged_file(folder: str, path: str, entry: Entry) -> str | None:
    """Where the file lies if it is what its entry says; None otherwise."""
    place = os.path.join(folder, path)
    try:
        if os.path.realpath(place) != os.path.join(os.path.realpath(folder), path):
            return None  # reached through a link
        return place if digest_of(place) == entry.digest else None
    except OSError:
        return None


def digest_of(path: str) -> str:
    """SHA-256 of a file's content, in hex. Raises `OSError`."""
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
    """Relative paths of all files. Whatever is neither file nor folder is in it as well, so that it differs."""
    found = set()
    for parent, folders, files in os.walk(folder):
        if parent == folder:
            folders[:] = [name for name in folders if name not in (OWN_FOLDER, *NOT_OURS)]
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        folders[:] = [name for name in folders if name not in links]
        for name in (*files, *links):
            path = os.path.join(parent, name)
            regular = stat.S_ISREG(os.lstat(path).st_mode)
            found.add(os.path.relpath(path, folder) if regular else f"{path} is no file")
    return found
