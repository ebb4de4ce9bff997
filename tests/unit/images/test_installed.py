"""The build tool as a distribution: installed from its wheel, it is what `python build.py` is in the repository."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import airflow_ecs_entrypoint
import airflow_ecs_executor
import pytest
from hatchling.builders.wheel import WheelBuilder

from images import __version__
from tests.paths import ROOT, TOOLS

UV = TOOLS / "uv"


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed command, in an environment of its own that also sees this one's packages."""
    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    # As `uv tool install` does, this leaves a .gitignore that names everything in the environment.
    subprocess.run([UV, "venv", "--quiet", "--offline", "--python", sys.executable, folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel], check=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return python.with_name("airflow-ecs-images")


def output_of(*arguments: str | Path, cwd: Path) -> str:
    return subprocess.run(arguments, cwd=cwd, check=True, capture_output=True, text=True).stdout


def test_both_ways_have_a_version(command: Path, tmp_path: Path) -> None:
    assert output_of(command, "--version", cwd=tmp_path) == f"airflow-ecs-images {__version__}\n"
    assert output_of(sys.executable, ROOT / "build.py", "--version", cwd=tmp_path) == f"build.py {__version__}\n"


def test_all_distributions_have_one_version() -> None:
    assert {airflow_ecs_entrypoint.__version__, airflow_ecs_executor.__version__} == {__version__}


@pytest.mark.parametrize("flags", [("matrix",), ("render", "--python", "3.12"), ("tags", "--base", "slim")])
def test_both_ways_give_the_same(command: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    expected = output_of(sys.executable, ROOT / "build.py", *flags, cwd=tmp_path)
    assert output_of(command, *flags, cwd=tmp_path) == expected != ""


def test_a_context_has_the_entrypoint_s_wheel(command: Path, tmp_path: Path) -> None:
    output_of(command, "render", "-o", "context", cwd=tmp_path)
    (wheel,) = (tmp_path / "context" / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        assert {"airflow_ecs_entrypoint/main.py", "airflow_ecs_entrypoint/sync/plan.py"} <= {*archive.namelist()}


def test_messages_name_the_installed_command(command: Path, tmp_path: Path) -> None:
    for flags, words in (
        (("--airflow", "2.11.2", "--python", "3.8"), "Nearest: airflow-ecs-images --airflow 2.11.2 --python 3.10"),
        (("--unknown",), "See: airflow-ecs-images --help"),
    ):
        done = subprocess.run([command, "explain", *flags], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.startswith("airflow-ecs-images: error: ")
        assert words in done.stderr and "build.py" not in done.stderr
    shown = output_of(command, "--help", cwd=tmp_path)
    assert "`airflow-ecs-images build --help`" in shown and "build.py" not in shown
