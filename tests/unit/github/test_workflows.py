"""The workflows: pinned actions, least permissions, scripts that are shell; and what a release checks."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SHELLCHECK = Path(sys.executable).parent / "shellcheck"
_PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
_EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.S)


def document(path: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def jobs() -> list[Any]:
    return [
        pytest.param(job, id=f"{path.stem}/{name}")
        for path in WORKFLOWS
        for name, job in document(path)["jobs"].items()
    ]


def scripts() -> list[Any]:
    return [
        pytest.param(step["run"], id=f"{path.stem}/{name}/{number}")
        for path in WORKFLOWS
        for name, job in document(path)["jobs"].items()
        for number, step in enumerate(job.get("steps", ()), 1)
        if "run" in step
    ]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_say_their_version(path: Path) -> None:
    used = [line.strip().lstrip("- ") for line in path.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    assert not [line for line in used if not line.startswith("uses: ./") and not _PINNED.match(line)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_permits_nothing_by_itself(path: Path) -> None:
    assert document(path)["permissions"] == {}


@pytest.mark.parametrize("job", jobs())
def test_a_job_ends_in_time(job: dict[str, Any]) -> None:
    assert "uses" in job or job["timeout-minutes"] <= 150


@pytest.mark.parametrize("script", scripts())
def test_a_script_is_shell_and_takes_its_inputs_from_the_environment(script: str) -> None:
    assert not _EXPRESSION.search(script), "an expression in a script is code for whoever sets it"
    done = subprocess.run(
        [str(SHELLCHECK), "--shell=bash", "-"], input=script, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_images_are_for_both_architectures_on_runners_of_their_own() -> None:
    job = document(ROOT / ".github" / "workflows" / "publish.yml")["jobs"]["image"]
    assert job["strategy"]["matrix"]["platform"] == ["linux/amd64", "linux/arm64"]
    assert "ubuntu-24.04-arm" in job["runs-on"]


@pytest.mark.parametrize("distribution", ["entrypoint", "executor"])
def test_a_distribution_carries_the_licence(distribution: str) -> None:
    assert (ROOT / distribution / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


class TestReleaseNotes:
    @pytest.fixture
    def notes(self) -> Any:
        path = ROOT / ".github" / "scripts" / "release_notes.py"
        specification = importlib.util.spec_from_file_location("release_notes", path)
        assert specification is not None and specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        return module

    @pytest.fixture
    def checkout(self, tmp_path: Path) -> Path:
        for package in ("entrypoint/airflow_ecs_entrypoint", "executor/airflow_ecs_executor"):
            (tmp_path / package).mkdir(parents=True)
            (tmp_path / package / "__init__.py").write_text('"""A package."""\n\n__version__ = "0.2.0"\n')
        (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 0.2.0, 2026-12-01\n\n- new\n\n## 0.1.0\n\n- old\n")
        return tmp_path

    def test_they_are_the_changelog_s_section(
        self, notes: Any, checkout: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert notes.main("v0.2.0", checkout) == 0
        assert capsys.readouterr().out == "- new\n"

    def test_a_tag_of_another_version_is_no_release(
        self, notes: Any, checkout: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert notes.main("v0.1.0", checkout) == 1
        assert "v0.1.0: executor/airflow_ecs_executor is 0.2.0\n" in capsys.readouterr().err

    def test_without_a_section_of_the_changelog_there_is_no_release(
        self, notes: Any, checkout: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (checkout / "CHANGELOG.md").write_text("## 0.2.0 (unreleased)\n\n- new\n")
        assert notes.main("v0.2.0", checkout) == 1
        assert "CHANGELOG.md has no section of a released 0.2.0" in capsys.readouterr().err

    def test_they_can_be_read_from_this_repository(self, notes: Any) -> None:
        assert set(notes.versions(ROOT).values()) == {"0.1.0"}
