"""The progress of a sync, for the message about a sync that takes too long."""

from __future__ import annotations


class Progress:
    """A phase and the number of finished objects, which each call of `advance` increases by ``step``."""

    def __init__(self) -> None:
        self._doing = "connecting to S3"
        self._done = 0
        self._of = 0
        self.step = 1

    def begin(self, doing: str, of: int = 0) -> None:
        """Begin a phase, with ``of`` objects if the number is known."""
        self._doing, self._done, self._of, self.step = doing, 0, of, 1

    def advance(self) -> None:
        """Count finished objects."""
        self._done = min(self._done + self.step, self._of)

    def __str__(self) -> str:
        return f"still {self._doing}" + (f", {self._done} of {self._of}" if self._of else "")
