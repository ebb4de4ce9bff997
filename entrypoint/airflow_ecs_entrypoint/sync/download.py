"""Downloads many objects at once: threads for the waiting, processes for the work.

The SDK needs about a millisecond of processor for each request, and all threads of a process share one interpreter
lock: a thousand small files would take one core a second and more, while another one idles.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections import deque
from functools import partial
from typing import Callable, NamedTuple, NoReturn, Sequence

from airflow_ecs_entrypoint.signals import ENDING, GRACE, Interruption
from airflow_ecs_entrypoint.sync.child_process import Answer, Child, with_signals
from airflow_ecs_entrypoint.sync.plan import RemoteObject
from airflow_ecs_entrypoint.sync.progress import Progress
from airflow_ecs_entrypoint.sync.s3 import S3, Cancelled

# A process more costs less than it saves from about so many objects on.
_WORTH_A_PROCESS = 200
_MAX_PROCESSES = 4
_THREAD = "download-"


class Job(NamedTuple):
    """An object, and the file that it is written to."""

    remote: RemoteObject
    path: str


def download(
    s3: S3, jobs: Sequence[Job], concurrency: int, interruption: Interruption, progress: Progress
) -> list[str]:
    """Do all jobs, ``concurrency`` at a time; returns the SHA-256 of each file, in the jobs' order.

    A fault cancels the rest and is raised: at once in this process, when its own share is done in another one.
    """
    # Threads that still hang in a read, after a listing that changed, forbid to fork.
    alone = any(thread.name.startswith(_THREAD) for thread in threading.enumerate())
    count = 1 if alone else processes_for(len(jobs), concurrency)
    shares = [jobs[number::count] for number in range(count)]
    progress.step = count  # shares are alike
    helpers = [Child(partial(_help, s3, share, concurrency // count)) for share in shares[1:]]
    if helpers:
        s3.disconnect()  # a connection belongs to one process
    digests = [""] * len(jobs)
    try:
        for helper in helpers:
            with interruption.deferred():
                helper.start()
                interruption.helpers.append(helper)
        digests[0::count] = _in_threads(s3, shares[0], concurrency // count, lambda: interruption.cancelled, progress)
        for number, helper in enumerate(helpers, 1):
            digests[number::count] = helper.answer()
    finally:
        with interruption.deferred():
            for helper in helpers:
                helper.kill()
            interruption.helpers.clear()
    return digests


def processes_for(jobs: int, concurrency: int) -> int:
    """How many processes are worth it."""
    return max(1, min(_MAX_PROCESSES, len(os.sched_getaffinity(0)), concurrency, jobs // _WORTH_A_PROCESS))


def _help(s3: S3, jobs: Sequence[Job], concurrency: int, answer: Answer) -> NoReturn:
    """A process that does a share of the jobs. It has nothing to tidy up: signals end it."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in (*ENDING, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    with_signals()
    parent = os.getppid()
    answer(_in_threads(s3, jobs, concurrency, lambda: os.getppid() != parent, Progress()))


def _in_threads(
    s3: S3, jobs: Sequence[Job], concurrency: int, unwanted: Callable[[], bool], progress: Progress
) -> list[str]:
    """Do jobs in this process, until they are ``unwanted``.

    Threads of our own rather than an executor's: those are waited for when the interpreter ends, and one
    that hangs in a read would hold up the report of a fault that is known already.
    """
    digests = [""] * len(jobs)
    waiting = deque(enumerate(jobs))
    failed = threading.Event()
    ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def cancelled() -> bool:
        return failed.is_set() or unwanted()

    def work() -> None:
        try:
            while not cancelled():
                try:
                    number, job = waiting.popleft()
                except IndexError:
                    break
                digests[number] = s3.download(job.remote, job.path, cancelled)
                progress.advance()
        except Cancelled:
            ended.put(None)
        except Exception as error:
            ended.put(error)
        else:
            ended.put(None)

    threads = [
        threading.Thread(target=work, name=f"{_THREAD}{number}", daemon=True)
        for number in range(min(concurrency, len(jobs)))
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        fault = ended.get()
        if fault is not None:
            failed.set()
            until = time.monotonic() + GRACE
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
            raise fault
    for thread in threads:
        thread.join()
    return digests
