"""Tags: the identifier, and aliases that follow the matrix."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from images.matrix import Matrix
from images.naming import tags
from images.resolve import Request, resolve
from images.spec import ImageSpec, Options

OPTIONS = Options(dag_path=Path("dags"))


def spec_of(matrix: Matrix, identifier: str) -> ImageSpec:
    (spec,) = resolve(matrix, Request(select=identifier), OPTIONS).specs
    return spec


@pytest.mark.parametrize(
    "identifier, aliases",
    [
        ("2.10.5-python3.8-s3", "2.10-python3.8-s3 2-python3.8-s3"),
        ("2.10.5-python3.12-s3", "2.10.5-s3 2.10-python3.12-s3 2.10-s3"),
        ("2.11.2-python3.12-local", "2.11.2-local 2.11-python3.12-local 2.11-local 2-python3.12-local 2-local"),
        ("3.0.6-python3.10-none", "3.0-python3.10-none"),
        ("3.3.2-python3.14-s3", "3.3-python3.14-s3 3-python3.14-s3"),
        ("slim-3.3.2-python3.12-s3", "slim-3.3.2-s3 slim-3.3-python3.12-s3 slim-3.3-s3 slim-3-python3.12-s3 slim-3-s3"),
    ],
)
def test_an_alias_drops_what_is_the_default_or_the_newest(matrix: Matrix, identifier: str, aliases: str) -> None:
    assert tags(matrix, spec_of(matrix, identifier)) == (identifier, *aliases.split())


@pytest.mark.parametrize("airflow, python", [("2.10.4", "3.11"), ("2.10.5", "3.13")])
def test_a_pair_that_the_matrix_does_not_know_has_no_alias(matrix: Matrix, airflow: str, python: str) -> None:
    request = Request(airflow=airflow, python=python, base="registry.example.com/airflow:1")
    (spec,) = resolve(matrix, request, OPTIONS).specs
    assert tags(matrix, spec) == (f"{airflow}-python{python}-s3",)


def test_no_two_images_of_the_matrix_claim_the_same_tag(matrix: Matrix) -> None:
    claims = defaultdict(list)
    for base in matrix.bases:
        for spec in resolve(matrix, Request(every=True, base=base), OPTIONS).specs:
            for tag in tags(matrix, spec):
                claims[tag].append(spec.identifier)
    assert {tag: owners for tag, owners in claims.items() if len(owners) > 1} == {}
    assert len(claims) > 26 * 3 * 2


def test_an_alias_is_the_image_that_the_same_flags_resolve_to(matrix: Matrix) -> None:
    checked = 0
    for release in matrix.releases:
        parts = release.version.split(".")
        for airflow in {".".join(parts[:length]) for length in (1, 2, 3)}:
            for python in (None, *matrix.pythons):
                if python and not any(python in r.pythons for r in matrix.releases if _matches(r.version, airflow)):
                    continue
                (spec,) = resolve(matrix, Request(airflow=airflow, python=python), OPTIONS).specs
                assert f"{airflow}{f'-python{python}' if python else ''}-s3" in tags(matrix, spec)
                checked += 1
    assert checked > 50


def _matches(version: str, prefix: str) -> bool:
    return f"{version}.".startswith(f"{prefix}.")
