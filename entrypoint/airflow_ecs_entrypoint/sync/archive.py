"""Extraction of an archive of DAGs: only regular files and folders, only inside the target, only up to a size.

A malicious archive does no harm: links, devices and encrypted members are refused, and sizes are counted during
extraction, because those in headers cannot be trusted.
"""

from __future__ import annotations

import calendar
import gzip
import hashlib
import os
import stat
import sys
import tarfile
import zipfile
from contextlib import closing
from functools import partial
from typing import IO, Any, Callable, Generator, Iterator, Mapping, NamedTuple

from airflow_ecs_entrypoint.errors import DagsError, SettingsError
from airflow_ecs_entrypoint.sync.plan import Paths

_CHUNK = 256 * 1024  # bytes
# The limit of a member's name and attributes; more would only waste the memory of the reader.
_MAX_HEADER = 1024 * 1024  # bytes
_LATEST = 2.0**32  # seconds since 1970, in the year 2106: valid on every file system


class Member(NamedTuple):
    """A regular file in an archive. ``modified`` is in seconds since 1970; ``open`` is called at most once."""

    path: str
    size: int
    executable: bool
    modified: float
    open: Callable[[], IO[bytes]]


def unpack(
    path: str,
    kind: str,
    what: str,
    target: Callable[[str], str],
    max_bytes: int,
    left_out: Callable[[str], bool],
) -> tuple[dict[str, str], int]:
    """Extract the files of an archive; return the SHA-256 of each by relative path, and the number of skipped files.

    ``kind`` is ``tar.gz``, ``tar.zst`` or ``zip``; ``what`` is the archive's name in messages. ``target`` returns the
    path to which the file with a relative path is written, and ``left_out`` whether it is skipped; all files together
    have at most ``max_bytes``. Raises DagsError if the archive is damaged or unsafe, SettingsError if this Python
    cannot extract ``kind``, and OSError.
    """
    paths = Paths(what, max_bytes)
    digests: dict[str, str] = {}
    skipped = 0
    with closing(_MEMBERS[kind](path, what)) as members:
        while True:
            try:
                member = next(members)
            except StopIteration:
                return digests, skipped
            except Exception as error:
                raise _explained(error, what) from error
            if left_out(member.path):
                skipped += 1
                continue
            paths.add(member.path, member.size, f"{member.path!r} in {what}")
            digests[member.path] = _write(member, target(member.path), what)


def _write(member: Member, path: str, what: str) -> str:
    digest = hashlib.sha256()
    written = 0
    with open(path, "wb") as stream:
        for chunk in _content(member, what):
            written += len(chunk)
            digest.update(chunk)
            stream.write(chunk)
    if written != member.size:
        raise DagsError(f"{what} is damaged: {member.path!r} ends early: pack and upload it again")
    if member.executable:
        os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | 0o111)
    modified = min(max(member.modified, 0.0), _LATEST)
    os.utime(path, (modified, modified))
    return digest.hexdigest()


def _content(member: Member, what: str) -> Iterator[bytes]:
    try:
        with member.open() as source:
            yield from iter(lambda: source.read(_CHUNK), b"")
    except Exception as error:
        raise _explained(error, what) from error


def _explained(error: Exception, what: str) -> Exception:
    """Return the error to raise for one that occurred while reading. Errors of the disk have an error number."""
    if isinstance(error, (DagsError, SettingsError)) or (isinstance(error, OSError) and error.errno):
        return error
    return DagsError(f"{what} is damaged or not a valid archive ({type(error).__name__}): pack and upload it again")


class _StrictHeader(tarfile.TarInfo):
    """A header that is refused if tarfile would ignore an error or require unlimited memory."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Any:
        """Read the next header. Unlike tarfile, do not accept a damaged or missing header as the end of the archive."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error

    def _proc_member(self, archive: tarfile.TarFile) -> Any:  # called by tarfile for each header
        if self.size > _MAX_HEADER and self.type not in tarfile.REGULAR_TYPES:
            raise DagsError(f"a header of the archive has {self.size} bytes: pack the archive again")
        if self.type == tarfile.GNUTYPE_SPARSE:
            self._refuse_sparse()
        return super()._proc_member(archive)  # type: ignore[misc]

    def _refuse_sparse(self, *_: object) -> Any:
        raise DagsError("the archive contains a sparse file: pack it without `--sparse`")

    # The three formats of sparse files in PAX headers, whose maps tarfile would read into memory.
    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


def _tar_members(stream: IO[bytes], what: str) -> Generator[Member, None, None]:
    # "r|" reads strictly forward, so that nothing is decompressed twice and nothing is kept.
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictHeader) as archive:
        for info in archive:
            # tarfile would keep every header.
            archive.members, archive.pax_headers = [], {}  # type: ignore[attr-defined]
            name = info.name[2:] if info.name.startswith("./") else info.name
            if info.isdir():
                continue
            if not info.isreg():
                raise DagsError(
                    f"{name!r} in {what} is a {'link' if info.issym() or info.islnk() else 'special file'}: only "
                    "regular files and folders are unpacked; pack it with `tar --dereference --hard-dereference`"
                )
            yield Member(name, info.size, bool(info.mode & 0o100), info.mtime, partial(_reader, archive, info))
    # tarfile stops at the end mark; the checksum follows it.
    while stream.read(_CHUNK):
        pass


def _reader(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    found = archive.extractfile(info)
    assert found is not None  # a regular file
    return found


def _tar_gz(path: str, what: str) -> Generator[Member, None, None]:
    with gzip.open(path, "rb") as stream:
        yield from _tar_members(stream, what)  # type: ignore[arg-type]


def _tar_zst(path: str, what: str) -> Generator[Member, None, None]:
    with open(path, "rb") as packed, _zstd_reader(packed, what) as stream:
        yield from _tar_members(stream, what)


def _zstd_reader(packed: IO[bytes], what: str) -> IO[bytes]:
    """Return a decompressing stream: of Python 3.14, or of the package zstandard."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]

        return zstd.ZstdFile(packed)  # type: ignore[no-any-return,unused-ignore]
    except ImportError:
        pass
    try:
        import zstandard  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise SettingsError(
            f"cannot unpack {what}: Python {sys.version_info[0]}.{sys.version_info[1]} has no zstd: add zstandard to "
            "the image's requirements, or pack as .tar.gz"
        ) from None
    return zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)  # type: ignore[no-any-return,unused-ignore]


def _zip(path: str, what: str) -> Generator[Member, None, None]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith("/"):
                continue
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise DagsError(
                    f"{info.filename!r} in {what} is a link or special file: only regular files and folders are "
                    "unpacked; pack it without `--symlinks`"
                )
            if info.flag_bits & 0x1:
                raise DagsError(f"{info.filename!r} in {what} is encrypted: pack it without a password")
            # The times in a zip archive have no time zone. They are interpreted as UTC.
            year, month, day, *clock = info.date_time
            modified = float(calendar.timegm((year, max(month, 1), max(day, 1), *clock, 0, 0, 0)))
            yield Member(info.filename, info.file_size, bool(mode & 0o100), modified, partial(archive.open, info))


_MEMBERS: Mapping[str, Callable[[str, str], Generator[Member, None, None]]] = {
    "tar.gz": _tar_gz,
    "tar.zst": _tar_zst,
    "zip": _zip,
}
