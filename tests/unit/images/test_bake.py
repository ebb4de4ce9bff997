"""The bake file: what Buildx is told, and what it is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from images.bake import BakeOptions, bake_file, target_name
from images.matrix import Matrix
from images.resolve import Request, resolve
from images.spec import ImageSpec, Options

TAGS = {"3.3.2-python3.12-s3": ["worker:a", "worker:b"], "3.3.2-python3.12-none": ["worker:c"]}


@pytest.fixture
def specs(matrix: Matrix) -> tuple[ImageSpec, ...]:
    return resolve(matrix, Request(airflow="3.3.2", python="3.12", every=True), Options()).specs


def target(specs: tuple[ImageSpec, ...], options: BakeOptions | None = None, push: bool = False) -> dict[str, Any]:
    """The first target of a definition."""
    definition = bake_file(specs, TAGS, options or BakeOptions(), Path("/context"), push)
    found: dict[str, Any] = definition["target"][target_name(specs[0])]
    return found


def test_targets_of_the_whole_matrix_have_names_of_their_own(matrix: Matrix) -> None:
    specs = [
        spec
        for base in matrix.bases
        for spec in resolve(matrix, Request(every=True, base=base), Options(dag_path=Path("dags"))).specs
    ]
    names = {target_name(spec) for spec in specs}
    assert len(names) == len(specs)
    assert all(name.replace("-", "").isalnum() for name in names)


def test_a_path_with_a_comma_is_quoted(specs: tuple[ImageSpec, ...]) -> None:
    found = target(specs, BakeOptions(ca_bundle=Path("/etc/a,b.pem")))
    assert found["secret"] == ['id=ca-bundle,"src=/etc/a,b.pem"']


def test_credentials_are_named_and_never_written(specs: tuple[ImageSpec, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("aws_secret_access_key", "hunter2")
    insecure = tuple(replace(spec, options=Options(insecure_aws_credentials=True)) for spec in specs)
    found = target(insecure)
    assert found["args"]["aws_secret_access_key"] == "${aws_secret_access_key}", "a variable, which Buildx expands"
    assert "hunter2" not in json.dumps(found)
    assert "args" not in target(specs)


@pytest.mark.parametrize(
    "sbom, provenance, attest",
    [
        ("true", "", ["type=sbom"]),
        ("", "mode=max", ["type=provenance,mode=max"]),
        ("generator=x/y:1", "true", ["type=sbom,generator=x/y:1", "type=provenance"]),
        ("", "false", ["type=provenance,disabled=true"]),
    ],
)
def test_attestations_go_to_registries_only(
    specs: tuple[ImageSpec, ...], sbom: str, provenance: str, attest: list[str]
) -> None:
    options = BakeOptions(sbom=sbom, provenance=provenance)
    assert target(specs, options, push=True)["attest"] == attest
    assert "attest" not in target(specs, options, push=False)


def test_bake_expands_nothing(specs: tuple[ImageSpec, ...]) -> None:
    found = target(specs, BakeOptions(cache_from=("ref=${HOME}", "ref=%{if x}", "ref=$HOME")))
    assert found["cache-from"] == ["ref=$${HOME}", "ref=%%{if x}", "ref=$HOME"]
