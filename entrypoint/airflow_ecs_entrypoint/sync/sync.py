"""The sync of all sources into their folders: list, plan, keep unchanged files, download the others, put in place.

Nothing is put in place before all downloads are complete.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field
from typing import Mapping, Sequence

from airflow_ecs_entrypoint.errors import ChangedError, DagsError
from airflow_ecs_entrypoint.s3_uri import S3Location
from airflow_ecs_entrypoint.settings import MAX_MEBIBYTES, Settings, Source
from airflow_ecs_entrypoint.signals import ShutdownHandler
from airflow_ecs_entrypoint.sync.archive import unpack
from airflow_ecs_entrypoint.sync.download import Job, download
from airflow_ecs_entrypoint.sync.error_mapping import Operation, classify
from airflow_ecs_entrypoint.sync.folder import StagedFolder
from airflow_ecs_entrypoint.sync.manifest import Entry, Manifest
from airflow_ecs_entrypoint.sync.plan import PlannedFile, RemoteObject, excluded, no_files_error, plan
from airflow_ecs_entrypoint.sync.progress import Progress
from airflow_ecs_entrypoint.sync.s3 import S3

# The number of listings of a prefix that changes during the sync.
_LISTINGS = 3
_PAUSE = 0.5  # seconds before the next listing
_ARGUMENTS = "the task's arguments"
_GONE = "they are gone: a container deletes them before its command starts, and can start only once"


@dataclass(frozen=True)
class SyncedSource:
    """The result of a sync for one source. The report shows it with these field names."""

    setting: str
    location: str
    folder: str
    files: int
    """The number of files in the folder."""
    fetched: int
    """The number of downloaded objects."""
    fetched_bytes: int
    version: str
    """The version of the files: the version ID or ETag of an archive, or a digest of the listing of a prefix."""


@dataclass
class _Staged:
    """A source during the sync, with the next content of its folder, unless the folder is up to date."""

    source: Source
    folder: StagedFolder
    manifest: Manifest = field(default_factory=Manifest)
    version: str = ""
    jobs: list[PlannedFile] = field(default_factory=list)
    archive: RemoteObject | None = None
    unchanged: bool = False

    @property
    def former(self) -> Manifest:
        """What the folder holds of this source since its previous sync."""
        former = self.folder.former
        return former if former.source == str(self.source.location) else Manifest()


class Sync:
    """One sync of all sources, and of a task's arguments."""

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], shutdown: ShutdownHandler, progress: Progress
    ) -> None:
        self._settings = settings
        self._shutdown = shutdown
        self._progress = progress
        self._s3 = S3(environ, settings.concurrency)

    def arguments(self, location: S3Location) -> list[str]:
        """Return a task's arguments. Raises `EntrypointError`."""
        from airflow_ecs_entrypoint.starting.arguments import MAX_BYTES, arguments_in  # most containers do not need it

        self._progress.begin(f"reading {_ARGUMENTS} at {location}")
        return arguments_in(self._s3.read(location, _ARGUMENTS, MAX_BYTES, missing=_GONE), location)

    def delete_arguments(self, location: S3Location) -> None:
        """Delete what `arguments` has read. Raises `EntrypointError`."""
        self._s3.delete(location, _ARGUMENTS)

    def run(self) -> list[SyncedSource]:
        """Make each folder contain exactly the files of its source.

        Raises EntrypointError. The folders are unchanged then, unless the disk failed between two folders.
        """
        for listing in range(1, _LISTINGS + 1):
            try:
                return self._once()
            except ChangedError:
                if listing == _LISTINGS:
                    raise
            time.sleep(_PAUSE)
        raise AssertionError("unreachable")

    def _once(self) -> list[SyncedSource]:
        staged: list[_Staged] = []
        what = ""
        try:
            for source in self._settings.sources:
                what = source.folder
                self._progress.begin(f"waiting for another container that syncs {source.folder}")
                staged.append(_Staged(source, StagedFolder(source.folder)))
                remotes = self._compare(staged[-1])
                if staged[-1].unchanged:
                    continue
                with self._shutdown.deferred():
                    staged[-1].folder.stage()
                    self._shutdown.staging.append(staged[-1].folder.staging)
                self._stage(staged[-1], remotes)
            for one in staged:
                if one.archive:
                    what = f"{one.source.folder} the files of {one.archive}"
                    self._unpack(one, one.archive)
            what = " or ".join(one.source.folder for one in staged)
            self._download(staged)
            self._progress.begin("putting the files in place")
            with self._shutdown.deferred():
                for one in staged:
                    what = one.source.folder
                    if not one.unchanged:
                        one.folder.put_in_place(one.manifest)
        except Exception as error:
            raise classify(error, Operation("write to", what)) from error
        finally:
            for one in staged:
                one.folder.discard()
            self._shutdown.staging.clear()
        return [_result(one) for one in staged]

    def _compare(self, staged: _Staged) -> list[PlannedFile] | RemoteObject:
        """List the source and compare the folder with it. The folder is locked to be changed if they differ."""
        folder = staged.folder
        while True:
            stamp, remotes = folder.stamp, None
            if stamp is not None:
                remotes, staged.version = self._list(staged.source)
                if self._is_unchanged(staged, remotes):
                    return remotes
            self._progress.begin(f"waiting for another container that syncs {staged.source.folder}")
            if folder.lock_to_change():
                # Listed under the lock, so that it is not older than what another container has just put in place.
                if remotes is None or folder.stamp != stamp:
                    remotes, staged.version = self._list(staged.source)
                    self._is_unchanged(staged, remotes)
                return remotes
            folder.share()

    def _list(self, source: Source) -> tuple[list[PlannedFile] | RemoteObject, str]:
        """Return the files of a prefix or the object of an archive, and the name of their version."""
        location = source.location
        self._progress.begin(f"listing {location}")
        if not location.archive:
            files = plan(source, self._s3.objects(location, source.moment), self._settings.max_bytes)
            return files, _version_of(files)
        version_id = source.version_id
        if source.moment is not None:
            found = [one for one in self._s3.objects(location, source.moment) if one.key == location.path]
            if not found:
                raise DagsError(
                    f"{location} did not exist at that time, or its bucket kept no versions: correct the pin"
                )
            version_id = found[0].version_id
        remote, version = self._s3.describe(location, version_id)
        if remote.size > self._settings.max_bytes:
            raise DagsError(
                f"{location} has {remote.size} bytes: if it is the right object, raise {MAX_MEBIBYTES.name}"
            )
        return remote, version

    def _is_unchanged(self, staged: _Staged, remotes: list[PlannedFile] | RemoteObject) -> bool:
        """Return whether the folder holds exactly what was listed."""
        former, source = staged.former, staged.source
        if isinstance(remotes, RemoteObject):
            same = bool(remotes.etag) and (former.etag, former.exclude) == (remotes.etag, source.exclude)
        else:
            wanted = {file.path: file.remote.etag for file in remotes}
            had = {path: entry.etag for path, entry in former.files.items()}
            same = wanted == had and all(wanted.values())
        staged.unchanged = same and staged.folder.holds_former()
        if staged.unchanged:
            staged.manifest = former
        return staged.unchanged

    def _stage(self, staged: _Staged, remotes: list[PlannedFile] | RemoteObject) -> None:
        """Determine the objects to be downloaded, and stage unchanged files."""
        if isinstance(remotes, RemoteObject):
            staged.archive = remotes
            return
        staged.manifest = Manifest(str(staged.source.location))
        for file in remotes:
            entry = staged.former.files.get(file.path)
            if entry and file.remote.etag and entry.etag == file.remote.etag and staged.folder.take_over(file.path):
                staged.manifest.files[file.path] = entry
            else:
                staged.jobs.append(file)

    def _unpack(self, staged: _Staged, archive: RemoteObject) -> None:
        packed = staged.folder.scratch("archive")
        self._progress.begin(f"downloading {archive}")
        self._fetch([Job(archive, packed)])
        self._progress.begin(f"unpacking {archive}")
        source = staged.source
        digests, left_out = unpack(
            packed,
            source.location.archive,
            str(source.location),
            staged.folder.path_for,
            self._settings.max_bytes,
            excluded(source.exclude),
        )
        os.unlink(packed)
        if not digests:
            raise no_files_error(source, left_out)
        files = {path: Entry("", digest) for path, digest in digests.items()}
        staged.manifest = Manifest(str(source.location), archive.etag, source.exclude, files)

    def _download(self, staged: Sequence[_Staged]) -> None:
        files = [(one, file) for one in staged for file in one.jobs]
        jobs = [Job(file.remote, one.folder.path_for(file.path)) for one, file in files]
        self._progress.begin("downloading objects", len(jobs))
        for (one, file), digest in zip(files, self._fetch(jobs)):
            one.manifest.files[file.path] = Entry(file.remote.etag, digest)

    def _fetch(self, jobs: Sequence[Job]) -> list[str]:
        return download(self._s3, jobs, self._settings.concurrency, self._shutdown, self._progress)


def _version_of(files: Sequence[PlannedFile]) -> str:
    listing = "\n".join(sorted(f"{file.path}\0{file.remote.etag}\0{file.remote.size}" for file in files))
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _result(staged: _Staged) -> SyncedSource:
    fetched = [staged.archive] if staged.archive else [file.remote for file in staged.jobs]
    return SyncedSource(
        staged.source.setting,
        str(staged.source.location),
        staged.source.folder,
        len(staged.manifest.files),
        len(fetched),
        sum(remote.size for remote in fetched),
        staged.version,
    )
