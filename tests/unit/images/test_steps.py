"""The build step that installs packages, with a real pip in an environment without network: Airflow does not move."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pip
import pytest

from tests.paths import ROOT
from tests.wheels import write_wheel

STEP = ROOT / "images" / "steps" / "install_packages.py"

Install = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All packages there are."""
    folder = tmp_path_factory.mktemp("index")
    for version in ("2.10.5", "2.11.2"):
        write_wheel(folder, "apache-airflow", version)
    write_wheel(folder, "apache-airflow-task-sdk", "1.0.6")
    write_wheel(folder, "apache-airflow-providers-fab", "3.0.0", requires=["apache-airflow>=3.0.2"])
    for version in ("20.0", "24.2"):
        write_wheel(folder, "packaging", version)
    for version in ("1.0", "2.0"):
        write_wheel(
            folder, "apache-airflow-providers-http", version, requires=[f"packaging>={'24' if version == '2.0' else 1}"]
        )
    write_wheel(folder, "dbt-core", "1.0", requires=["packaging<24"])
    for number in range(20):
        write_wheel(folder, f"pinned-{number}", "1.0")
    write_wheel(folder, "cowsay", "6.0")
    write_wheel(folder, "cowsay", "6.1")
    return folder


@pytest.fixture
def python(index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with Airflow 2.10.5, a provider, and one package."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, capture_output=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "pip").symlink_to(Path(pip.__file__).parent)  # installing pip takes four seconds
    for name in ("apache_airflow-2.10.5", "apache_airflow_providers_http-2.0", "packaging-24.2"):
        with zipfile.ZipFile(index / f"{name}-py3-none-any.whl") as wheel:
            wheel.extractall(packages)
    return folder / "bin" / "python"


@pytest.fixture
def install(python: Path, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Run the step with requirements, and with constraints: a flag's value, or lines of a file."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))

    def run(*requirements: str, constraints: str = "image") -> subprocess.CompletedProcess[str]:
        (tmp_path / "requirements.txt").write_text("\n".join(requirements), encoding="utf-8")
        if "==" in constraints:
            (tmp_path / "constraints.txt").write_text(constraints, encoding="utf-8")
            constraints = str(tmp_path / "constraints.txt")
        flags = ["--constraints", constraints, "--requirements", str(tmp_path / "requirements.txt")]
        return subprocess.run([python, STEP, *flags], capture_output=True, text=True)

    return run


@pytest.mark.parametrize(
    ("requirement", "constraints", "said"),
    [
        ("apache-airflow-task-sdk==1.0.6", "none", ["would change Airflow 2.10.5: it brings apache-airflow-task-sdk"]),
        (
            "apache-airflow-providers-fab==3.0.0",
            "none",
            ["would change Airflow 2.10.5: ", "apache-airflow-providers-fab 3.0.0 depends on apache-airflow"],
        ),
        (
            "packaging==20.0",
            "image",
            ["  packaging==20.0", "hint: Give --constraints relaxed"],
        ),
        ("no-such-package==1.0", "image", ["No matching distribution found for no-such-package"]),
    ],
    ids=["its SDK", "by a dependency", "against the constraints", "unknown"],
)
def test_a_requirement_that_cannot_be_had_is_named(
    install: Install, requirement: str, constraints: str, said: list[str]
) -> None:
    done = install("cowsay", requirement, constraints=constraints)
    assert done.returncode == 1
    assert all(line.startswith("airflow-ecs-build: ") for line in done.stderr.splitlines())
    for words in said:
        assert words in done.stderr


def test_a_user_s_constraints_decide_versions_and_airflow_stays(install: Install, python: Path) -> None:
    done = install("cowsay", "packaging", constraints="cowsay==6.0\napache-airflow==1.10.15")
    assert done.returncode == 0, done.stderr
    assert versions(python, "cowsay", "packaging", "apache-airflow") == ["6.0", "24.2", "2.10.5"]


def versions(python: Path, *names: str) -> list[str]:
    show = f"import importlib.metadata as m; print(*map(m.version, {names}))"
    return subprocess.run([python, "-c", show], check=True, capture_output=True, text=True).stdout.split()


class TestConstraintsOfTheImage:
    def test_all_conflicts_are_told_at_once_and_nothing_is_installed(self, install: Install, python: Path) -> None:
        done = install("cowsay==6.1", "packaging==20.0", "dbt-core", 'pinned-1==2.0; python_version < "3"')
        assert done.returncode == 1
        said = " ".join(done.stderr.replace("airflow-ecs-build: error:", "").split())
        assert "packaging==24.2 packaging==20.0" in said
        needed = "apache-airflow-providers-http 2.0 depends on packaging>=24"
        assert f"apache-airflow-providers-http==2.0 {needed}" in said
        assert "hint: Give --constraints relaxed" in done.stderr
        assert versions(python, "packaging") == ["24.2"]

    def test_a_conflict_of_a_dependency_names_what_depends(self, install: Install) -> None:
        done = install("dbt-core==1.0")
        assert done.returncode == 1
        assert "dbt-core 1.0 depends on packaging<24" in done.stderr

    def test_relaxed_lets_the_requirements_win_and_says_what_is_not_held(self, install: Install, python: Path) -> None:
        done = install("cowsay", "packaging==20.0", constraints="relaxed")
        assert done.returncode == 0, done.stderr
        assert versions(python, "packaging", "apache-airflow-providers-http") == ["20.0", "1.0"]
        assert versions(python, "apache-airflow") == ["2.10.5"]
        said = "packaging 20.0 is installed instead of packaging==24.2, because of packaging==20.0"
        assert f"airflow-ecs-build: note: {said}" in done.stdout

    def test_a_complete_lock_is_recognized(self, install: Install) -> None:
        done = install(*(f"pinned-{number}==1.0" for number in range(20)), "packaging==20.0")
        assert done.returncode == 1
        assert "as a complete lock does: give the same file as the constraints, too (--constraints FILE)" in done.stderr

    def test_what_was_broken_before_is_no_error(self, install: Install, python: Path, index: Path) -> None:
        (packages,) = python.parents[1].glob("lib/python*/site-packages")
        with zipfile.ZipFile(index / "dbt_core-1.0-py3-none-any.whl") as wheel:
            wheel.extractall(packages)
        done = install("cowsay")
        assert done.returncode == 0, done.stderr
        assert "dbt-core 1.0 has requirement packaging<24" in done.stdout
