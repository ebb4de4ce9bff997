"""A defect of the build tool shows as one: it is not taken for an error of AWS, of Docker or of the user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import botocore.client
import pytest
from airflow_ecs_executor.image_check.comparison import Versions
from airflow_ecs_executor.image_check.reference import parse

import build
from images import aws, check, verify
from images.dags.bucket import Bucket
from images.dags.plan import content_of, destination_of
from images.engine import Engine
from images.errors import INTERRUPTED_EXIT_CODE, MISSING_PACKAGE_EXIT_CODE, BuildToolError, exit_codes
from images.registry import ecr
from images.task_definitions import registration
from tests.unit.images.conftest import Run

ECR = parse("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/worker:1")
BUCKET = destination_of("s3://bucket/dags")


def planted(*arguments: object, **named: object) -> NoReturn:
    raise KeyError("planted")


@pytest.fixture(autouse=True)
def region(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


@pytest.mark.parametrize(
    "call",
    [
        lambda: ecr.log_in(ECR),
        lambda: ecr.find_repository(ECR),
        lambda: ecr.create_repository(ECR),
        lambda: list(Bucket(BUCKET).objects()),
        lambda: Bucket(BUCKET).look("a.py"),
        lambda: Bucket(BUCKET).put("a.py", b"", content_of(b"")),
        lambda: Bucket(BUCKET).delete("a.py"),
        lambda: Bucket(BUCKET).keeps_versions(),
        lambda: registration.newest(aws.client("ecs", None), "family"),
        lambda: registration.register(aws.client("ecs", None), {}),
        lambda: check.target_of("family", None, None, None),
    ],
)
@pytest.mark.parametrize("answer", [planted, lambda *arguments, **named: {}], ids=["raises", "answers with nothing"])
def test_around_a_call_of_aws(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any], answer: Callable[..., Any]
) -> None:
    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", answer)
    monkeypatch.setattr(botocore.client.BaseClient, "can_paginate", lambda *_: True)
    try:
        call()
    except KeyError:
        return
    assert answer is not planted


def test_where_a_client_is_created(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boto3.client", planted)
    with pytest.raises(KeyError):
        aws.client("ecr", None)


def test_around_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "api", property(planted))
    target = check.Target("image", "worker:1", None, may_be_here=True)
    with pytest.raises(KeyError):
        check.report_on(target, Versions("3.3.2", "3.12"), Engine())
    monkeypatch.setattr(Engine, "run", planted)
    with pytest.raises(KeyError):
        verify._run_image(Engine(), "worker:1", None)


class TestReport:
    @pytest.fixture
    def answer(self, monkeypatch: pytest.MonkeyPatch, run: Run) -> Iterator[Callable[..., Any]]:
        monkeypatch.setattr("images.resolve._spec", planted)
        yield lambda *flags: run(*flags, "--airflow", "3.3.2")

    def test_says_what_to_do(self, answer: Callable[..., Any]) -> None:
        found = answer("explain")
        assert (found.code, found.output) == (21, "")
        assert found.errors == (
            "build.py: error: This is a defect of the build tool: KeyError.\n"
            "  Run the command again with --debug, and report the traceback that it prints.\n"
        )

    @pytest.mark.parametrize("flags", [("--debug", "explain"), ("explain", "--debug"), ("--debug",)])
    def test_has_a_traceback_on_request(self, answer: Callable[..., Any], flags: tuple[str, ...]) -> None:
        found = answer(*flags)
        assert found.code == 21 and "Traceback" in found.errors and "KeyError: 'planted'" in found.errors

    @pytest.mark.parametrize(("value", "shown"), [("1", True), ("0", False), ("", False)])
    def test_has_a_traceback_by_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, answer: Callable[..., Any], value: str, shown: bool
    ) -> None:
        monkeypatch.setenv("BUILD_DEBUG", value)
        assert ("Traceback" in answer("explain").errors) is shown


def test_expected_errors_have_a_traceback_on_request(run: Run, tmp_path: Path) -> None:
    flags = ("explain", "--airflow", "9")
    assert "Traceback" not in run(*flags).errors
    assert "Traceback" in run(*flags, "--debug").errors


def test_each_exit_code_stands_for_one_kind_of_error() -> None:
    own = {kind.exit_code for kind in BuildToolError.__subclasses__()}
    assert len(own) == len(BuildToolError.__subclasses__()) and not {0, 1} & own
    assert exit_codes().keys() - own == {MISSING_PACKAGE_EXIT_CODE, INTERRUPTED_EXIT_CODE} and all(
        exit_codes().values()
    )
    assert build.DEPENDENCY_EXIT_CODE == MISSING_PACKAGE_EXIT_CODE
