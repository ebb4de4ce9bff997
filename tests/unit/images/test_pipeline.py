"""The order of a build: nothing is tagged or pushed before every image is verified.

The engine is a recording one here, for what needs a builder with attestations and several platforms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from images import pipeline
from images.bake import BakeOptions
from images.engine import Engine
from images.errors import RequestError, VerificationError
from images.matrix import Matrix
from images.pipeline import Publication, build
from images.resolve import Request, resolve
from images.spec import ImageSpec, Options
from images.verify import Check


class RecordingEngine(Engine):
    """Remembers what it was asked to do, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, Any]] = []

    def bake(
        self, definition: Mapping[str, Any], directory: Path, progress: str, environment: Mapping[str, str]
    ) -> None:
        self.calls.append(("bake", definition["target"]))

    def tag(self, image: str, references: Iterable[str]) -> None:
        self.calls.append(("tag", list(references)))

    def untag(self, reference: str) -> None:
        self.calls.append(("untag", reference))

    def push(self, reference: str) -> None:
        self.calls.append(("push", reference))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> RecordingEngine:
    """An engine whose images are what they should be."""
    recording = RecordingEngine()

    def verified(_engine: Engine, reference: str, *_: object) -> list[Check]:
        recording.calls.append(("verify", reference))
        return [Check("Airflow", "1", "1", True)]

    monkeypatch.setattr(pipeline, "verify", verified)
    return recording


@pytest.fixture
def specs(matrix: Matrix) -> tuple[ImageSpec, ...]:
    """Two images."""
    return resolve(matrix, Request(select="2.10.5-python3.8-[sn]*"), Options()).specs


def publication(specs: Iterable[ImageSpec], push: bool = False) -> Publication:
    return Publication({spec.identifier: [f"r:{spec.identifier}"] for spec in specs}, push)


def names(engine: RecordingEngine) -> list[str]:
    return [name for name, _ in engine.calls]


def test_all_are_verified_before_one_is_tagged_and_pushed(
    engine: RecordingEngine, specs: tuple[ImageSpec, ...]
) -> None:
    build(engine, specs, BakeOptions(), publication(specs, push=True))
    assert names(engine) == ["bake", "verify", "verify", "tag", "tag", "push", "push", "untag", "untag"]


def test_one_image_that_is_wrong_leaves_no_tag_of_any(
    engine: RecordingEngine, specs: tuple[ImageSpec, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([[Check("Airflow", "1", "1", True)], [Check("Airflow", "1", "2", False)]])
    monkeypatch.setattr(pipeline, "verify", lambda *_: next(answers))
    with pytest.raises(VerificationError):
        build(engine, specs, BakeOptions(), publication(specs, push=True))
    assert names(engine) == ["bake", "untag", "untag"]


def test_what_is_attested_is_pushed_from_the_cache_of_what_was_verified(
    engine: RecordingEngine, specs: tuple[ImageSpec, ...]
) -> None:
    options = BakeOptions(platforms=("linux/amd64", "linux/arm64"), sbom="true", no_cache=True, pull=True)
    build(engine, specs[:1], options, publication(specs, push=True))
    bakes = [next(iter(targets.values())) for name, targets in engine.calls if name == "bake"]
    assert [bake["platforms"] for bake in bakes] == [["linux/amd64"], ["linux/arm64"], ["linux/amd64", "linux/arm64"]]
    assert [bake["output"] for bake in bakes] == [["type=docker"], ["type=docker"], ["type=registry"]]
    assert bakes[0]["no-cache"] and bakes[0]["pull"]
    assert "no-cache" not in bakes[2] and "pull" not in bakes[2], "else it would push what nobody verified"
    assert bakes[2]["attest"] == ["type=sbom"] and bakes[2]["tags"] == [f"r:{specs[0].identifier}"]
    assert names(engine)[:4] == ["bake", "verify", "bake", "verify"]


def test_credentials_are_looked_for_only_with_the_insecure_flag(
    engine: RecordingEngine, specs: tuple[ImageSpec, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    build(engine, specs, BakeOptions(), publication(specs))
    insecure = tuple(replace(spec, options=Options(insecure_aws_credentials=True)) for spec in specs)
    with pytest.raises(RequestError, match="found no credentials"):
        build(engine, insecure, BakeOptions(), publication(specs))
