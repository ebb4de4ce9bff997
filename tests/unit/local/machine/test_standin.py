"""Stand-ins: what they are made from, and when one is made anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from local.machine.bases import locks, standin
from local.machine.bases.pythons import Interpreter
from local.machine.bases.standin import Base, announce, inputs_digest

FULL, SLIM = Base("2.10.5", "3.11"), Base("2.10.5", "3.11", "slim")
PYTHON = Interpreter("3.11.2", None)
PYENVS = Interpreter("3.11.2", Path("/pyenv/3.11.2"))


class TestDigestOfInputs:
    @pytest.fixture(autouse=True)
    def folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The image's files and the locks, for a test to change."""
        shutil.copytree(standin._IMAGE_FOLDER, tmp_path / "image")
        shutil.copy(locks.lock_file("2.10.5"), tmp_path)
        monkeypatch.setattr(standin, "_IMAGE_FOLDER", tmp_path / "image")
        monkeypatch.setattr(locks, "_FOLDER", tmp_path)
        return tmp_path

    def test_flavour_airflow_and_python_tell_stand_ins_apart(self) -> None:
        newer = Interpreter("3.11.9", None)
        other = Base("2.11.2", "3.11")
        pairs = [(FULL, PYTHON), (SLIM, PYTHON), (other, PYTHON), (FULL, newer), (FULL, PYENVS)]
        assert len({inputs_digest(*pair) for pair in pairs}) == len(pairs)

    @pytest.mark.parametrize("name", ["image/Dockerfile", "image/entrypoint.sh", "airflow-2.10.5.txt"])
    def test_a_changed_file_makes_another(self, folders: Path, name: str) -> None:
        before = inputs_digest(FULL, PYTHON)
        with (folders / name).open("a", encoding="utf-8") as file:
            file.write("\n# changed\n")
        assert inputs_digest(FULL, PYTHON) != before


@pytest.mark.parametrize(
    ("base", "python", "expected"),
    [
        (FULL, PYTHON, ("with the Amazon, PostgreSQL, FAB and StatsD extras", "Debian's own package", "Celery")),
        (SLIM, PYENVS, ("Airflow's core only", "a CPython copied from this machine", "MySQL")),
    ],
)
def test_a_stand_in_is_announced_as_what_it_is(
    base: Base, python: Interpreter, expected: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    announce(base, python)
    text = capsys.readouterr().err
    assert f"NOT THE OFFICIAL IMAGE: building a stand-in for {base.image}" in text
    assert "do not push it" in text and f"docker rmi {base.image}" in text
    assert all(part in text for part in expected)
