"""Sales by region, from a data file that lies beside the code."""

from __future__ import annotations

import csv
from pathlib import Path

DATA_FILE = Path(__file__).parent / "data" / "regions.csv"


def totals() -> dict[str, int]:
    """Units sold by region."""
    found: dict[str, int] = {}
    with DATA_FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["region"]] = found.get(row["region"], 0) + int(row["units"])
    return found
