"""The whole program: flags in, text and exit codes out, and never a traceback."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from images.cli import parser_of
from images.matrix import load_matrix
from tests.paths import ROOT

if TYPE_CHECKING:
    from tests.unit.images.conftest import Run

OWN = ("--base", "company/airflow:7", "--airflow", "2.10.4", "--python", "3.11")
"""An image that follows from these flags alone, whatever the matrix has."""
KEY_ID = "AKIA" + "Q3EGRWT7LMNB2XZY"
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
REAL = load_matrix()
COMMANDS = parser_of(REAL)[1]
NO_ENGINE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}


def program(
    *arguments: object, environment: Mapping[str, str] | None = None, cwd: Path = ROOT, flags: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """`build.py` in a process of its own, with no engine that could answer."""
    command = [sys.executable, *flags, str(ROOT / "build.py"), *map(str, arguments)]
    environment = {**os.environ, **NO_ENGINE, **(environment or {})}
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder to be the whole PATH."""
    folder = tmp_path / "path"
    folder.mkdir()
    return folder


class TestStarting:
    def test_without_its_packages_it_prints_one_command_that_is_right_from_everywhere(self, tmp_path: Path) -> None:
        done = program("--python", "3.8", cwd=tmp_path, flags=("-S", "-I"))
        assert done.returncode == 6
        assert done.stderr.count("\n") == 1
        assert re.match(r"build\.py: error: the package '\w+' is not installed\. Run: /", done.stderr)
        words = shlex.split(done.stderr)
        assert Path(words[words.index("-r") + 1]) == ROOT / "requirements" / "build.txt"
        assert Path(words[words.index("-r") + 1]).is_file()

    def test_it_starts_from_another_folder_and_isolated(self, tmp_path: Path) -> None:
        done = program("explain", *OWN, cwd=tmp_path, flags=("-I",))
        assert (done.returncode, done.stdout.split(":")[0]) == (0, "2.10.4-python3.11-s3")

    def test_the_reader_of_its_output_may_go(self) -> None:
        command = f"{shlex.quote(sys.executable)} build.py matrix | true; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=BUFFERED, capture_output=True, text=True)
        assert done.returncode == 0
        assert "Error" not in done.stderr and "Exception" not in done.stderr

    def test_a_full_disk_is_named(self) -> None:
        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            command = [sys.executable, str(ROOT / "build.py"), "matrix"]
            done = subprocess.run(command, env=BUFFERED, stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 16
        assert "No space left on this machine." in done.stderr
        assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


class TestWithoutDocker:
    def test_a_context_that_does_not_exist_is_named(self) -> None:
        done = program("verify", "x:1", environment={"DOCKER_HOST": "", "DOCKER_CONTEXT": "no-such-context"})
        assert done.returncode == 10 and "no-such-context" in done.stderr

    def test_no_client(self, path: Path) -> None:
        done = program(*OWN, environment={"PATH": str(path)})
        assert done.returncode == 10
        first, second = done.stderr.splitlines()[:2]
        assert first.startswith(
            "build.py: 2.10.4-python3.11-s3: Airflow 2.10.4, Python 3.11, DAGs s3, from company/airflow:7"
        )
        assert second == "build.py: error: There is no `docker` command on PATH."

    def test_no_buildx(self, path: Path) -> None:
        (path / "docker").write_text("#!/bin/sh\necho \"docker: 'buildx' is not a docker command.\" >&2; exit 1\n")
        (path / "docker").chmod(0o755)
        done = program(environment={"PATH": str(path)})
        assert (done.returncode, "The Docker client has no Buildx.\n  Install it" in done.stderr) == (11, True)

    def test_no_engine(self, path: Path) -> None:
        (path / "docker").write_text("#!/bin/sh\nexit 0\n")
        (path / "docker").chmod(0o755)
        for command in (["build"], ["verify", "worker:1"], ["push", "worker:1", "--to", "r.example/w"]):
            done = program(*command, environment={"PATH": str(path)})
            assert done.returncode == 10
            assert "The Docker engine at tcp://127.0.0.1:1 does not answer." in done.stderr

    @pytest.mark.parametrize("command", ["build --dry-run", "render", "explain", "matrix", "tags"])
    def test_all_other_commands_need_none(self, path: Path, command: str) -> None:
        done = program(*command.split(), environment={"PATH": str(path)})
        assert done.returncode == 0, done.stderr
        assert REAL.releases[-1].version in done.stdout


def test_build_is_the_default_command(run: Run) -> None:
    plain = run("--python", "3.8", "--dags", "s3", "--dry-run")
    assert plain == run("build", "--python", "3.8", "--dags", "s3", "--dry-run")
    assert plain.code == 0
    assert plain.errors.startswith("build.py: 2.10.5-python3.8-s3: Airflow 2.10.5, Python 3.8, DAGs s3, from ")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_names_every_flag_and_ends_well(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    from images.cli import run as run_here

    with pytest.raises(SystemExit) as raised:
        run_here([*filter(None, [command]), "--help"])
    assert raised.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: build.py {command}".rstrip())
    assert shown.isascii()
    assert all(name in shown for name in COMMANDS) == (command == "")


@pytest.mark.parametrize(
    "flags, code, message",
    [
        ("bild", 2, "Unknown command 'bild'.\n  Commands: build, explain"),
        ("verify ", 2, "verify requires the name of an image"),
        ("--pyton 3.8", 2, "Unrecognized arguments: --pyton 3.8."),
        ("--python", 2, "Argument --python: expected one argument.\n  See: python build.py build --help"),
        ("--progress loud", 2, "invalid choice: 'loud'"),
        ("--sbom", 2, "Add --push"),
        ("--provenance mode=max", 2, "Add --push"),
        ("--platform linux/s390x", 2, "--platform takes: linux/amd64, linux/arm64"),
        ("--platform linux/amd64,linux/arm64", 2, "Add --push, or build one platform at a time"),
        ("--repository Upper/Case", 2, "--repository 'Upper/Case' is not a valid repository name."),
        ("--tag worker", 2, "--tag worker has no tag.\n  For example: --tag worker:1.0"),
        ("--tag Worker:1", 2, "--tag 'Worker:1' is not a valid image name."),
        ("--env A", 2, "--env requires NAME=VALUE"),
        ("--label =x", 2, "--label requires NAME=VALUE"),
        ("--region Frankfurt", 2, "For example: --region eu-west-1"),
        ("--s3-uri bucket/dags", 2, "For example: --s3-uri s3://my-bucket/dags"),
        ("--container-dag-path dags", 2, "is not a plain absolute path"),
        ("--apt-packages git;x", 2, "is not a valid name of a Debian package"),
        ("--constraints none", 2, "Add --requirements FILE"),
        ("--requirements missing.txt", 4, "Cannot read the requirements missing.txt: No such file or directory."),
        ("--requirements .", 4, "Cannot read the requirements .: Is a directory."),
        ("--requirements empty.txt", 4, "has no requirements"),
        (
            "--requirements moving.txt",
            7,
            "moving.txt:1: `apache-airflow==1.10.15` would change the image's Airflow 3.3.2",
        ),
        ("--requirements ok.txt --constraints missing.txt", 4, "--constraints missing.txt: No such file"),
        ("--airflow-cfg missing.cfg", 4, "--airflow-cfg missing.cfg: No such file or directory."),
        ("--airflow-cfg secret.cfg", 5, "secret.cfg has secrets: core.fernet_key"),
        ("--pip-config missing", 4, "--pip-config missing: No such file or directory."),
        ("--pip-config empty.txt", 4, "--pip-config empty.txt is empty."),
        ("--ca-bundle /proc/self/mem", 4, "--ca-bundle /proc/self/mem: Input/output error."),
        ("--env DB_PASSWORD=hunter2", 5, "Secrets Manager"),
        ("--dags local --dag-path missing", 4, "--dag-path missing is not a folder."),
        ("--dags local --dag-path empty.txt", 4, "--dag-path empty.txt is not a folder."),
        ("--dags local --dag-path empty", 4, "--dag-path empty has no files."),
        ("--insecure-bake-aws-credentials", 2, "Export AWS_ACCESS_KEY_ID"),
    ],
)
def test_each_mistake_is_one_message_and_an_exit_code(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, code: int, message: str
) -> None:
    for name, text in {
        "empty.txt": "",
        "ok.txt": "pandas",
        "moving.txt": "apache-airflow==1.10.15",
        "secret.cfg": "[core]\nfernet_key = hunter2",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    answer = run(*flags.split(" "), *(("--dry-run",) if flags.startswith("-") else ()))
    assert (answer.code, answer.output) == (code, "")
    assert answer.errors.count("build.py: error: ") == 1
    assert message in answer.errors
    assert "hunter2" not in answer.errors


class TestDryRun:
    @staticmethod
    def definition(output: str) -> dict[str, dict[str, dict[str, object]]]:
        found: dict[str, dict[str, dict[str, object]]] = json.loads(output.partition("# docker-bake.json\n")[2])
        return found

    def test_it_shows_dockerfiles_and_bake_file(self, run: Run) -> None:
        answer = run("--dry-run", "--select", "3.3.2-python3.1[23]-s3", "--repository", "team/worker")
        assert answer.errors.startswith("build.py: 2 images on 2 base images; --airflow, --python")
        assert answer.output.count("\nENTRYPOINT ") == 2
        targets = self.definition(answer.output)["target"]
        assert list(targets) == ["3-3-2-python3-12-s3", "3-3-2-python3-13-s3"]
        assert targets["3-3-2-python3-13-s3"]["tags"] == [
            *("team/worker:3.3.2-python3.13-s3", "team/worker:3.3-python3.13-s3", "team/worker:3-python3.13-s3")
        ]

    def test_every_flag_on_building_arrives(self, run: Run, tmp_path: Path) -> None:
        for name in ("ca.pem", "pip.conf"):
            (tmp_path / name).write_text("hunter2", encoding="utf-8")
        flags = (
            "--push --platform linux/amd64 --platform linux/arm64 --sbom --provenance mode=max --pull --no-cache "
            f"--cache-from type=gha --cache-to type=gha,mode=max --tag a/b:1 --tag a/b:2 "
            f"--ca-bundle {tmp_path}/ca.pem --pip-config {tmp_path}/pip.conf"
        )
        answer = run("--dry-run", *flags.split())
        assert answer.code == 0, answer.errors
        assert self.definition(answer.output)["target"]["3-3-2-python3-12-s3"] == {
            "context": "CONTEXT",
            "dockerfile": "3.3.2-python3.12-s3.Dockerfile",
            "tags": ["a/b:1", "a/b:2"],
            "labels": {},
            "output": ["type=registry"],
            "platforms": ["linux/amd64", "linux/arm64"],
            "secret": [f"id=ca-bundle,src={tmp_path}/ca.pem", f"id=pip-config,src={tmp_path}/pip.conf"],
            "cache-from": ["type=gha"],
            "cache-to": ["type=gha,mode=max"],
            "attest": ["type=sbom", "type=provenance,mode=max"],
            "no-cache": True,
            "pull": True,
        }
        assert "hunter2" not in answer.output + answer.errors

    def test_every_flag_on_content_arrives(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "r.txt").write_text("pandas", encoding="utf-8")
        (tmp_path / "airflow.cfg").write_text("[core]\nparallelism = 8", encoding="utf-8")
        digest = "sha256:" + "a" * 64
        answer = run(
            *("render", "--airflow", "2.10", "--python", "3.8", "--base-digest", digest),
            *("--s3-uri", "s3://bucket/dags", "--plugins-s3-uri", "s3://bucket/p", "--config-s3-uri", "s3://bucket/c"),
            *("--container-dag-path", "/srv/dags/"),
            *("--requirements", tmp_path / "r.txt", "--constraints", "none", "--airflow-cfg", tmp_path / "airflow.cfg"),
            *("--apt-packages", "git", "g++", "--apt-packages", "libpq5,gcc", "--env", "A=1", "--env", "B=x y"),
            *("--region", "eu-west-1", "--no-aws-cli", "--label", "team=data"),
        )
        assert answer.code == 0, answer.errors
        for text in (
            f"FROM apache/airflow:2.10.5-python3.8@{digest} AS base",
            'ARG s3_uri="s3://bucket/dags"',
            'PLUGINS_S3_URI="s3://bucket/p"',
            'CONFIG_S3_URI="s3://bucket/c"',
            'ARG container_dag_path="/srv/dags"\n',
            'ARG requirements_path="requirements.txt"',
            "--constraints none",
            "COPY --chown=50000:0 airflow.cfg /opt/airflow/airflow.cfg",
            " g++ gcc git libpq5",
            'ENV A="1"\nENV B="x y"',
            'ARG aws_default_region="eu-west-1"',
            'io.airflow-ecs.aws-cli="false"',
            f'org.opencontainers.image.base.digest="{digest}"',
            'team="data"',
        ):
            assert text in answer.output
        assert "install_aws_cli" not in answer.output

    def test_credentials_are_warned_about_and_not_shown(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
        answer = run("--dry-run", "--insecure-bake-aws-credentials")
        assert "WARNING: AWS credentials are written into the image" in answer.errors
        assert KEY_ID not in answer.output + answer.errors
        assert "hunter2" not in answer.output + answer.errors


class TestRender:
    def test_a_folder_holds_all_that_docker_build_needs(self, run: Run, tmp_path: Path, dags: Path) -> None:
        output = tmp_path / "new" / "context"
        answer = run("render", "--dags", "local", "--dag-path", dags, "-o", output)
        assert answer.code == 0, answer.errors
        assert f"docker build {output}" in answer.errors
        assert {path.name for path in output.iterdir()} == {"Dockerfile", "dags", "steps", "wheels"}
        dockerfile = (output / "Dockerfile").read_text(encoding="utf-8")
        for source in re.findall(r"source=(\w+)", dockerfile):
            assert (output / source).is_dir()
        assert dockerfile == run("render", "--dags", "local", "--dag-path", dags).output

    def test_it_overwrites_nothing(self, run: Run, tmp_path: Path, dags: Path) -> None:
        (tmp_path / "file").touch()
        for output in (dags, tmp_path / "file"):
            answer = run("render", "-o", output)
            assert (answer.code, "exists and is not an empty folder" in answer.errors) == (4, True)
        assert (dags / "daily.py").exists()

    def test_it_does_not_copy_itself(self, run: Run, dags: Path) -> None:
        answer = run("render", "--dags", "local", "--dag-path", dags, "-o", dags / "context")
        assert (answer.code, "is inside" in answer.errors) == (4, True)
        assert not (dags / "context").exists()

    def test_it_writes_one_image(self, run: Run, tmp_path: Path) -> None:
        answer = run("render", "--all", "-o", tmp_path / "x")
        assert (answer.code, "52 are selected" in answer.errors) == (2, True)

    def test_where_it_cannot_write_it_says_so_and_leaves_nothing(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        answer = run("render", "-o", tmp_path / "file" / "x")
        assert (answer.code, "Not a directory" in answer.errors) == (4, True)


class TestListing:
    def test_the_matrix_for_github_actions_selects_what_it_lists(self, run: Run) -> None:
        answer = run("matrix", "--json", "--airflow", "2.10", "--dags", "s3")
        found = json.loads(answer.output)
        assert list(found) == ["include"]
        assert answer.output.count("\n") == 1, "one line: it goes to $GITHUB_OUTPUT"
        assert found["include"][0] == {
            "identifier": "2.10.5-python3.8-s3", "airflow": "2.10.5", "python": "3.8", "dags": "s3",
        }  # fmt: skip
        for entry in found["include"]:
            (image,) = json.loads(run("explain", "--json", "--select", entry["identifier"]).output)
            assert {key: image[key] for key in entry} == entry
            flags = ("--airflow", entry["airflow"], "--python", entry["python"], "--dags", entry["dags"])
            assert json.loads(run("explain", "--json", *flags).output) == [image]

    def test_the_matrix_lists_identifiers_and_says_what_it_leaves_out(self, run: Run, dags: Path) -> None:
        answer = run("matrix")
        assert len(answer.output.splitlines()) == 26 * 2
        assert "left out mode local" in answer.errors
        complete = run("matrix", "--dag-path", dags)
        assert (len(complete.output.splitlines()), complete.errors) == (26 * 3, "")

    def test_explain_says_what_the_flags_stand_for(self, run: Run) -> None:
        assert run("explain", "--python", "3.8").output == (
            "2.10.5-python3.8-s3: Airflow 2.10.5 on Python 3.8, DAGs s3\n"
            "  from apache/airflow:2.10.5-python3.8\n"
            "  tags airflow-ecs-worker:2.10.5-python3.8-s3 airflow-ecs-worker:2.10-python3.8-s3 "
            "airflow-ecs-worker:2-python3.8-s3\n"
        )

    def test_folders_beside_the_dags_are_pointed_out(self, run: Run, tmp_path: Path, dags: Path) -> None:
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins" / "x.py").touch()
        flags = ("explain", "--dags", "local", "--dag-path", dags)
        assert f"--plugins-path {tmp_path}/plugins copies it, too" in run(*flags).errors
        assert run(*flags, "--plugins-path", tmp_path / "plugins").errors == ""


def test_a_broken_matrix_is_exit_code_3(tmp_path: Path) -> None:
    for name in ("images", "requirements", "executor", "entrypoint"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "build.py", tmp_path)
    (tmp_path / "matrix.yaml").write_text("airflow: []", encoding="utf-8")
    command = [sys.executable, "build.py", "matrix"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (3, "build.py: error: matrix.yaml: bases: missing\n")


def test_a_pattern_need_not_repeat_what_base_says(run: Run) -> None:
    answer = run("explain", "--base", "slim", "--select", "3.3.2-python3.12-s3", "--json")
    assert [image["identifier"] for image in json.loads(answer.output)] == ["slim-3.3.2-python3.12-s3"]
