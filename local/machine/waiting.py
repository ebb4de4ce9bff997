"""Wait for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from local.ecs import errors as ecs_errors
from local.errors import NoAnswerError, ServiceError

T = TypeVar("T")


def until(
    condition: Callable[[], T | None],
    timeout: float,
    what: str,
    *,
    pause: float = 0.3,
    explain: Callable[[], str] | None = None,
) -> T:
    """Call ``condition`` every ``pause`` seconds until its result is true, and return the result.

    ``what`` names the condition in the message, and ``explain`` returns the present state. A service that does not
    answer is called again. Raises ServiceError after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        silence = ""
        try:
            found = condition()
            if found:
                return found
        except (NoAnswerError, ecs_errors.NoAnswerError) as error:
            silence = str(error)
        if time.monotonic() > deadline:
            more = silence or (explain() if explain else "")
            raise ServiceError(f"Not within {timeout:.0f} s: {what}{f' ({more})' if more else ''}")
        time.sleep(pause)
