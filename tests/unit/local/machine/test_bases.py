"""Which base image is taken: the one that is here, the official one, or a stand-in; and on which Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.errors import BaseImageError, EngineError
from local.machine.bases import Base, ensure_base, is_stand_in, standin, usable_python
from local.machine.bases.__main__ import main, parse_image
from local.machine.bases.pythons import Interpreter

if TYPE_CHECKING:
    from tests.unit.local.conftest import Engine

ABSENT = "echo 'Error response from daemon: manifest for apache/airflow:x not found: manifest unknown' >&2; exit 1"
UNREACHABLE = "echo 'Error response from daemon: no such host' >&2; exit 1"
MUST_NOT_RUN = 'echo docker was called with "$@" >&2; kill $PPID'
BASE = Base("2.10.5", "3.11")
DEBIANS = Interpreter("3.11.2", None)


@pytest.fixture
def pythons(monkeypatch: pytest.MonkeyPatch) -> dict[str, Interpreter]:
    """A machine with Debian's Python and two of a pyenv."""
    found = {
        "3.9": Interpreter("3.9.18", Path("/pyenv/3.9.18")),
        "3.10": Interpreter("3.10.13", Path("/pyenv/3.10.13")),
        "3.11": DEBIANS,
    }
    for module in ("local.machine.bases", "local.machine.bases.standin", "local.machine.bases.__main__"):
        monkeypatch.setattr(f"{module}.available_pythons", lambda: found)
    return found


class TestNames:
    @pytest.mark.parametrize(
        ("base", "image"),
        [
            (Base("2.10.5", "3.8"), "apache/airflow:2.10.5-python3.8"),
            (Base("3.3.2", "3.14", "slim"), "apache/airflow:slim-3.3.2-python3.14"),
        ],
    )
    def test_a_base_has_the_official_images_name_and_the_name_says_what_it_is(self, base: Base, image: str) -> None:
        assert base.image == image
        tag = image.partition(":")[2]
        assert {parse_image(name) for name in (tag, image, f"docker.io/{image}")} == {base}

    def test_an_unknown_flavour_is_refused_with_those_there_are(self) -> None:
        with pytest.raises(BaseImageError, match="'fat': choose one of full, slim"):
            Base("2.10.5", "3.8", "fat")

    @pytest.mark.parametrize(
        "text",
        [
            *("", "2.10.5", "python3.8", "apache/airflow:latest", "apache/airflow:2.10.5", "2.10.5-python2.7"),
            *("2.10.5-python3", "2.10.5-slim-python3.8", "apache/airflow:2.10.5-python3.8@sha256:00"),
            *("v2.10.5-python3.8", "fat-2.10.5-python3.8", "ghcr.io/apache/airflow:2.10.5-python3.8"),
        ],
    )  # fmt: skip
    def test_anything_else_is_refused_with_an_example(self, text: str) -> None:
        with pytest.raises(BaseImageError, match=r"is not the name of an official image, such as apache/airflow:2"):
            parse_image(text)


class TestCommandLine:
    def test_all_names_are_read_before_the_first_image_is_made(self, no_engine: None) -> None:
        with pytest.raises(BaseImageError, match="'nonsense' is not the name"):
            main(["ensure", "2.10.5-python3.8", "nonsense"])

    def test_only_airflows_of_the_matrix_are_locked(self) -> None:
        with pytest.raises(BaseImageError, match=r"Not in matrix\.yaml: 9\.9\.9, 8\.8\.8\. It has: \d+\.\d+\.\d+, "):
            main(["lock", "9.9.9", "2.10.5", "8.8.8"])


