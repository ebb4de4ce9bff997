"""What happens on a signal until the command has its place: the work that is under way ends tidily, at once.

A handler does all the work itself. Nothing is raised into the main thread, where the exception could surface in
a ``finally`` block or be swallowed by a library.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from types import FrameType
from typing import Callable, Iterable, Iterator, Protocol

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that ask a container to end."""
# Python ignores these; a command would inherit that, and `yes | head` would complain in it.
_IGNORED_BY_PYTHON = tuple(getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name))
# Threads are given this long to notice that they are no longer wanted, in seconds.
GRACE = 0.3


class Killable(Protocol):
    """A process that can be killed, also when it has ended."""

    def kill(self) -> None:
        """End it at once, if it still runs."""


class Interruption:
    """Calls ``end`` with the number of a signal that came; it does not return.

    ``cancelled`` is read by download threads; ``staging`` are folders to be removed, ``helpers`` processes to be
    killed. Plain attributes: a lock might be held by the very code that the handler interrupts.
    """

    def __init__(self, end: Callable[[int], object]) -> None:
        self.cancelled = False
        self.staging: list[str] = []
        self.helpers: list[Killable] = []
        self._end = end
        self._deferring = False
        self._pending: int | None = None

    def install(self, numbers: Iterable[int] = ENDING) -> None:
        """Handle the signals, unless the parent process asked to ignore them."""
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def uninstall(self) -> None:
        """Leave what a freshly started Python program finds, but for what somebody else has installed meanwhile."""
        for number in ENDING:
            if signal.getsignal(number) == self._handle:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

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


def name_of(number: int) -> str:
    """``SIGTERM`` for 15."""
    return signal.Signals(number).name


def as_a_new_process_finds_them() -> None:
    """Give all signals back their default action, as a program expects that replaces this one."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
