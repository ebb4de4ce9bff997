"""A lock between the processes of this machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusively(what: str) -> Iterator[None]:
    """Wait until no other process or thread of this user is inside a block for the same ``what``, then enter it.

    The lock is released when its holder ends, even if it is killed.
    """
    name = hashlib.sha256(what.encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"airflow-ecs-{os.getuid()}-{name}.lock"
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
