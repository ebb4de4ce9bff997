"""Loads sources into their folders: list, plan, download in parallel, put in place.

Nothing is put in place before everything has arrived. The threads have ended when `load` returns, so the
command never starts beside them.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Mapping, Sequence

from .errors import ChangedError, DagsError
from .faults import Attempt, classify
from .folder import StagedFolder
from .plan import PlannedFile, plan
from .s3 import S3, Cancelled
from .settings import Source
from .signals import GRACE, Interruption

# A prefix that is being written to is listed again this often before the load is given up.
_LISTINGS = 3


@dataclass(frozen=True)
class Loaded:
    """The result of a load: number of files, their bytes, and the seconds that the whole load took."""

    source: Source
    files: int
    size: int
    seconds: float


def load(
    sources: Sequence[Source], concurrency: int, environ: Mapping[str, str], interruption: Interruption
) -> list[Loaded]:
    """Make each source's folder hold exactly the objects of its prefix.

    Raises `EntrypointError`; the folders are then as they were before.
    """
    began = time.monotonic()
    s3 = S3(environ, concurrency)
    for listing in range(1, _LISTINGS + 1):
        plans = [_plan(s3, source) for source in sources]
        try:
            _replace(s3, sources, plans, concurrency, interruption)
            break
        except ChangedError:
            if listing == _LISTINGS:
                raise
    seconds = time.monotonic() - began
    return [
        Loaded(source, len(files), sum(file.remote.size for file in files), seconds)
        for source, files in zip(sources, plans)
    ]


def _plan(s3: S3, source: Source) -> list[PlannedFile]:
    files = plan(source.location, s3.objects(source.location))
    if not files:
        raise DagsError(f"{source.location} holds no files: check {source.setting}, or upload to it")
    return files


def _replace(
    s3: S3,
    sources: Sequence[Source],
    plans: Sequence[Sequence[PlannedFile]],
    concurrency: int,
    interruption: Interruption,
) -> None:
    staged: list[StagedFolder] = []
    what = ""
    try:
        jobs: deque[tuple[PlannedFile, str]] = deque()
        for source, files in zip(sources, plans):
            what = source.folder
            with interruption.deferred():
                staged.append(StagedFolder(source.folder))
                interruption.staging.append(staged[-1].staging)
            for file in files:
                what = f"{source.folder} the object {file.remote}"
                jobs.append((file, staged[-1].path_for(file.path)))
        _download(s3, jobs, concurrency, interruption)
        with interruption.deferred():
            for one in staged:
                what = one.folder
                one.put_in_place()
    except Exception as error:
        for one in staged:
            one.discard()
        raise classify(error, Attempt("write to", what)) from error
    finally:
        interruption.staging.clear()


def _download(s3: S3, jobs: deque[tuple[PlannedFile, str]], concurrency: int, interruption: Interruption) -> None:
    """Do all jobs, ``concurrency`` at a time; the first fault cancels the rest and is raised.

    Threads of our own rather than an executor's: those are waited for when the interpreter ends, and one
    that hangs in a read would hold up the report of a fault that is known already.
    """
    failed = threading.Event()
    ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def cancelled() -> bool:
        return interruption.cancelled or failed.is_set()

    def work() -> None:
        try:
            while not cancelled():
                try:
                    file, path = jobs.popleft()
                except IndexError:
                    break
                s3.download(file.remote, path, cancelled)
        except Cancelled:
            ended.put(None)
        except Exception as error:
            ended.put(error)
        else:
            ended.put(None)

    threads = [
        threading.Thread(target=work, name=f"download-{number}", daemon=True)
        for number in range(min(concurrency, len(jobs)))
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        fault = ended.get()
        if fault is not None:
            failed.set()
            deadline = time.monotonic() + GRACE
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            raise fault
    for thread in threads:
        thread.join()


def describe(loaded: Loaded) -> str:
    """The line about a successful load."""
    return (
        f"loaded {loaded.files} files, {loaded.size} bytes in {loaded.seconds:.2f} s "
        f"from {loaded.source.location} to {os.path.join(loaded.source.folder, '')}"
    )
