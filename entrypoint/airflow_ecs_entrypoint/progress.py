"""What a load is at, for whoever has to end it and say why."""

from __future__ import annotations


class Progress:
    """A phase, and how much of it is done."""

    def __init__(self) -> None:
        self._doing = "connecting to S3"
        self.done = 0
        self._of = 0

    def begin(self, doing: str, of: int = 0) -> None:
        """A new phase, of ``of`` objects if that is known."""
        self._doing, self.done, self._of = doing, 0, of

    def __str__(self) -> str:
        return f"still {self._doing}" + (f", {self.done} of {self._of}" if self._of else "")
