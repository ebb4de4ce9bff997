"""From the flags to the images they stand for."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from images.errors import RequestError
from images.matrix import Matrix
from images.resolve import Request, check_combination, resolve
from images.spec import Options

if TYPE_CHECKING:
    from tests.unit.images.conftest import Run


def identifiers(matrix: Matrix, request: Request, options: Options | None = None) -> list[str]:
    return [spec.identifier for spec in resolve(matrix, request, options or Options()).specs]


@pytest.mark.parametrize(
    "request_, identifier",
    [
        (Request(python="3.8", dags="s3"), "2.10.5-python3.8-s3"),
        (Request(), "3.3.2-python3.12-s3"),
        (Request(airflow="latest"), "3.3.2-python3.12-s3"),
        (Request(airflow="2.10"), "2.10.5-python3.12-s3"),
        (Request(airflow="2"), "2.11.2-python3.12-s3"),
        (Request(airflow="2", python="3.9"), "2.10.5-python3.9-s3"),
        (Request(airflow="3"), "3.3.2-python3.12-s3"),
        (Request(airflow="3", python="3.9"), "3.0.6-python3.9-s3"),
        (Request(airflow="3.1.8", python="3.13", dags="none"), "3.1.8-python3.13-none"),
        (Request(python="3.14"), "3.3.2-python3.14-s3"),
        (Request(airflow="2.10.5", base="slim"), "slim-2.10.5-python3.12-s3"),
        (Request(airflow="2.10.5", base="company/airflow:7"), "2.10.5-python3.12-s3"),
    ],
)
def test_a_request_stands_for_the_newest_image_that_fits(matrix: Matrix, request_: Request, identifier: str) -> None:
    assert identifiers(matrix, request_) == [identifier]


def test_the_base_follows_from_flavour_and_versions(matrix: Matrix) -> None:
    def spec_of(base: str | None = None, base_digest: str = "") -> tuple[str, tuple[str, ...]]:
        request = Request(airflow="3.3.2", base=base, base_digest=base_digest)
        (spec,) = resolve(matrix, request, Options()).specs
        return spec.base_reference, spec.install

    digest = "sha256:" + "0" * 64
    assert spec_of() == ("apache/airflow:3.3.2-python3.12", ())
    assert spec_of(base="slim") == ("apache/airflow:slim-3.3.2-python3.12", matrix.bases["slim"].install)
    assert spec_of(base="company/airflow:7") == ("company/airflow:7", ())
    assert spec_of(base_digest=digest) == (f"apache/airflow:3.3.2-python3.12@{digest}", ())


class TestImpossiblePairs:
    def test_the_message_has_why_what_is_valid_and_what_works(self, run: Run) -> None:
        answer = run("build", "--airflow", "2.11.2", "--python", "3.8", "--dags", "s3")
        assert answer.code == 2
        assert answer.output == ""
        assert answer.errors == (
            "build.py: error: Airflow 2.11.2 does not run on Python 3.8.\n"
            "  Airflow 2.11.2 runs on Python 3.10, 3.11, 3.12.\n"
            "  Python 3.8 runs Airflow 2.10.5.\n"
            "  Nearest: python build.py --airflow 2.11.2 --python 3.10 --dags s3\n"
            "  or:      python build.py --airflow 2.10.5 --python 3.8 --dags s3\n"
        )

    def test_a_prefix_is_answered_for_all_its_releases_by_the_nearest_one(self, run: Run) -> None:
        errors = run("explain", "--airflow", "3", "--python", "3.8").errors
        assert "No Airflow 3 of the matrix runs on Python 3.8." in errors
        assert "  Airflow 3.0.6 runs on Python 3.9, 3.10, 3.11, 3.12.\n" in errors
        assert "Nearest: python build.py --airflow 3.0.6 --python 3.9\n" in errors

    def test_explain_and_many_images_say_the_same(self, run: Run) -> None:
        pair = ("--airflow", "2.11.2", "--python", "3.8")
        built = run("build", *pair)
        assert run("explain", *pair) == built
        assert run("build", "--all", *pair) == built
        assert run("matrix", *pair) == built

    def test_all_suggested_commands_work(self, matrix: Matrix, run: Run, dags: Path) -> None:
        others: list[list[object]] = [["--base", "slim"], ["--dags", "local", "--dag-path", dags]]
        wanted = ["2", "3", "latest", *(release.version for release in matrix.releases)]
        seen = 0
        for airflow, python, flags in (
            *itertools.product(wanted, matrix.pythons, [[]]),
            *itertools.product(["2", "latest"], matrix.pythons, others),
        ):
            answer = run("explain", "--airflow", airflow, "--python", python, *flags)
            suggested = re.findall(r"python build\.py (.*)", answer.errors)
            assert (answer.code, len(suggested)) in ((0, 0), (2, 2))
            for command in suggested:
                seen += 1
                explained = run("explain", "--json", *shlex.split(command))
                assert explained.code == 0, (command, explained.errors)
                (image,) = json.loads(explained.output)
                assert image["identifier"].startswith("slim-") == ("slim" in flags)
                assert image["dags"] == ("local" if "local" in flags else "s3")
        assert seen > 40


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--airflow", "1.10"], "Airflow 1.10 is not in the matrix. Known: 2.10.5, 2.11.2"),
        (["--airflow", "3.3.1"], "Airflow 3.3.1 is not in the matrix."),
        (["--airflow", "2.1"], "Airflow 2.1 is not in the matrix."),
        (["--airflow", ""], "--airflow is empty.\n  Is a variable of your script not set?"),
        (["--python", "2.7"], "Python 2.7 is not in the matrix.\n  Choose one of 3.8, 3.9, 3.10"),
        (["--python", "3.12.4"], "--python 3.12\n"),
        (["--dags", "git"], "Unknown DAG mode 'git'.\n  --dags takes: s3 (synchronised"),
        (["--dags", "local"], "Name it: --dags local --dag-path DIR"),
        (["--select", "4.*"], "No image matches --select '4.*'"),
        (["--select", "*-local"], "Name it: --dags local --dag-path DIR"),
        (["--base", "a b\nRUN x"], "is not a valid image name."),
        (["--base-digest", "sha256:" + "z" * 64], "is not a valid digest."),
        (["--base", "a/b@sha256:" + "0" * 64, "--base-digest", "sha256:" + "0" * 64], "--base has a digest already."),
        (["--all", "--base-digest", "sha256:" + "0" * 64], "--base-digest pins one base, but images of 26 pairs"),
        (["--all", "--base", "company/airflow:7"], "--base IMAGE names one base, but images of 26 pairs"),
        (["--all", "--tag", "a:1"], "--tag names one image, but 52 are selected.\n  Use --repository"),
        (["--dags", "none", "--s3-uri", "s3://bucket/x"], "--s3-uri is for DAG mode s3."),
        (["--dags", "none", "--plugins-s3-uri", "s3://bucket/x"], "--plugins-s3-uri and --config-s3-uri are for"),
    ],
)
def test_what_cannot_be_is_refused_with_exit_code_2(run: Run, flags: list[str], message: str) -> None:
    answer = run("explain", *flags)
    assert answer.code == 2
    assert message in answer.errors
    assert answer.output == ""


@pytest.mark.parametrize("flag", ["--dag-path", "--plugins-path", "--config-path"])
def test_folders_are_for_mode_local(run: Run, dags: Path, flag: str) -> None:
    answer = run("explain", "--dags", "s3", flag, dags)
    assert (answer.code, "for DAG mode local" in answer.errors) == (2, True)


class TestManyImages:
    def test_flags_narrow_all(self, matrix: Matrix) -> None:
        assert identifiers(matrix, Request(every=True, airflow="3.1", dags="s3")) == [
            f"3.1.8-python3.{minor}-s3" for minor in (10, 11, 12, 13)
        ]
        assert identifiers(matrix, Request(every=True, python="3.8", dags="none")) == ["2.10.5-python3.8-none"]

    @pytest.mark.parametrize(
        "pattern, expected",
        [
            ("2.10.5-python3.8-s3", ["2.10.5-python3.8-s3"]),
            ("2.1*-python3.12-s3", ["2.10.5-python3.12-s3", "2.11.2-python3.12-s3"]),
            ("3.[01].*-python3.10-none", ["3.0.6-python3.10-none", "3.1.8-python3.10-none"]),
            ("slim-3.3.2-python3.1[34]-s3", ["slim-3.3.2-python3.13-s3", "slim-3.3.2-python3.14-s3"]),
        ],
    )
    def test_patterns_select_identifiers(self, matrix: Matrix, pattern: str, expected: list[str]) -> None:
        assert identifiers(matrix, Request(select=pattern)) == expected

    def test_every_identifier_selects_itself(self, matrix: Matrix) -> None:
        options = Options(dag_path=Path("dags"))
        for base in matrix.bases:
            for identifier in identifiers(matrix, Request(every=True, base=base), options):
                assert identifiers(matrix, Request(select=identifier), options) == [identifier]

    def test_one_base_may_carry_several_modes(self, matrix: Matrix) -> None:
        request = Request(airflow="3.3.2", python="3.12", base="company/airflow:7", every=True)
        specs = resolve(matrix, request, Options()).specs
        check_combination(request, Options(), specs, [])
        assert [spec.identifier for spec in specs] == ["3.3.2-python3.12-s3", "3.3.2-python3.12-none"]


def test_a_base_of_the_users_own_may_hold_a_pair_that_the_matrix_does_not_know(matrix: Matrix) -> None:
    request = Request(airflow="2.9.3", python="3.8", base="registry.example.com/airflow:1")
    (spec,) = resolve(matrix, request, Options()).specs
    assert (spec.airflow, spec.python, spec.base_image) == ("2.9.3", "3.8", "registry.example.com/airflow:1")
    with pytest.raises(RequestError, match="--base IMAGE --airflow"):
        resolve(matrix, Request(airflow="2.9.3", base="registry.example.com/airflow:1"), Options())
