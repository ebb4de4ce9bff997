from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from airflow_ecs_entrypoint.s3_uri import S3Location
from airflow_ecs_entrypoint.settings import read
from airflow_ecs_entrypoint.signals import Interruption
from airflow_ecs_entrypoint.sync.progress import Progress
from airflow_ecs_entrypoint.sync.sync import Load, Loaded
from airflow_ecs_entrypoint.sync.sync_process import Loader

from local.fakes.s3 import FakeS3
from tests.unit.entrypoint.container import SECRET, changed, script

PACKAGE_ROOT = Path(__file__).resolve().parents[3] / "entrypoint"


@pytest.fixture(autouse=True, scope="session")
def sigint() -> None:
    """Programs under test are not to inherit that it is ignored, as in a job that a shell runs in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    with FakeS3() as fake:
        yield fake


@pytest.fixture
def airflow_home(tmp_path: Path) -> Path:
    home = tmp_path / "airflow"
    home.mkdir()
    return home


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A PATH folder with an `airflow` that shows what it was given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script(folder / "airflow", 'echo "airflow:$#:$*"; exit "${AIRFLOW_FAKE_EXIT:-0}"')
    return folder


@pytest.fixture
def environ(s3: FakeS3, airflow_home: Path, bin_folder: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a container whose S3 is the fake one."""
    return {
        "PATH": f"{bin_folder}:{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(PACKAGE_ROOT),
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(airflow_home),
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_S3": s3.url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "2",
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture
def airflow(bin_folder: Path, tmp_path: Path, environ: dict[str, str]) -> Callable[[str], None]:
    """Make an `airflow` that is a console script of this interpreter, and the module of a workload, with a text."""
    package = tmp_path / "site" / "airflow"
    module = package / "sdk" / "execution_time"
    module.mkdir(parents=True)
    for folder in (package, package / "sdk", module):
        (folder / "__init__.py").write_text("")
    (package / "__init__.py").write_text("import sys\nargv, path = list(sys.argv), sys.path[0]\n")
    environ["PYTHONPATH"] += f":{tmp_path / 'site'}"

    def make(text: str) -> None:
        program = bin_folder / "airflow"
        program.write_text(f"#!{sys.executable}\n{text}")
        program.chmod(0o755)
        (module / "execute_workload.py").write_text(text)

    return make


@pytest.fixture
def dags(airflow_home: Path) -> Path:
    return airflow_home / "dags"


@pytest.fixture
def sync(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Loaded]]:
    """Load what the environment asks for, in this process; returns the results."""

    def call(uri: str = "s3://bucket/dags", **changes: str) -> list[Loaded]:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        merged = {**environ, "S3_URI": uri, **changes}
        for name, value in merged.items():
            monkeypatch.setenv(name, value)
        return Load(read(merged), merged, Interruption(lambda number: None), Progress()).run()

    return call


@pytest.fixture
def loader(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Loader]]:
    """Start a loading process beside this one, with the environment of a container."""

    def start(uri: str = "s3://bucket/dags", location: S3Location | None = None, **changes: str) -> Loader:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        merged = {**environ, "S3_URI": uri, **changes}
        for name, value in merged.items():
            monkeypatch.setenv(name, value)
        made = Loader(read(merged), merged, location)
        made.start()
        started.append(made)
        return made

    started: list[Loader] = []
    yield start
    for made in started:
        made.stop()


@pytest.fixture
def run(environ: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the entrypoint as a container would; keyword arguments change the environment (None unsets)."""

    def start(*arguments: str, **changes: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "airflow_ecs_entrypoint", *arguments],
            env=changed(environ, changes),
            capture_output=True,
            text=True,
            timeout=60,
        )

    return start


def own_children() -> set[int]:
    """The children of this process, with those that have ended and that nobody has waited for."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(child) for children in lists for child in children.read_text().split()}


@pytest.fixture
def children() -> Callable[[], set[int]]:
    """The children of this process that the test has started: a fixture of other tests may have some as well."""
    before = own_children()
    return lambda: own_children() - before
