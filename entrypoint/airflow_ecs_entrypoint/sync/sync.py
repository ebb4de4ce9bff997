"""Loads sources into their folders: list, plan, take over what is unchanged, download the rest, put in place.

Nothing is put in place before everything has arrived. The threads have ended when `load` returns.
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
from airflow_ecs_entrypoint.signals import Interruption
from airflow_ecs_entrypoint.sync.archive import unpack
from airflow_ecs_entrypoint.sync.download import Job, download
from airflow_ecs_entrypoint.sync.error_mapping import Attempt, classify
from airflow_ecs_entrypoint.sync.folder import StagedFolder
from airflow_ecs_entrypoint.sync.manifest import Entry, Manifest
from airflow_ecs_entrypoint.sync.plan import PlannedFile, RemoteObject, excluded, nothing_there, plan
from airflow_ecs_entrypoint.sync.progress import Progress
from airflow_ecs_entrypoint.sync.s3 import S3

# A prefix that is being written to is listed again this often before the load is given up.
_LISTINGS = 3
_PAUSE = 0.5  # seconds before the next listing
_ARGUMENTS = "the task's arguments"
_GONE = "they are gone: a container deletes them when it has loaded all it needs, and starts once"


@dataclass(frozen=True)
class Loaded:
    """The result of a load.

    ``files`` are in the folder now, ``fetched`` objects and ``fetched_bytes`` came from S3. ``version`` is the same
    for two loads that saw the same files: an archive's version ID or ETag, a digest of a prefix's listing.
    """

    setting: str
    location: str
    folder: str
    files: int
    fetched: int
    fetched_bytes: int
    version: str


@dataclass
class _Staged:
    """A source on its way: the folder's next content, unless it holds the right one already."""

    source: Source
    folder: StagedFolder
    manifest: Manifest = field(default_factory=Manifest)
    version: str = ""
    jobs: list[PlannedFile] = field(default_factory=list)
    archive: RemoteObject | None = None
    unchanged: bool = False


