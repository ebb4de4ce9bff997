"""Which base image is taken: the one that is here, the official one, or a stand-in; and on which Python."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.errors import BaseImageError
from local.machine.bases import Base, ensure_base, locks, standin, usable_python
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
def pythons(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with Debian's Python and two of a pyenv."""
    found = {
        "3.9": Interpreter("3.9.18", Path("/pyenv/3.9.18")),
        "3.10": Interpreter("3.10.13", Path("/pyenv/3.10.13")),
        "3.11": DEBIANS,
    }
    for module in ("local.machine.bases", "local.machine.bases.standin"):
        monkeypatch.setattr(f"{module}.available_pythons", lambda: found)


@pytest.mark.parametrize(
    ("base", "image"),
    [
        (Base("2.10.5", "3.8"), "apache/airflow:2.10.5-python3.8"),
        (Base("3.3.2", "3.14", "slim"), "apache/airflow:slim-3.3.2-python3.14"),
    ],
)
def test_a_base_has_the_name_of_the_official_image(base: Base, image: str) -> None:
    assert base.image == image
    tag = image.partition(":")[2]
    assert {parse_image(name) for name in (tag, image, f"docker.io/{image}")} == {base}


@pytest.mark.parametrize("text", ["2.10.5", "apache/airflow:latest", "ghcr.io/apache/airflow:2.10.5-python3.8"])
def test_another_name_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BaseImageError, match=r"is not the name of an official image, such as apache/airflow:2"):
        parse_image(text)


def test_only_airflows_of_the_matrix_are_locked() -> None:
    with pytest.raises(BaseImageError, match=r"Not in matrix\.yaml: 9\.9\.9, 8\.8\.8\. It has: \d+\.\d+\.\d+, "):
        main(["lock", "9.9.9", "2.10.5", "8.8.8"])


@pytest.mark.parametrize("name", ["image/Dockerfile", "image/entrypoint.sh", "airflow-2.10.5.txt"])
def test_a_changed_file_makes_another_stand_in(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(standin._IMAGE_FOLDER, tmp_path / "image")
    shutil.copy(locks.lock_file("2.10.5"), tmp_path)
    before = standin.inputs_digest(BASE, DEBIANS)
    monkeypatch.setattr(standin, "_IMAGE_FOLDER", tmp_path / "image")
    monkeypatch.setattr(locks, "_FOLDER", tmp_path)
    assert standin.inputs_digest(BASE, DEBIANS) == before
    with (tmp_path / name).open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    assert standin.inputs_digest(BASE, DEBIANS) != before


@pytest.mark.usefixtures("pythons")
class TestEnsuring:
    def test_a_current_stand_in_is_taken_and_said_to_be_one(
        self, fake_engine: Engine, docker: Callable[[str], None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        docker(MUST_NOT_RUN)
        digest = standin.inputs_digest(BASE, DEBIANS)
        fake_engine.images[BASE.image] = {standin.LABEL: "true", standin.INPUTS_LABEL: digest}
        assert ensure_base("2.10.5", "3.11") == BASE
        assert capsys.readouterr().err == f"{BASE.image} is here: a stand-in, not the official image\n"

    def test_a_stand_in_of_other_inputs_is_replaced_by_the_official_image(
        self, fake_engine: Engine, docker: Callable[[str], None], tmp_path: Path
    ) -> None:
        docker(f'echo "$@" > {tmp_path}/asked')
        fake_engine.images[BASE.image] = {standin.LABEL: "true", standin.INPUTS_LABEL: "of last year"}
        assert ensure_base("2.10.5", "3.11") == BASE
        assert (tmp_path / "asked").read_text() == f"pull {BASE.image}\n"

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


@pytest.mark.usefixtures("pythons")
class TestChoosingAPython:
    def test_the_preferred_one_is_taken_where_docker_hub_answers(
        self, fake_engine: Engine, docker: Callable[[str], None]
    ) -> None:
        docker("exit 0")
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
