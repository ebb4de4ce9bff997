"""Archives that depend only on the names, contents and executable bits of their files. Pure."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

# The earliest time that a zip can hold. With the files' own times, every checkout would give another archive.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_TAR_TIME = 315532800
_LEVEL = 6


@dataclass(frozen=True)
class Member:
    """A file in the archive."""

    body: bytes
    executable: bool

    @property
    def mode(self) -> int:
        """Return the file's permissions."""
        return 0o755 if self.executable else 0o644


def fingerprint(members: Mapping[str, Member], ending: str) -> str:
    """Return a SHA-256 in hex that is equal for archives of the same files.

    The bytes of such archives may differ, because zlib's implementations compress differently.
    """
    digest = hashlib.sha256(ending.encode())
    for path in sorted(members):
        body = hashlib.sha256(members[path].body).hexdigest()
        digest.update(f"{path}\0{members[path].mode:o}\0{body}\n".encode())
    return digest.hexdigest()


def pack(members: Mapping[str, Member], ending: str) -> bytes:
    """Return an archive of files, given by their paths; ``ending`` is one of `images.dags.plan.ARCHIVES`."""
    return _zip(members) if ending == ".zip" else _tar(members)


def _tar(members: Mapping[str, Member]) -> bytes:
    target = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=target, compresslevel=_LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(members):
            info = tarfile.TarInfo(path)
            info.size, info.mode, info.mtime = len(members[path].body), members[path].mode, _TAR_TIME
            archive.addfile(info, io.BytesIO(members[path].body))
    return target.getvalue()


def _zip(members: Mapping[str, Member]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(members):
            info = zipfile.ZipInfo(path, _ZIP_TIME)
            info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3  # Unix, whose permissions follow
            info.external_attr = (0o100000 | members[path].mode) << 16
            archive.writestr(info, members[path].body, compresslevel=_LEVEL)
    return target.getvalue()
