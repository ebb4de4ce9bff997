"""Ends the entrypoint promptly and tidily on a signal, until the command takes its place.

The handler does all the work itself. Nothing is raised into the main thread, where the exception could
surface in a ``finally`` block or be swallowed by a library.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import contextmanager
from types import FrameType
from typing import Iterator

from . import messages

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Python ignores these; a command would inherit that, and `yes | head` would complain in it.
_IGNORED_BY_PYTHON = tuple(getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name))
# Threads are given this long to notice that they are no longer wanted, in seconds.
GRACE = 0.3


class Interruption:
    """What has to be stopped and removed when a signal comes.

    ``cancelled`` is read by download threads; ``staging`` are folders to be removed. Plain attributes: a
    lock might be held by the very code that the handler interrupts.
    """

    def __init__(self) -> None:
        self.cancelled = False
        self.staging: list[str] = []
        self._deferring = False
        self._pending: int | None = None

    def install(self) -> None:
        """Handle SIGTERM, SIGINT and SIGHUP, unless the parent process asked to ignore them."""
        for number in _HANDLED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def uninstall(self) -> None:
        """Give all signals back their default action, as a command expects to find them."""
        for number in _HANDLED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        for number in _IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_DFL)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold signals back for a moment, so that a folder is never left half old and half new."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
            if self._pending is not None:
                self._end(self._pending)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._deferring:
            self._pending = number
        else:
            self._end(number)

    def _end(self, number: int) -> None:
        """Tidy up and die of the signal, so that whoever waits sees its true cause."""
        self.cancelled = True
        if self.staging:
            time.sleep(GRACE)
        for folder in self.staging:
            shutil.rmtree(folder, ignore_errors=True)
        messages.error(f"stopped by {signal.Signals(number).name} before the command was started")
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        if os.getpid() != 1:
            time.sleep(1)  # Another thread may be the one that receives it.
        # The kernel protects PID 1 from signals without a handler.
        os._exit(128 + number)
