"""Signal handling before the command starts: the work in progress is cleaned up and the process ends at once.

The handler does all the work itself. It raises no exception in the main thread, where the exception could appear in a
``finally`` block or be suppressed by a library.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from types import FrameType
from typing import Callable, Iterable, Iterator, Protocol

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that ask a container to end."""
# Python ignores these; a command would inherit that, and `yes | head` would complain in it.
_IGNORED_BY_PYTHON = tuple(getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name))
# The time that threads get to notice a cancellation, in seconds.
GRACE = 0.3


class Killable(Protocol):
    """A process that can be killed, even after it has ended."""

    def kill(self) -> None:
        """Kill the process if it is still running."""


class ShutdownHandler:
    """Calls ``end``, which does not return, with the number of the signal that was received.

    Download threads read ``cancelled``; ``staging`` lists the folders that ``end`` has to remove, and ``helpers`` the
    processes that it has to kill. These are plain attributes, because the code that the handler interrupts might hold
    a lock.
    """

    def __init__(self, end: Callable[[int], object]) -> None:
        self.cancelled = False
        self.staging: list[str] = []
        self.helpers: list[Killable] = []
        self._end = end
        self._deferring = False
        self._pending: int | None = None

    def install(self, numbers: Iterable[int] = ENDING) -> None:
        """Handle the signals, except those that the parent process ignores."""
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def uninstall(self) -> None:
        """Restore the handlers of a new Python process where this handler is still installed."""
        for number in ENDING:
            if signal.getsignal(number) == self._handle:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer signals in the block, so that no folder is left with both old and new files."""
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


def name_of(number: int) -> str:
    """Return the name of a signal, such as ``SIGTERM`` for 15."""
    return signal.Signals(number).name


def restore_defaults() -> None:
    """Restore the default action of all signals, as the program that replaces this one expects."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
