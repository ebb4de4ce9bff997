"""The circumstances of a measurement: the date, the machine and its load."""

from __future__ import annotations

import datetime
import os
from pathlib import Path


def load() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def machine(used_for: str, load_before: float) -> str:
    """Return one line with the date, the processor and the load."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(names, "unknown processor")
    return (
        f"{datetime.date.today():%Y-%m-%d}, {os.cpu_count()} cores ({model}) for {used_for}; "
        f"load {load_before:.1f} before, {load():.1f} after."
    )
