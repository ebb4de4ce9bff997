"""The workflows: pinned actions, least permissions, scripts that are shell; and what a release checks."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import blocks
from tests.paths import DOCS, ROOT, TOOLS

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SHELLCHECK = TOOLS / "shellcheck"
_PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
_EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.S)
_IMAGES_OF_ONE = 5
"""What Amazon ECR counts for an image of two platforms: an index, the platforms, an attestation of each."""


def document(path: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def workflow(name: str) -> dict[Any, Any]:
    return document(ROOT / ".github" / "workflows" / f"{name}.yml")


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
    assert used
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


class TestPublish:
    def test_one_publication_follows_another_whatever_its_ref(self) -> None:
        concurrency = workflow("publish")["concurrency"]
        assert concurrency == {"group": "publish", "cancel-in-progress": False, "queue": "max"}
        assert workflow("rebuild")["concurrency"]["group"] != "publish", "it would wait for itself"

    def test_by_hand_another_branch_is_refused_before_anything_else(self) -> None:
        jobs = workflow("publish")["jobs"]
        first = jobs["list"]["steps"][0]
        assert "'workflow_dispatch'" in first["if"] and "github.event.repository.default_branch" in first["if"]
        assert {name for name, job in jobs.items() if "list" not in job.get("needs", ())} == {"list"}
        done = subprocess.run(
            ["bash", "-e", "-c", first["run"]],
            env={**os.environ, "GITHUB_REF": "refs/heads/try", "BRANCH": "main"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert done.stdout.startswith("::error::refs/heads/try is not the default branch. Run this workflow from main")

    def test_one_publication_is_more_than_the_stack_s_repository_keeps(self) -> None:
        kept = re.search(
            r"^  ImagesKept:\n    Type: Number\n    Default: (\d+)$",
            (ROOT / "deploy" / "template.yaml").read_text(encoding="utf-8"),
            re.M,
        )
        listed = subprocess.run(
            [sys.executable, "build.py", "matrix", "--select", "*-s3", "--json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert kept is not None
        assert _IMAGES_OF_ONE * len(json.loads(listed.stdout)["include"]) > int(kept[1]) == 100


class TestPublishingPage:
    @pytest.fixture
    def policies(self) -> list[Any]:
        return [json.loads(block.code) for block in blocks(DOCS / "publishing.md") if block.language == "json"]

    def test_roles_trust_the_refs_that_their_workflows_run_for(self, policies: list[Any]) -> None:
        deploy, _, publish = policies
        condition = deploy["Statement"][0]["Condition"]["StringEquals"]
        subject = "token.actions.githubusercontent.com:sub"
        assert condition[subject].endswith(":ref:refs/heads/main")
        assert condition["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
        assert publish["StringEquals"] == {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}
        tags = workflow("publish")[True]["push"]["tags"]  # YAML 1.1 reads `on` as true
        refs = [text.partition(":ref:")[2] for text in publish["StringLike"][subject]]
        assert refs == ["refs/heads/main", *(f"refs/tags/{tag}" for tag in tags)]

    def test_it_has_every_optional_input_and_secret(self) -> None:
        page = (DOCS / "publishing.md").read_text(encoding="utf-8")
        called = workflow("worker-image")[True]["workflow_call"]
        optional = [
            name for name, given in {**called["inputs"], **called["secrets"]}.items() if not given.get("required")
        ]
        rows = "\n".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
        assert optional
        assert [name for name in optional if f"`{name}`" not in rows] == []

    def test_its_example_gives_what_the_workflow_takes(self) -> None:
        (example,) = (
            yaml.safe_load(block.code) for block in blocks(DOCS / "publishing.md") if block.language == "yaml"
        )
        inputs = workflow("worker-image")[True]["workflow_call"]["inputs"]
        given = example["jobs"]["worker"]["with"]
        assert set(given) <= set(inputs)
        assert {name for name, of in inputs.items() if of.get("required")} <= set(given)
        assert [name for name, value in given.items() if not isinstance(value, str)] == []


class TestWorkerImage:
    @pytest.fixture
    def job(self) -> Any:
        return workflow("worker-image")["jobs"]["image"]

    @pytest.fixture
    def steps(self, job: Any) -> dict[str, Any]:
        return {step["name"]: step for step in job["steps"] if "name" in step}

    def test_dags_follow_the_revision_whose_image_they_import_from(self, steps: dict[str, Any]) -> None:
        order = ["Build and verify", "Push the image", "Register the task definition", "Push the DAGs"]
        assert list(steps) == order

    def test_it_builds_in_the_caller_s_repository(self, job: Any, steps: dict[str, Any]) -> None:
        folder = job["defaults"]["run"]["working-directory"]
        assert folder == job["steps"][0]["with"]["path"]
        assert "repository" not in job["steps"][0]["with"], "the caller's is checked out by default"
        assert '--dag-path "$DAGS"' in steps["Build and verify"]["run"]
        assert 'dags push "$DAGS"' in steps["Push the DAGs"]["run"]

    @staticmethod
    def registered(steps: dict[str, Any], folder: Path, **given: str) -> list[str]:
        """The arguments of build.py with which the step registers a definition."""
        step = steps["Register the task definition"]
        python = folder / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
        python.chmod(0o755)
        (folder / "project").mkdir()
        (folder / "project" / "a").touch()  # what * would become
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=folder / "project",
            env={**os.environ, **dict.fromkeys(step["env"], ""), "STACK": "airflow", "IMAGE": "r@sha256:1", **given},
            capture_output=True,
            text=True,
            check=True,
        )
        arguments: list[str] = json.loads(done.stdout)
        return arguments

    def test_without_inputs_the_stack_says_all(self, steps: dict[str, Any], tmp_path: Path) -> None:
        command = ["../tool/build.py", "task-definition", "r@sha256:1", "--stack", "airflow"]
        assert self.registered(steps, tmp_path) == command

    def test_a_line_is_an_argument(self, steps: dict[str, Any], tmp_path: Path) -> None:
        lines = '--env=GREETING=two words\n\n  \n--env\nPATTERN=*\n--env=CODE=$(false)"\\n\n'
        found = self.registered(steps, tmp_path, API_URL="http://a/execution/", CPU="1024", MEMORY="2048", MORE=lines)
        assert found[3:] == [
            *("--stack", "airflow", "--execution-api-url", "http://a/execution/", "--cpu", "1024", "--memory", "2048"),
            *("--env=GREETING=two words", "--env", "PATTERN=*", '--env=CODE=$(false)"\\n'),
        ]


class TestAirflowReleases:
    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        """A clone with one commit, its origin, and programs that stand in for `make` and `gh`."""
        for command in ("init --quiet --bare -b main origin.git", "clone --quiet origin.git project"):
            subprocess.run(["git", *command.split()], cwd=tmp_path, check=True, capture_output=True)
        (tmp_path / "project" / "matrix.yaml").write_text("airflow:\n")
        (tmp_path / "project" / ".gitignore").write_text(".venv\n")
        self.git(tmp_path / "project", "add --all")
        self.git(tmp_path / "project", "-c user.name=a -c user.email=a@b.c commit --quiet -m first")
        self.git(tmp_path / "project", "push --quiet origin HEAD:main")
        self.program(tmp_path / "bin" / "make", 'echo "- ${2#VERSION=}" >> matrix.yaml')
        listed = 'if [ "$1 $2" = "pr list" ]; then cat $GH_PULL_REQUESTS; fi'
        self.program(tmp_path / "bin" / "gh", f'printf "%s\\n" "$*" >> {tmp_path}/gh.log; {listed}')
        return tmp_path / "project"

    @staticmethod
    def program(path: Path, script: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    @staticmethod
    def git(folder: Path, arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments.split()], cwd=folder, check=True, capture_output=True, text=True
        ).stdout

    def run(self, repository: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        tools = f"{repository.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            command,
            cwd=repository,
            env={**os.environ, "PATH": tools, "RUNNER_TEMP": str(repository.parent), **environment},
            capture_output=True,
            text=True,
        )

    def add(self, repository: Path, new: str) -> subprocess.CompletedProcess[str]:
        """Run the step that adds releases, where the command that lists them does this."""
        self.program(repository / ".venv" / "bin" / "python", new)
        (step,) = (step for step in workflow("airflow-releases")["jobs"]["add"]["steps"] if step.get("id") == "add")
        output = str(repository.parent / "output")
        return self.run(repository, "bash", "-e", "-c", step["run"], GITHUB_OUTPUT=output)

    def propose(self, repository: Path, versions: str, there: int = 0) -> subprocess.CompletedProcess[str]:
        (repository.parent / "there").write_text(str(there))
        self.git(repository, "reset --hard --quiet")  # a checkout of its own
        command = ("bash", str(ROOT / ".github/scripts/propose_releases.sh"), str(repository.parent / "releases.patch"))
        return self.run(repository, *command, versions, GH_PULL_REQUESTS=str(repository.parent / "there"))

    def test_only_the_job_that_resolves_nothing_may_write(self) -> None:
        jobs = workflow("airflow-releases")["jobs"]
        assert {name for name, job in jobs.items() if "write" in job["permissions"].values()} == {"propose"}
        assert all("tools." not in step.get("run", "") for step in jobs["propose"]["steps"])

    def test_what_is_new_is_added_and_proposed_on_a_branch(self, repository: Path) -> None:
        assert self.add(repository, "echo 3.3.3; echo 3.4.0").returncode == 0
        assert (repository.parent / "output").read_text() == "versions=3.3.3 3.4.0\n"
        done = self.propose(repository, "3.3.3 3.4.0")
        assert done.returncode == 0, done.stderr
        origin = repository.parent / "origin.git"
        assert self.git(origin, "show airflow-3.3.3-3.4.0:matrix.yaml") == "airflow:\n- 3.3.3\n- 3.4.0\n"
        assert self.git(origin, "log -1 --format=%s airflow-3.3.3-3.4.0") == "Matrix: Airflow 3.3.3, 3.4.0\n"
        log = (repository.parent / "gh.log").read_text()
        assert "pr create --head airflow-3.3.3-3.4.0 --title Airflow 3.3.3, 3.4.0 --body" in log

    def test_a_pull_request_that_is_there_or_was_refused_is_not_opened_again(self, repository: Path) -> None:
        self.add(repository, "echo 3.3.3")
        done = self.propose(repository, "3.3.3", there=1)
        assert (done.returncode, "already" in done.stdout) == (0, True)
        assert self.git(repository.parent / "origin.git", "branch --list").split() == ["*", "main"]

    def test_nothing_new_is_no_pull_request(self, repository: Path) -> None:
        assert self.add(repository, "true").returncode == 0
        assert (repository.parent / "output").read_text() == "versions=\n"
        assert workflow("airflow-releases")["jobs"]["propose"]["if"] == "needs.add.outputs.versions"

    def test_what_is_no_version_is_no_name(self, repository: Path) -> None:
        assert self.propose(repository, "3.3.3; id").returncode == 1


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
