"""Parallel download of objects, with several threads in each of several processes.

The SDK needs about a millisecond of CPU time for each request, and all threads of a process share one interpreter lock.
With threads alone, a thousand small files would keep one core busy for more than a second while others are idle.
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

from airflow_ecs_entrypoint.signals import ENDING, GRACE, ShutdownHandler
from airflow_ecs_entrypoint.sync.child_process import Answer, Child, unblock_signals
from airflow_ecs_entrypoint.sync.plan import RemoteObject
from airflow_ecs_entrypoint.sync.progress import Progress
from airflow_ecs_entrypoint.sync.s3 import S3, CancelledError

# From about this number of objects on, another process saves more time than it costs.
_WORTH_A_PROCESS = 200
_MAX_PROCESSES = 4
_THREAD = "download-"


class Job(NamedTuple):
    """An object and the path of the file to which it is written."""

    remote: RemoteObject
    path: str


def download(s3: S3, jobs: Sequence[Job], concurrency: int, shutdown: ShutdownHandler, progress: Progress) -> list[str]:
    """Run all jobs, ``concurrency`` at a time, and return the SHA-256 of each file in the order of the jobs.

    An error cancels the other jobs and is raised. An error of another process is raised after this process has finished
    its own share.
    """
    # A process with threads must not fork. Threads of a cancelled download may still be waiting for S3.
    alone = any(thread.name.startswith(_THREAD) for thread in threading.enumerate())
    count = 1 if alone else processes_for(len(jobs), concurrency)
    shares = [jobs[number::count] for number in range(count)]
    progress.step = count  # all shares have about the same size
    helpers = [Child(partial(_help, s3, share, concurrency // count)) for share in shares[1:]]
    if helpers:
        s3.disconnect()  # a connection belongs to one process
    digests = [""] * len(jobs)
    try:
        for helper in helpers:
            with shutdown.deferred():
                helper.start()
                shutdown.helpers.append(helper)
        digests[0::count] = _in_threads(s3, shares[0], concurrency // count, lambda: shutdown.cancelled, progress)
        for number, helper in enumerate(helpers, 1):
            digests[number::count] = helper.answer()
    finally:
        with shutdown.deferred():
            for helper in helpers:
                helper.kill()
            shutdown.helpers.clear()
    return digests


def processes_for(jobs: int, concurrency: int) -> int:
    """Return the best number of processes."""
    return max(1, min(_MAX_PROCESSES, len(os.sched_getaffinity(0)), concurrency, jobs // _WORTH_A_PROCESS))


def _help(s3: S3, jobs: Sequence[Job], concurrency: int, answer: Answer) -> NoReturn:
    """Run a share of the jobs in a process of its own. Signals end it, because it has nothing to clean up."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in (*ENDING, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    unblock_signals()
    parent = os.getppid()
    answer(_in_threads(s3, jobs, concurrency, lambda: os.getppid() != parent, Progress()))


def _in_threads(
    s3: S3, jobs: Sequence[Job], concurrency: int, stopped: Callable[[], bool], progress: Progress
) -> list[str]:
    """Run jobs in threads of this process until ``stopped`` returns True.

    These are no threads of a ThreadPoolExecutor, for which the interpreter waits at its end: a thread that waits for S3
    would delay the report of an error.
    """
    digests = [""] * len(jobs)
    waiting = deque(enumerate(jobs))
    failed = threading.Event()
    ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def cancelled() -> bool:
        return failed.is_set() or stopped()

    def work() -> None:
        try:
            while not cancelled():
                try:
                    number, job = waiting.popleft()
                except IndexError:
                    break
                digests[number] = s3.download(job.remote, job.path, cancelled)
                progress.advance()
        except CancelledError:
            ended.put(None)
        except Exception as error:  # noqa: BLE001 - the main thread raises it
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
        error = ended.get()
        if error is not None:
            failed.set()
            until = time.monotonic() + GRACE
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
            raise error
    for thread in threads:
        thread.join()
    return digests
