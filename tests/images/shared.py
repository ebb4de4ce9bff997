"""What several test processes of one run use, and only one of them makes."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Shared:
    """A folder of the run, in which what was made is written down."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def alone(self, name: str) -> Iterator[Path]:
        """Let no other process do what has this name; the path is for its result."""
        result = self._folder / name.replace("/", "-")
        with result.with_name(f"{result.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield result

    def once(self, name: str, make: Callable[[], str]) -> str:
        """What `make` has returned to the first process that asked."""
        with self.alone(name) as result:
            if not result.exists():
                result.write_text(make(), encoding="utf-8")
            return result.read_text(encoding="utf-8")
