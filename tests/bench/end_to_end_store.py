"""What has been measured so far, in a file: a long measurement can be taken in parts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from local.errors import LocalError
from tests.bench.end_to_end_figures import RunTimes


@dataclass(frozen=True)
class Part:
    """Runs of one contender in one deployment."""

    runs: tuple[RunTimes, ...]
    day: str
    """YYYY-MM-DD."""
    load: float
    """Of the machine, before."""
    images: tuple[str, ...]
    """What the images were, by digests: of the contender's worker, and of what the scheduler's side is made of."""


@dataclass
class Store:
    """Parts by name, and their file."""

    path: Path | None = None
    """None: nothing is kept beyond this process."""
    parts: dict[str, Part] = field(default_factory=dict)

    @classmethod
    def at(cls, path: Path | None) -> Store:
        """What a file holds, if there is one. Raises LocalError for a file of something else."""
        if path is None or not path.exists():
            return cls(path)
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            parts = {
                name: Part(
                    tuple(map(RunTimes.from_json, item["runs"])), item["day"], item["load"], tuple(item["images"])
                )
                for name, item in document.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LocalError(
                f"{path} holds no parts of this benchmark ({error!r}): remove it, or name another"
            ) from None
        return cls(path, parts)

    def add(self, name: str, part: Part) -> None:
        """Keep a part, in place of one of the same name."""
        self.parts[name] = part
        if self.path is not None:
            document = {
                key: {**asdict(item), "runs": [run.to_json() for run in item.runs]} for key, item in self.parts.items()
            }
            self.path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    def runs(self, name: str, images: tuple[str, ...]) -> Sequence[RunTimes]:
        """The runs of a part; empty when it was not measured, or with other images."""
        part = self.parts.get(name)
        return part.runs if part is not None and part.images == images else ()

    def circumstances(self) -> str:
        """When the parts were measured, and what else the machine did."""
        if not self.parts:
            return "nothing measured"
        days = sorted({part.day for part in self.parts.values()})
        loads = [part.load for part in self.parts.values()]
        when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        return f"measured {when} in {len(loads)} parts; load {min(loads):.1f} to {max(loads):.1f} before each"
