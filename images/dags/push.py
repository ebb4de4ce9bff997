"""Push DAGs: what changed goes up, then what is gone goes away, then it is known what a task can pin."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from images import inputs
from images.dags.archive import Member, pack
from images.dags.bucket import CONCURRENCY, Bucket
from images.dags.plan import check_path, check_replacement, content_of, leaving_out, plan, same
from images.errors import BuildToolError, InputError

T = TypeVar("T")
_PAUSE = 0.2
"""Seconds between two looks at S3's clock."""


@dataclass(frozen=True)
class Pushed:
    """What was done, or would be: paths, and how many files were as they should be.

    ``version`` is what S3_VERSION of a task can be: a time in UTC, or an archive's version ID; empty if there is none.
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


def push(folder: Path, bucket: Bucket, choices: Choices, say: Callable[[str], None]) -> Pushed:
    """Make the destination hold what the folder holds.

    :param say: told of each step.
    :raises BuildToolError: what went wrong; S3 then has a part of the new files, and all the old ones that they do not
        replace: the same push completes it.
    """
    files = _files(folder, bucket.destination.path if not bucket.destination.archive else "", choices.exclude)
    if bucket.destination.archive:
        return _push_archive(files, bucket, choices, say)
    return _push_files(files, bucket, choices, say)


def _files(folder: Path, prefix: str, exclude: Sequence[str]) -> dict[str, Path]:
    """The files to push, by their path below the folder."""
    leave_out = leaving_out(exclude)
    inputs.check_folder(folder, "DIR", leave_out, "uploaded")
    found = {path.relative_to(folder).as_posix(): path for path in inputs.files_of(folder)}
    found = {name: path for name, path in found.items() if not leave_out(name)}
    if not found:
        raise InputError(f"{folder} holds no files but those that --exclude leaves out.", "Correct the patterns.")
    for name in found:
        check_path(name, prefix)
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from None


def _push_archive(files: Mapping[str, Path], bucket: Bucket, choices: Choices, say: Callable[[str], None]) -> Pushed:
    members = {name: Member(_read(path), bool(path.stat().st_mode & 0o100)) for name, path in files.items()}
    body = pack(members, bucket.destination.archive)
    content = content_of(body)
    there = bucket.look()
    if there is not None and (same(content, there[0]) or there[1] == content.sha256):
        return Pushed((), (), len(files), there[2])
    name = bucket.destination.path.rpartition("/")[2]
    say(f"upload {name}, {len(files)} files, {len(body):,} bytes")
    version = "" if choices.dry_run else bucket.put("", body, content)
    return Pushed((name,), (), 0, version)


def _push_files(files: Mapping[str, Path], bucket: Bucket, choices: Choices, say: Callable[[str], None]) -> Pushed:
    objects = bucket.objects()
    contents = {name: content_of(_read(path)) for name, path in files.items()}
    found = plan(contents, objects, leaving_out(choices.exclude), choices.keep_removed)
    if not (choices.replace or choices.dry_run):
        check_replacement(bucket.destination, files, objects, found)

    def differs(name: str) -> bool:
        there = bucket.look(name)
        return there is None or there[1] != contents[name].sha256

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
    _all_or_told(upload, changed)
    _all_or_told(delete, found.delete)
    if not bucket.keeps_versions():
        return result
    newest = max((stored.modified for stored in objects.values()), default=bucket.clock)
    return Pushed(
        result.uploaded, result.deleted, result.unchanged, _moment(bucket, newest, bool(changed or found.delete))
    )


def _all_or_told(do: Callable[[str], None], names: Sequence[str]) -> None:
    """Do it for each, and say what is left to do when one fails."""
    try:
        _at_once(do, names)
    except BuildToolError as error:
        hint = f"{error.hint} Not everything was pushed; what is in S3 already stays, and the same push completes it."
        raise type(error)(error.message, hint.lstrip()) from None


def _at_once(do: Callable[[str], T], names: Sequence[str]) -> list[T]:
    """The results of ``do`` for each name, several at a time; after an error, only what is under way is ended."""
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        futures = [pool.submit(do, name) for name in names]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        failed = [error for future in done if (error := future.exception())]
        if failed:
            pool.shutdown(cancel_futures=True)
            raise failed[0]
    return [future.result() for future in futures]


def _moment(bucket: Bucket, newest: datetime, changed: bool) -> str:
    """A time at which S3 held just this: a second, by S3's clock, that has passed, so nothing is added to it any more.

    S3 keeps times in whole seconds.
    """
    moment = bucket.clock if changed else max(newest, bucket.clock - timedelta(seconds=1))
    while bucket.clock <= moment:
        time.sleep(_PAUSE)
        bucket.keeps_versions()  # any request tells the time
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
