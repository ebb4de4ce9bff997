"""The folder that Docker builds from."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from pathlib import Path

import pytest

from images.context import ENTRYPOINT_PROJECT, build_wheel, write_context
from images.matrix import Matrix
from images.requirements import read_requirements
from images.resolve import Request, resolve
from images.spec import Constraints, Options


def content_of(folder: Path) -> dict[str, tuple[str, int]]:
    """Digest and mode of every file, by path."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            stat.S_IMODE(path.stat().st_mode),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def options(dags: Path, tmp_path: Path) -> Options:
    """Everything that can be copied."""
    (tmp_path / "nested.txt").write_text("pandas\n", encoding="utf-8")
    (tmp_path / "requirements.txt").write_text("# ours\n-r nested.txt\n-c held.txt\n", encoding="utf-8")
    (tmp_path / "held.txt").write_text("numpy==2.2.3\n", encoding="utf-8")
    (tmp_path / "constraints.txt").write_text("pandas==2.2.3\r\n", encoding="utf-8")
    (tmp_path / "airflow.cfg").write_text("[core]\nparallelism = 8\n", encoding="utf-8")
    for name in ("plugins", "config"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.py").touch()
    return Options(
        dag_path=dags,
        plugins_path=tmp_path / "plugins",
        config_path=tmp_path / "config",
        requirements=read_requirements(tmp_path / "requirements.txt"),
        constraints=Constraints.FILE,
        constraints_file=tmp_path / "constraints.txt",
        airflow_cfg=tmp_path / "airflow.cfg",
    )


def write(matrix: Matrix, folder: Path, options: Options, request: Request | None = None) -> Path:
    specs = resolve(matrix, request or Request(dags="local"), options).specs
    write_context(folder, specs, options)
    return folder


def test_everything_that_is_built_from_is_there(matrix: Matrix, tmp_path: Path, options: Options) -> None:
    request = Request(select="3.3.2-python3.1[23]-local")
    found = content_of(write(matrix, tmp_path / "context", options, request))
    wheel = next(name for name in found if name.endswith(".whl"))
    assert set(found) == {
        *("3.3.2-python3.12-local.Dockerfile", "3.3.2-python3.13-local.Dockerfile"),
        *("steps/check_base.py", "steps/compile_bytecode.py", "steps/install_aws_cli.py", "steps/install_packages.py"),
        *("steps/aws-cli.txt", wheel, "requirements.txt", "constraints.txt", "airflow.cfg"),
        "requirement-files/constraints.txt",
        *("dags/daily.py", "plugins/x.py", "config/x.py"),
    }
    assert (tmp_path / "context" / "requirements.txt").read_text(encoding="utf-8").endswith("\npandas\n")
    assert (tmp_path / "context" / "constraints.txt").read_bytes() == b"pandas==2.2.3\n"
    dockerfile = (tmp_path / "context" / "3.3.2-python3.12-local.Dockerfile").read_text(encoding="utf-8")
    assert wheel in dockerfile


def test_without_options_it_holds_no_file_of_the_users(matrix: Matrix, tmp_path: Path) -> None:
    found = content_of(write(matrix, tmp_path / "context", Options(), Request()))
    assert {name.split("/")[0] for name in found} == {"3.3.2-python3.12-s3.Dockerfile", "steps", "wheels"}


def test_two_contexts_are_the_same_bytes_whatever_the_umask(matrix: Matrix, tmp_path: Path, options: Options) -> None:
    first = content_of(write(matrix, tmp_path / "first", options))
    previous = os.umask(0o077)
    try:
        second = content_of(write(matrix, tmp_path / "second", options))
    finally:
        os.umask(previous)
    assert first == second


def test_any_uid_with_group_0_can_read_and_the_executable_bit_stays(matrix: Matrix, tmp_path: Path, dags: Path) -> None:
    (dags / "run.sh").touch(mode=0o700)
    (dags / "secret.sql").touch(mode=0o600)
    (dags / "link.py").symlink_to(dags / "daily.py")
    (dags / "team").mkdir(mode=0o700)
    (dags / "team" / "a.py").touch()
    folder = write(matrix, tmp_path / "context", Options(dag_path=dags)) / "dags"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    files = dict.fromkeys(("daily.py", "link.py", "secret.sql", "a.py"), 0o664)
    assert modes == {**files, "run.sh": 0o775, "team": 0o775}
    assert not (folder / "link.py").is_symlink()


def test_the_wheel_is_the_same_bytes_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    names = {build_wheel(tmp_path / folder) for folder in ("a", "b")}
    (name,) = names
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert os.environ["SOURCE_DATE_EPOCH"] == "1700000000"
    with zipfile.ZipFile(tmp_path / "a" / name) as wheel:
        packed = {entry for entry in wheel.namelist() if entry.startswith("airflow_ecs_entrypoint/")}
    files = (ENTRYPOINT_PROJECT / "airflow_ecs_entrypoint").rglob("*")
    kept = {str(path.relative_to(ENTRYPOINT_PROJECT)) for path in files if path.is_file() and path.suffix != ".pyc"}
    assert packed == kept
