"""The order of a build: nothing is tagged or pushed before every image is verified.

The engine is a recording one here, for what needs a builder with attestations and several platforms.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker.models.images import Image

from images import pipeline
from images.bake import BakeOptions
from images.engine import Engine
from images.errors import AwsError, RequestError, VerificationError
from images.matrix import Matrix
from images.pipeline import build
from images.resolve import Request, resolve
from images.spec import ImageSpec, Options
from images.verify import Check
from local.fakes.registry import FakeRegistry


class RecordingEngine(Engine):
    """Remembers what it was asked to do, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, Any]] = []
        self.environments: list[dict[str, str]] = []

    def bake(
        self, definition: Mapping[str, Any], directory: Path, progress: str, environment: Mapping[str, str]
    ) -> None:
        self.calls.append(("bake", definition["target"]))
        self.environments.append(dict(environment))

    def tag(self, image: str, references: Iterable[str]) -> None:
        self.calls.append(("tag", list(references)))

    def untag(self, reference: str) -> None:
        self.calls.append(("untag", reference))

    def local_image(self, reference: str) -> Image:
        return Image({"Id": reference})

    @contextmanager
    def named(self, image: Image, reference: str) -> Iterator[None]:
        yield

    def push(self, name: str, environment: Mapping[str, str]) -> str:
        self.calls.append(("push", name))
        return ""


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


def make(
    engine: Engine,
    specs: tuple[ImageSpec, ...],
    options: BakeOptions | None = None,
    push: bool = True,
    name: str = "",
) -> None:
    """Build images, each under one name."""
    names = {spec.identifier: [name or f"r:{spec.identifier}"] for spec in specs}
    build(engine, specs, options or BakeOptions(), names, push=push, progress="auto")


def names(engine: RecordingEngine) -> list[str]:
    return [name for name, _ in engine.calls]


def test_all_are_verified_before_one_is_tagged_and_pushed(
    engine: RecordingEngine, specs: tuple[ImageSpec, ...]
) -> None:
    make(engine, specs)
    assert names(engine) == ["bake", "verify", "verify", "tag", "tag", "push", "push", "untag", "untag"]


def test_one_image_that_is_wrong_leaves_no_tag_of_any(
    engine: RecordingEngine, specs: tuple[ImageSpec, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([[Check("Airflow", "1", "1", True)], [Check("Airflow", "1", "2", False)]])
    monkeypatch.setattr(pipeline, "verify", lambda *_: next(answers))
    with pytest.raises(VerificationError):
        make(engine, specs)
    assert names(engine) == ["bake", "untag", "untag"]


def test_what_is_attested_is_pushed_from_the_cache_of_what_was_verified(
    engine: RecordingEngine, specs: tuple[ImageSpec, ...]
) -> None:
    options = BakeOptions(platforms=("linux/amd64", "linux/arm64"), sbom="true", no_cache=True, pull=True)
    make(engine, specs[:1], options)
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
    make(engine, specs, push=False)
    insecure = tuple(replace(spec, options=Options(insecure_aws_credentials=True)) for spec in specs)
    with pytest.raises(RequestError, match="found no credentials"):
        make(engine, insecure, push=False)


@pytest.mark.usefixtures("nobody")
class TestLogins:
    NAME = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/worker:1"

    def test_who_may_not_push_need_not_build(self, engine: RecordingEngine, specs: tuple[ImageSpec, ...]) -> None:
        with pytest.raises(AwsError):
            make(engine, specs[:1], name=self.NAME)
        assert engine.calls == []

    def test_buildx_gets_the_login_in_its_environment(
        self, engine: RecordingEngine, specs: tuple[ImageSpec, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with FakeRegistry(login="ecr") as ecr:
            monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", ecr.url)
            make(engine, specs[:1], BakeOptions(provenance="true"), name=self.NAME)
        built, pushed = engine.environments
        assert built == {}
        assert '"Username": "AWS"' in pushed["AIRFLOW_ECS_LOGIN_0"] and not Path(pushed["DOCKER_CONFIG"]).exists()

    def test_a_login_that_docker_has_is_left_to_docker(
        self, engine: RecordingEngine, specs: tuple[ImageSpec, ...], nobody: Path
    ) -> None:
        logins = {"auths": {self.NAME.split("/")[0]: {"auth": "QVdTOng="}}}
        (nobody / "config.json").write_text(json.dumps(logins), encoding="utf-8")
        make(engine, specs[:1], BakeOptions(provenance="true"), name=self.NAME)
        assert engine.environments == [{}, {}]
