"""An entry of the phrasebook: a message, where it was met, and what it means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

CORPORA = tuple(sorted(Path(__file__).parent.glob("*.jsonl")))


class CorpusError(Exception):
    """A corpus cannot be read."""


@dataclass(frozen=True)
class Entry:
    """A message and the right answer to it.

    ``kind`` and ``op`` say where the message comes from; ``code`` and ``http_status`` came with it, and ``extra`` has
    what else came or what the call was about. ``expect`` is what it means, alternatives separated by ``|``.
    ``hint_must`` and ``hint_not`` are words, separated by ``|``: useful advice has one of the former, and wrong advice
    has one of the latter. Advice of ``hint_weight`` ``nice`` is not scored. ``common`` is 1 to 3.
    """

    id: str
    kind: str
    op: str
    code: str | None
    http_status: int | None
    message: str
    extra: Mapping[str, Any]
    source: str
    wording: str
    expect: str
    hint_must: str | None
    hint_not: str | None
    hint_weight: str
    sure: bool
    common: int


def read(path: Path) -> Iterator[Entry]:
    """Read a corpus. Raises CorpusError, which names the line."""
    known = {field.name for field in fields(Entry)}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} cannot be read: {error}") from None
    for number, line in enumerate(lines, 1):
        try:
            values = json.loads(line)
            yield Entry(**{name: value for name, value in values.items() if name in known})
        except (ValueError, TypeError, AttributeError) as error:
            raise CorpusError(f"{path}, line {number} is not an entry of the phrasebook: {error}") from None
