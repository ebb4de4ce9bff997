"""Values, files and folders of the user's, checked before Docker is started."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from images import inputs
from images.errors import InputError, RequestError, SecretError

KEY_ID = "AKIA" + "Q3EGRWT7LMNB2XZY"


class TestEnv:
    @pytest.mark.parametrize("setting", ["A=1", "_b2=x y", "PATH_X=", "X=a=b", "AIRFLOW__SECRETS__BACKEND=a.b.C"])
    def test_settings_pass(self, setting: str) -> None:
        inputs.check_env([inputs.assignment(setting, "--env")])

    @pytest.mark.parametrize(
        "setting, message",
        [
            ("A", "--env requires NAME=VALUE"),
            ("=1", "--env requires NAME=VALUE"),
            ("A=1\n2", "line break"),
            ("1A=x", "not a valid name"),
            ("A B=x", "not a valid name"),
            ("A-B=x", "not a valid name"),
            ("AWS_PROFILE=", "empty AWS variables break the SDK"),
            ("S3_URI=s3://bucket/x", "Give --s3-uri instead"),
            ("PLUGINS_S3_URI=s3://bucket/x", "Give --plugins-s3-uri instead"),
            ("CONTAINER_DAG_PATH=/x", "Give --container-dag-path instead"),
            ("AIRFLOW_ECS_DAGS=s3", "Give --dags instead"),
            ("AIRFLOW_HOME=/x", "always /opt/airflow"),
        ],
    )
    def test_what_cannot_be_set_is_refused(self, setting: str, message: str) -> None:
        with pytest.raises(RequestError, match=message):
            inputs.check_env([inputs.assignment(setting, "--env")])

    @pytest.mark.parametrize("setting", ["DB_PASSWORD=hunter2", "URL=http://me:hunter2@host", f"NOTE=hunter2 {KEY_ID}"])
    def test_secrets_are_refused_unshown_with_the_better_way(self, setting: str) -> None:
        with pytest.raises(SecretError) as raised:
            inputs.check_env([inputs.assignment(setting, "--env")])
        assert setting.split("=")[0] in str(raised.value)
        assert "Secrets Manager" in str(raised.value)
        assert "hunter2" not in str(raised.value)
        assert KEY_ID not in str(raised.value)


class TestLabels:
    @pytest.mark.parametrize("name", ["team", "com.example.Team", "org.opencontainers.image.source", "a/b_c-d"])
    def test_labels_pass(self, name: str) -> None:
        inputs.check_labels([(name, "data platform")])

    @pytest.mark.parametrize(
        "name",
        ["a b", "-a", "io.airflow-ecs.python", "org.opencontainers.image.version", "org.opencontainers.image.title"],
    )
    def test_malformed_names_and_verified_facts_are_refused(self, name: str) -> None:
        with pytest.raises(RequestError, match=f"--label {name}"):
            inputs.check_labels([(name, "x")])

    def test_secrets_are_refused(self) -> None:
        with pytest.raises(SecretError, match="--label source"):
            inputs.check_labels([("source", "https://me:hunter2@git.example.com/x")])


def check_apt_package(name: str) -> None:
    inputs.check_apt_packages([name])


@pytest.mark.parametrize(
    "check, good",
    [
        (
            inputs.check_container_path,
            "/opt/airflow/dags /opt/airflow/dags/ /opt/airflow/dags/team /dags /usrdata /home/airflow/x",
        ),
        (check_apt_package, "git libpq5 g++ libc6:amd64 git=1:2.39.5-0+deb12u2 git/bookworm-backports"),
    ],
)
def test_plain_values_pass(check: Callable[[str], None], good: str) -> None:
    for value in good.split():
        check(value)


@pytest.mark.parametrize(
    "check, bad",
    [
        (
            inputs.check_container_path,
            [
                *("", "dags", "~/dags", "/", "//", "//etc", "/opt/airflow", "/opt/airflow/", "/opt/airflow/../x"),
                *("/opt/./x", "/etc/dags", "/usr", "/lib64/x", "/tmp", "/home/airflow/.local/lib", "/opt/aws-cli/x"),
                *(
                    "/opt/airflow/plugins",
                    "/opt/airflow/logs/x",
                    "/a b",
                    "/a\nb",
                    '/a"b',
                    "/a$b",
                    "/a`b`",
                    "/a;b",
                    "/ä",
                ),
            ],
        ),
        (check_apt_package, ["-y", "a", "Git", "git;x", "$(x)", "git libpq5", "git&&x", ""]),
    ],
)
def test_others_are_refused(check: Callable[[str], None], bad: list[str]) -> None:
    for value in bad:
        with pytest.raises(RequestError):
            check(value)


class TestFolders:
    def test_all_files_are_found_in_order_and_leftovers_left_out(self, dags: Path) -> None:
        for name in ("team/a.py", "team/.airflowignore", "Z.sql", "__pycache__/x.pyc", ".git/config", "old.pyc"):
            (dags / name).parent.mkdir(exist_ok=True)
            (dags / name).write_text("x", encoding="utf-8")
        found = [str(path.relative_to(dags)) for path in inputs.files_of(dags)]
        assert found == ["Z.sql", "daily.py", "team/.airflowignore", "team/a.py"]
        inputs.check_folder(dags, "--dag-path")

    def test_links_to_files_and_folders_are_followed(self, dags: Path, tmp_path: Path) -> None:
        shared = tmp_path / "shared"
        shared.mkdir()
        (shared / "common.py").touch()
        (dags / "lib").symlink_to(shared)
        (dags / "again").symlink_to(shared)
        (dags / "one.py").symlink_to(shared / "common.py")
        found = [str(path.relative_to(dags)) for path in inputs.files_of(dags)]
        assert found == ["again/common.py", "daily.py", "lib/common.py", "one.py"]

    @pytest.mark.parametrize("target", [".", "..", "a", "a/b"])
    def test_links_in_a_circle_are_refused(self, dags: Path, target: str) -> None:
        (dags / "a" / "b").mkdir(parents=True)
        (dags / "a" / "b" / "link").symlink_to((dags / target).resolve())
        with pytest.raises(InputError, match="is a link to a folder that contains it"):
            inputs.check_folder(dags, "--dag-path")

    def test_a_link_to_nothing_is_refused(self, dags: Path) -> None:
        (dags / "gone.py").symlink_to(dags / "nowhere.py")
        with pytest.raises(InputError, match=r"gone\.py is a broken link"):
            inputs.check_folder(dags, "--dag-path")

    def test_a_pipe_is_refused_and_not_waited_for(self, dags: Path) -> None:
        os.mkfifo(dags / "pipe")
        with pytest.raises(InputError, match="is not a regular file"):
            inputs.check_folder(dags, "--dag-path")

    def test_a_folder_of_leftovers_is_empty(self, tmp_path: Path) -> None:
        (tmp_path / "dags" / "__pycache__").mkdir(parents=True)
        (tmp_path / "dags" / "__pycache__" / "x.pyc").touch()
        with pytest.raises(InputError, match=r"--plugins-path .* has no files"):
            inputs.check_folder(tmp_path / "dags", "--plugins-path")

    @pytest.mark.parametrize(
        "content, kind",
        [
            (f'KEY = "{KEY_ID}"', "AWS access key id"),
            ("-----BEGIN PRIVATE KEY-----\nMIIEowIBAAKCAQEAx4UbaDzY5xj\n", "private key"),
        ],
    )
    def test_a_file_with_a_secret_is_named_and_not_shown(self, dags: Path, content: str, kind: str) -> None:
        (dags / "settings.py").write_text(content, encoding="utf-8")
        with pytest.raises(SecretError, match=rf"settings\.py has a secret \({kind}\)") as raised:
            inputs.check_folder(dags, "--dag-path")
        assert KEY_ID not in str(raised.value)

    def test_data_may_hold_anything(self, dags: Path) -> None:
        (dags / "model.bin").write_bytes(os.urandom(100) * 20000)
        inputs.check_folder(dags, "--dag-path")


class TestFiles:
    def test_a_file_must_be_text(self, tmp_path: Path) -> None:
        (tmp_path / "ca.der").write_bytes(b"\x30\x82\xff")
        with pytest.raises(InputError, match="is not a text file"):
            inputs.check_file(tmp_path / "ca.der", "--ca-bundle")

    def test_constraints_must_not_hold_a_password(self, tmp_path: Path) -> None:
        file = tmp_path / "constraints.txt"
        file.write_text("x @ https://me:hunter2@host/x.whl\n", encoding="utf-8")
        with pytest.raises(SecretError) as raised:
            inputs.check_constraints(file)
        assert "--pip-config" in str(raised.value)
        assert "hunter2" not in str(raised.value)

    def test_a_malformed_airflow_cfg_is_refused_by_line(self, tmp_path: Path) -> None:
        file = tmp_path / "airflow.cfg"
        file.write_text("[core]\nparallelism = 8\nhunter2\n", encoding="utf-8")
        with pytest.raises(InputError, match="is not a configuration file: line 3") as raised:
            inputs.check_airflow_cfg(file)
        assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("name", [".env", ".env.prod", "prod.env"])
def test_a_file_of_settings_with_secrets_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_text("# a comment\nexport DB_PASSWORD='hunter2'\nAPI_TOKEN = x1\nPOOL=5\nSECRET_KEY=\n")
    inputs.check_folder(tmp_path, "--dag-path")
    output = capsys.readouterr().err
    assert f"warning: {tmp_path / name} seems to have secrets (DB_PASSWORD, API_TOKEN)" in output
    assert "hunter2" not in output and "x1" not in output


def test_a_file_of_settings_without_secrets_is_copied_silently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text("POOL=5\nLOG_LEVEL=INFO\n")
    inputs.check_folder(tmp_path, "--dag-path")
    assert capsys.readouterr().err == ""
