"""Python's garbage collector, while modules are imported: what is imported stays."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import Iterator


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Look for no garbage in the block, and never in what it leaves: that would cost a tenth of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