class Load:
    """One load: of all sources, and of a task's arguments."""

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], interruption: Interruption, progress: Progress
    ) -> None:
        self._settings = settings
        self._interruption = interruption
        self._progress = progress
        self._s3 = S3(environ, settings.concurrency)

    def arguments(self, location: S3Location) -> list[str]:
        """A task's arguments. Raises `EntrypointError`."""
        from airflow_ecs_entrypoint.starting.arguments import MAX_BYTES, arguments_in  # most loads need none of it

        self._progress.begin(f"reading {_ARGUMENTS} at {location}")
        return arguments_in(self._s3.read(location, _ARGUMENTS, MAX_BYTES, missing=_GONE), location)

    def delete_arguments(self, location: S3Location) -> None:
        """Delete what `arguments` has read. Raises `EntrypointError`."""
        self._s3.delete(location, _ARGUMENTS)

    def run(self) -> list[Loaded]:
        """Make each source's folder hold exactly what S3 has for it.

        Raises `EntrypointError`; nothing is put in place then, unless the disk fails between two folders.
        """
        for listing in range(1, _LISTINGS + 1):
            try:
                return self._once()
            except ChangedError:
                if listing == _LISTINGS:
                    raise
            time.sleep(_PAUSE)
        raise AssertionError("unreachable")

    def _once(self) -> list[Loaded]:
        staged: list[_Staged] = []
        what = ""
        try:
            for source in self._settings.sources:
                what = source.folder
                self._progress.begin(f"waiting for another container, which loads into {source.folder}")
                staged.append(_Staged(source, StagedFolder(source.folder)))
                # What is listed under the lock is not older than what another container has just put in place.
                remotes, staged[-1].version = self._look(source)
                with self._interruption.deferred():
                    staged[-1].folder.stage()
                    self._interruption.staging.append(staged[-1].folder.staging)
                self._stage(staged[-1], remotes)
            for one in staged:
                if one.archive:
                    what = f"{one.source.folder} the files of {one.archive}"
                    self._unpack(one, one.archive)
            what = " or ".join(one.source.folder for one in staged)
            self._download(staged)
            self._progress.begin("putting the files in place")
            with self._interruption.deferred():
                for one in staged:
                    what = one.source.folder
                    if not one.unchanged:
                        one.folder.put_in_place(one.manifest)
        except Exception as error:
            raise classify(error, Attempt("write to", what)) from error
        finally:
            for one in staged:
                one.folder.discard()
            self._interruption.staging.clear()
        return [_loaded(one) for one in staged]

    def _look(self, source: Source) -> tuple[list[PlannedFile] | RemoteObject, str]:
        """What S3 has for a source, and a name for that version of it."""
        location = source.location
        self._progress.begin(f"looking at {location}")
        if not location.archive:
            files = plan(source, self._s3.objects(location, source.moment), self._settings.max_bytes)
            return files, _version_of(files)
        version_id = source.version_id
        if source.moment is not None:
            found = [one for one in self._s3.objects(location, source.moment) if one.key == location.path]
            if not found:
                raise DagsError(
                    f"{location} did not exist at that time, or its bucket kept no versions: change the pin"
                )
            version_id = found[0].version_id
        remote, version = self._s3.describe(location, version_id)
        if remote.size > self._settings.max_bytes:
            raise DagsError(
                f"{location} has {remote.size} bytes: if it is the right object, raise {MAX_MEBIBYTES.name}"
            )
        return remote, version

    def _stage(self, staged: _Staged, remotes: list[PlannedFile] | RemoteObject) -> None:
        """Decide what has to be fetched, and stage what has not."""
        folder, source = staged.folder, staged.source
        former = folder.former if folder.former.source == str(source.location) else Manifest()
        if isinstance(remotes, RemoteObject):
            same = remotes.etag and (former.etag, former.exclude) == (remotes.etag, source.exclude)
            if same and folder.holds_former():
                staged.manifest, staged.unchanged = former, True
            else:
                staged.archive = remotes
            return
        staged.manifest = Manifest(str(source.location))
        wanted = {file.path: file.remote.etag for file in remotes}
        had = {path: entry.etag for path, entry in former.files.items()}
        if wanted == had and all(wanted.values()) and folder.holds_former():
            staged.manifest, staged.unchanged = former, True
            return
        for file in remotes:
            entry = former.files.get(file.path)
            if entry and file.remote.etag and entry.etag == file.remote.etag and folder.take_over(file.path):
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
            raise nothing_there(source, left_out)
        files = {path: Entry("", digest) for path, digest in digests.items()}
        staged.manifest = Manifest(str(source.location), archive.etag, source.exclude, files)

    def _download(self, staged: Sequence[_Staged]) -> None:
        files = [(one, file) for one in staged for file in one.jobs]
        jobs = [Job(file.remote, one.folder.path_for(file.path)) for one, file in files]
        self._progress.begin("downloading objects", len(jobs))
        for (one, file), digest in zip(files, self._fetch(jobs)):
            one.manifest.files[file.path] = Entry(file.remote.etag, digest)

    def _fetch(self, jobs: Sequence[Job]) -> list[str]:
        return download(self._s3, jobs, self._settings.concurrency, self._interruption, self._progress)


def _version_of(files: Sequence[PlannedFile]) -> str:
    listing = "\n".join(sorted(f"{file.path}\0{file.remote.etag}\0{file.remote.size}" for file in files))
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _loaded(staged: _Staged) -> Loaded:
    fetched = [staged.archive] if staged.archive else [file.remote for file in staged.jobs]
    return Loaded(
        staged.source.setting,
        str(staged.source.location),
        staged.source.folder,
        len(staged.manifest.files),
        len(fetched),
        sum(remote.size for remote in fetched),
        staged.version,
    )
