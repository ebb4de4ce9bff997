"""Requirements files and flags as teams have them, and what the build tool is to make of each: `cases.yaml`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

HERE = Path(__file__).parent
CONSTRAINTS = HERE / "constraints.txt"

Outcome = Literal["built", "refused", "not ours"]


@dataclass(frozen=True)
class Case:
    """One input. A file whose name is ``requirements.txt`` is given with ``--requirements``.

    ``says`` are words that standard error has. ``remedy`` are flags that the error message has word for word: with
    them in addition, the image is built; in place of a file, ``files_of_remedy`` are taken. ``installed`` are versions
    in the image.
    """

    name: str
    input: str
    outcome: Outcome
    files: dict[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    code: int = 0
    says: tuple[str, ...] = ()
    remedy: tuple[str, ...] = ()
    files_of_remedy: dict[str, str] = field(default_factory=dict)
    installed: dict[str, str] = field(default_factory=dict)


def cases() -> list[Case]:
    """Return all inputs, in the order of `cases.yaml`."""
    content = yaml.safe_load((HERE / "cases.yaml").read_text(encoding="utf-8"))
    found = []
    for entry in content:
        for name in ("flags", "says", "remedy"):
            entry[name] = tuple(entry.get(name, ()))
        found.append(Case(**entry))
    return found
