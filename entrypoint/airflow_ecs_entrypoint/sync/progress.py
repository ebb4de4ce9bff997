"""What a load is at, for whoever has to end it and say why."""

from __future__ import annotations


class Progress:
    """A phase, and how much of it is done. ``step`` is how much is done for each time that `advance` is called."""

    def __init__(self) -> None:
        self._doing = "connecting to S3"
        self._done = 0
        self._of = 0
        self.step = 1

    def begin(self, doing: str, of: int = 0) -> None:
        """A new phase, of ``of`` objects if that is known."""
        self._doing, self._done, self._of, self.step = doing, 0, of, 1

    def advance(self) -> None:
        """A part of it is done."""
        self._done = min(self._done + self.step, self._of)

    def __str__(self) -> str:
        return f"still {self._doing}" + (f", {self._done} of {self._of}" if self._of else "")