@pytest.mark.usefixtures("pythons")
class TestEnsuring:
    def test_an_official_image_that_is_here_is_taken_as_it_is(
        self, fake_engine: Engine, docker: Callable[[str], None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        docker(MUST_NOT_RUN)
        fake_engine.images[BASE.image] = {}
        assert ensure_base("2.10.5", "3.11") == BASE
        assert not is_stand_in(BASE.image)
        assert capsys.readouterr().err == f"{BASE.image} is here\n"

    def test_a_stand_in_that_is_here_and_current_is_taken_and_said_to_be_one(
        self, fake_engine: Engine, docker: Callable[[str], None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        docker(MUST_NOT_RUN)
        digest = standin.inputs_digest(BASE, DEBIANS)
        fake_engine.images[BASE.image] = {standin.LABEL: "true", standin.INPUTS_LABEL: digest}
        assert ensure_base("2.10.5", "3.11") == BASE
        assert is_stand_in(BASE.image)
        assert capsys.readouterr().err == f"{BASE.image} is here: a stand-in, not the official image\n"

    def test_a_stand_in_of_other_inputs_is_replaced_by_the_official_image(
        self, fake_engine: Engine, docker: Callable[[str], None], tmp_path: Path
    ) -> None:
        docker(f'echo "$@" > {tmp_path}/asked')
        fake_engine.images[BASE.image] = {standin.LABEL: "true", standin.INPUTS_LABEL: "of last year"}
        assert ensure_base("2.10.5", "3.11") == BASE
        assert (tmp_path / "asked").read_text() == f"pull {BASE.image}\n"

    def test_a_stand_in_whose_python_is_gone_is_kept(self, fake_engine: Engine, docker: Callable[[str], None]) -> None:
        docker(MUST_NOT_RUN)
        base = Base("2.10.5", "3.8")
        fake_engine.images[base.image] = {standin.LABEL: "true", standin.INPUTS_LABEL: "of another machine"}
        assert ensure_base("2.10.5", "3.8") == base

    def test_an_image_that_docker_hub_does_not_have_is_no_reason_for_a_stand_in(
        self, fake_engine: Engine, docker: Callable[[str], None]
    ) -> None:
        docker(ABSENT)
        with pytest.raises(BaseImageError, match=r"no image apache/airflow:2\.10\.5-python3\.11\. See https://hub"):
            ensure_base("2.10.5", "3.11")

    def test_without_docker_hub_and_without_the_python_it_says_which_pythons_would_do(
        self, fake_engine: Engine, docker: Callable[[str], None]
    ) -> None:
        docker(UNREACHABLE)
        with pytest.raises(BaseImageError, match=r"no relocatable CPython 3\.8 .* for stand-ins: 3\.9, 3\.10, 3\.11\."):
            ensure_base("2.10.5", "3.8")

    def test_without_an_engine_it_says_how_to_get_one(self, no_engine: None) -> None:
        with pytest.raises(EngineError, match=r"No Docker engine answers \(.*\)\. .* make engine"):
            ensure_base("2.10.5", "3.11")


@pytest.mark.usefixtures("pythons")
class TestChoosingAPython:
    def test_the_preferred_one_is_taken_where_its_image_is_here(
        self, fake_engine: Engine, docker: Callable[[str], None]
    ) -> None:
        docker(MUST_NOT_RUN)
        fake_engine.images["apache/airflow:2.10.5-python3.12"] = {}
        assert usable_python("2.10.5", "3.12", ["3.11", "3.12"]) == "3.12"

    @pytest.mark.parametrize("answer", ["exit 0", ABSENT])
    def test_the_preferred_one_is_taken_where_docker_hub_answers(
        self, fake_engine: Engine, docker: Callable[[str], None], answer: str
    ) -> None:
        docker(answer)
        assert usable_python("2.10.5", "3.12", ["3.11", "3.12"]) == "3.12"

    def test_else_the_newest_one_that_is_here_and_that_is_said(
        self, fake_engine: Engine, docker: Callable[[str], None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        docker(UNREACHABLE)
        assert usable_python("2.10.5", "3.12", ["3.8", "3.9", "3.10", "3.12"]) == "3.10"
        assert "Python 3.12, the default of Airflow 2.10.5, is not here for a stand-in: taking Python 3.10. " in (
            capsys.readouterr().err
        )

    def test_where_none_will_do_it_says_what_airflow_runs_on_and_what_is_here(
        self, fake_engine: Engine, docker: Callable[[str], None]
    ) -> None:
        docker(UNREACHABLE)
        with pytest.raises(BaseImageError, match=r"\(3\.13, 3\.14\) is here .* Here are: 3\.9, 3\.10, 3\.11\."):
            usable_python("3.3.2", "3.13", ["3.13", "3.14"])
