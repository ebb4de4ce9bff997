"""Push DAGs: upload what has changed, delete what is gone, and find the version that a task can pin."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TypeVar

from airflow_ecs_entrypoint.sync.plan import excluded

from images import inputs
from images.console import say
from images.dags.archive import Member, fingerprint, pack
from images.dags.bucket import CONCURRENCY, Bucket, Found
from images.dags.plan import Destination, check_paths, check_replacement, content_of, plan, same
from images.errors import BuildToolError, InputError

T = TypeVar("T")
_PAUSE = 0.2
"""Seconds between two requests for S3's clock if the second has not ended when it should have."""


@dataclass(frozen=True)
class Pushed:
    """What was done, or would be: paths, and the number of files that did not have to change.

    ``version`` is a value for S3_VERSION: a time in UTC, or an archive's version ID; empty if nothing can be pinned.
    """

    uploaded: tuple[str, ...]
    deleted: tuple[str, ...]
    unchanged: int
    version: str = ""


@dataclass(frozen=True)
class Choices:
    """How to push: ``exclude`` are patterns of files to leave out, ``replace`` allows a prefix of other files."""

    exclude: Sequence[str] = ()
    keep_removed: bool = False
    replace: bool = False
    dry_run: bool = False


def push(folder: Path, bucket: Bucket, choices: Choices) -> Pushed:
    """Make the destination the same as the folder, with a line on stderr for each step.

    After a BuildToolError, S3 has some of the new files, and all old files that they do not replace; the same push
    completes it.
    """
    files = _files(folder, bucket.destination, choices.exclude)
    if bucket.destination.archive:
        return _push_archive(files, bucket, choices)
    return _push_files(files, bucket, choices)


def _files(folder: Path, destination: Destination, exclude: Sequence[str]) -> dict[str, Path]:
    """Return the files to push, by their path below the folder."""
    leave_out = excluded(exclude)
    inputs.check_folder(folder, "DIR", leave_out, "uploaded")
    found = {path.relative_to(folder).as_posix(): path for path in inputs.files_of(folder)}
    found = {name: path for name, path in found.items() if not leave_out(name)}
    if not found:
        raise InputError(f"{folder} has only files that --exclude leaves out.", "Correct the patterns.")
    check_paths(destination, found)
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from None


def _push_archive(files: Mapping[str, Path], bucket: Bucket, choices: Choices) -> Pushed:
    members = {name: Member(_read(path), bool(path.stat().st_mode & 0o100)) for name, path in files.items()}
    mark = fingerprint(members, bucket.destination.ending)
    body = cache(lambda: pack(members, bucket.destination.ending))
    there = bucket.look()
    if there is not None and _is_same_archive(there, mark, body):
        kept = True if there.version else bucket.keeps_versions()
        if there.version or not kept:
            _say_why_unpinned(bucket, kept)
            return Pushed((), (), len(files), there.version)
        say("the bucket keeps versions since the archive was uploaded: uploading it again, so that it has a version")
    name = bucket.destination.path.rpartition("/")[2]
    say(f"upload {name}, {len(files)} files, {len(body()):,} bytes")
    if choices.dry_run:
        return Pushed((name,), (), 0)
    version = bucket.put("", body(), content_of(body()), mark)
    _say_why_unpinned(bucket, bool(version))
    return Pushed((name,), (), 0, version)


def _is_same_archive(there: Found, mark: str, body: Callable[[], bytes]) -> bool:
    """Return whether an archive has the expected files: by the fingerprint of an earlier push, else by its bytes."""
    if there.fingerprint:
        return there.fingerprint == mark
    content = content_of(body())
    return bool(same(content, there.stored)) or there.sha256 == content.sha256


def _push_files(files: Mapping[str, Path], bucket: Bucket, choices: Choices) -> Pushed:
    objects = bucket.objects()
    contents = {name: content_of(_read(path)) for name, path in files.items()}
    found = plan(contents, objects, excluded(choices.exclude), choices.keep_removed)
    check_paths(bucket.destination, files, objects.keys() - set(found.delete))
    if not choices.dry_run:
        check_replacement(bucket.destination, files, objects, found, replace=choices.replace)

    def differs(name: str) -> bool:
        there = bucket.look(name)
        return there is None or there.sha256 != contents[name].sha256

    def upload(name: str) -> None:
        body = _read(files[name])
        if content_of(body) != contents[name]:
            raise InputError(f"{files[name]} was changed while it was pushed.", "Push again.")
        bucket.put(name, body, contents[name])
        say(f"upload {name}")

    def delete(name: str) -> None:
        bucket.delete(name)
        say(f"delete {name}")

    unclear = dict(zip(found.unclear, _at_once(differs, found.unclear), strict=True))
    changed = tuple(sorted((*found.upload, *(name for name, other in unclear.items() if other))))
    result = Pushed(changed, found.delete, len(files) - len(changed))
    if choices.dry_run:
        for name in changed:
            say(f"upload {name}")
        for name in found.delete:
            say(f"delete {name}")
        return result
    _do_all(upload, changed, "uploaded")
    _do_all(delete, found.delete, "deleted")
    moment, since = bucket.clock, time.monotonic()
    kept = bucket.keeps_versions()
    _say_why_unpinned(bucket, kept)
    if not kept:
        return result
    _wait_for_the_end_of(moment, since, bucket)
    return replace(result, version=moment.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _say_why_unpinned(bucket: Bucket, kept: bool | None) -> None:
    name = bucket.destination.bucket
    if kept is None:
        say(
            f"note: no version to pin: {name} does not let this user see whether it keeps versions; allow "
            "s3:GetBucketVersioning on the bucket"
        )
    elif not kept:
        say(
            f"note: no version to pin: {name} does not keep versions. Enable versioning: aws s3api "
            f"put-bucket-versioning --bucket {name} --versioning-configuration Status=Enabled"
        )


def _do_all(do: Callable[[str], None], names: Sequence[str], done: str) -> None:
    """Call ``do`` for each name; if a call fails, the error says how many were done."""
    finished: list[str] = []

    def counted(name: str) -> None:
        do(name)
        finished.append(name)

    try:
        _at_once(counted, names)
    except BuildToolError as error:
        hint = f"{error.hint} {len(finished)} of {len(names)} files were {done}; the same push completes it."
        raise type(error)(error.message, hint.lstrip()) from None


def _at_once(do: Callable[[str], T], names: Sequence[str]) -> list[T]:
    """Return the results of ``do`` for each name, several at a time.

    After an error, or Ctrl-C, the calls that have begun end, and no further ones begin.
    """
    pool = ThreadPoolExecutor(CONCURRENCY)
    try:
        futures = [pool.submit(do, name) for name in names]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    finally:
        pool.shutdown(cancel_futures=True)
    for future in done:
        future.result()  # raises what has failed
    return [future.result() for future in futures]


def _wait_for_the_end_of(moment: datetime, since: float, bucket: Bucket) -> None:
    """Wait until a second has ended by S3's clock, which showed it at ``since``: no object can get that time any more.

    S3 keeps times in whole seconds. An earlier second is not enough, even if nothing had to be changed: a listing does
    not show when objects were deleted.
    """
    while bucket.clock <= moment:
        time.sleep(max(since + 1 - time.monotonic(), _PAUSE))
        bucket.keeps_versions()  # any request tells the time
