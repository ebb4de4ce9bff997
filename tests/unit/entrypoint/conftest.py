from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from airflow_ecs_entrypoint.s3_uri import S3Location
from airflow_ecs_entrypoint.settings import read
from airflow_ecs_entrypoint.signals import ShutdownHandler
from airflow_ecs_entrypoint.sync.progress import Progress
from airflow_ecs_entrypoint.sync.sync import Sync, SyncedSource
from airflow_ecs_entrypoint.sync.sync_process import SyncProcess

from local.fakes.s3 import FakeS3
from tests.paths import ENTRYPOINT, TOOLS
from tests.unit.entrypoint.container import SECRET, changed, script


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
        "PATH": f"{bin_folder}:{TOOLS}:/usr/bin:/bin",
        "PYTHONPATH": str(ENTRYPOINT),
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
def in_container(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Give this process the environment of a container, with changes, and return it."""

    def call(**changes: str) -> dict[str, str]:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        merged = {**environ, **changes}
        for name, value in merged.items():
            monkeypatch.setenv(name, value)
        return merged

    return call


@pytest.fixture
def sync(in_container: Callable[..., dict[str, str]]) -> Callable[..., list[SyncedSource]]:
    """Sync what the environment asks for, in this process; returns the results."""

    def call(uri: str = "s3://bucket/dags", **changes: str) -> list[SyncedSource]:
        environ = in_container(S3_URI=uri, **changes)
        return Sync(read(environ), environ, ShutdownHandler(lambda number: None), Progress()).run()

    return call


@pytest.fixture
def sync_process(in_container: Callable[..., dict[str, str]]) -> Iterator[Callable[..., SyncProcess]]:
    """Start a sync process beside this one, with the environment of a container."""

    def start(uri: str = "s3://bucket/dags", location: S3Location | None = None, **changes: str) -> SyncProcess:
        environ = in_container(S3_URI=uri, **changes)
        made = SyncProcess(read(environ), environ, location)
        made.start()
        started.append(made)
        return made

    started: list[SyncProcess] = []
    yield start
    for made in started:
        made.stop()


@pytest.fixture
def launch(environ: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the entrypoint as a container would; keyword arguments change the environment (None unsets)."""

    def start(*arguments: str, **changes: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow_ecs_entrypoint", *arguments],
            env=changed(environ, changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # Under nohup it would be ignored, and the entrypoint leaves it at that.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        started.append(process)
        return process

    started: list[subprocess.Popen[str]] = []
    yield start
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def run(launch: Callable[..., subprocess.Popen[str]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the entrypoint to its end; see `launch`."""

    def call(*arguments: str, **changes: object) -> subprocess.CompletedProcess[str]:
        process = launch(*arguments, **changes)
        output, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    return call


def own_children() -> set[int]:
    """The children of this process, with those that have ended and that nobody has waited for."""
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError):  # the thread has ended
            found.update(map(int, path.read_text().split()))
    return found


@pytest.fixture
def children() -> Callable[[], set[int]]:
    """The children of this process that the test has started: a fixture of other tests may have some as well."""
    before = own_children()
    return lambda: own_children() - before
