"""The layers of the images: what they add to the base, and which ones a change rebuilds."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from local.errors import BuildError
from local.machine.bases import Base
from local.machine.client import engine
from tests.bench.image_contenders import build, build_tool

MODES = ("s3", "none", "local")
_SCRATCH = "airflow-ecs-bench-scratch"
_MEGABYTE = 1e6
# The purpose of a layer by a word in the command that created it. The first match counts.
_WORDS = (
    ("compile_bytecode", "bytecode"),
    ("aws-cli", "the AWS CLI"),
    ("apt-get", "Debian packages"),
    ("wheels", "the entrypoint"),
    ("entrypoint", "the entrypoint"),
)
_OTHER = "everything else"
PURPOSES = (*dict.fromkeys(name for _, name in _WORDS), _OTHER)
BYTECODE = PURPOSES[0]


def added_layers(image: str, base: str) -> dict[str, float]:
    """Return the megabytes that an image adds to its base, by purpose of the layers, without empty layers."""
    return by_purpose(_history(image), _history(base))


def by_purpose(history: Sequence[Mapping[str, Any]], base: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the same from two histories, which the engine returns with the newest entry first."""
    found: dict[str, float] = {}
    for entry in reversed(history[: len(history) - len(base)]):
        if entry["Size"]:
            name = purpose(entry["CreatedBy"])
            found[name] = found.get(name, 0.0) + entry["Size"] / _MEGABYTE
    return found


def purpose(command: str) -> str:
    """Return the purpose of a layer."""
    return next((name for word, name in _WORDS if word in command), _OTHER)


def _history(image: str) -> Sequence[Mapping[str, Any]]:
    entries: Sequence[Mapping[str, Any]] = engine().images.get(image).history()
    return entries


def layers(image: str) -> list[str]:
    """Return the digests of an image's layers, beginning with the base."""
    digests: list[str] = engine().images.get(image).attrs["RootFS"]["Layers"]
    return digests


def differing(first: Sequence[str], second: Sequence[str]) -> int:
    """Return in how many places the layers of two images differ."""
    return sum(one != other for one, other in zip_longest(first, second))


class Rebuilds:
    """Builds of images with DAGs from the output of ``build.py render``, for one pair of versions."""

    def __init__(self, base: Base, dags: Path) -> None:
        """Use the DAGs in a folder."""
        self._pair = ("--airflow", base.airflow, "--python", base.python)
        self._image = f"{_SCRATCH}:{base.airflow}-python{base.python}"
        self._dags = dags

    def by_mode(self) -> dict[str, list[str]]:
        """Return the layers of the image in each DAG mode."""
        found = {}
        for mode in MODES:
            with tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder:
                self._build(self._render(Path(folder), mode), f"{self._image}-{mode}")
            found[mode] = layers(f"{self._image}-{mode}")
        self._remove([f"{self._image}-{mode}" for mode in MODES])
        return found

    def after_changes(self, count: int) -> tuple[float, int]:
        """Change a DAG and build again, repeatedly. Return the median seconds and how many other layers differed."""
        seconds, changed = [], []
        with tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder:
            context = self._render(Path(folder), "local")
            file = next((context / "dags").rglob("*.py"))
            self._build(context, self._image)
            before = layers(self._image)
            for _ in range(count):
                # Always different, so that no layer of an earlier run is taken from the cache.
                file.write_text(f"{file.read_text(encoding='utf-8')}\n# {time.time()}\n", encoding="utf-8")
                seconds.append(self._build(context, self._image))
                after = layers(self._image)
                if before[-1] == after[-1]:
                    raise BuildError(f"{self._image}: the changed DAG is not in the last layer")
                changed.append(differing(before[:-1], after[:-1]))
                before = after
        self._remove([self._image])
        return statistics.median(seconds), max(changed)

    def _render(self, folder: Path, mode: str) -> Path:
        context = folder / "context"
        dags = ["--dag-path", str(self._dags)] if mode == "local" else []
        build_tool("render", *self._pair, "--dags", mode, *dags, "-o", str(context))
        return context

    @staticmethod
    def _build(context: Path, image: str) -> float:
        began = time.monotonic()
        build(context, image)
        return time.monotonic() - began

    @staticmethod
    def _remove(images: Sequence[str]) -> None:
        for image in images:
            engine().images.remove(image, force=True)
