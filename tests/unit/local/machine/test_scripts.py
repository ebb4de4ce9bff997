"""The shell scripts, on a PATH of fakes: they install nothing here, and start nothing but a fake engine.

But for that engine, only ways through `engine.sh` are taken that end before it would change the machine; every program
it would need for that is a fake that fails and leaves a trace.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.paths import ROOT

if TYPE_CHECKING:
    from tests.unit.local.conftest import Script

BASH = shutil.which("bash") or "/bin/bash"
READY = """
case "$1" in
    version) echo 27.5.1 ;;
    buildx) echo github.com/docker/buildx v0.19.3 4c5fd3c ;;
esac
"""
NO_ANSWER = "echo 'Cannot connect to the Docker daemon' >&2; exit 1"


def call(name: str, *arguments: str, path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script of `local/`, with nothing of this environment."""
    command = [BASH, str(ROOT / "local" / "machine" / name), *arguments]
    return subprocess.run(
        command, env={"PATH": path, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
    )


class TestEngine:
    @pytest.fixture(autouse=True)
    def harmless(self, script: Script, tmp_path: Path) -> Iterator[None]:
        """Fail, and leave a trace, whenever the script would install, write or start something."""
        for name in (
            *("apt-get", "dpkg-deb", "mkdir", "flock", "ln", "rm", "touch", "mktemp", "setsid", "dockerd", "systemctl"),
            *("sudo", "brew", "kill"),
        ):
            script(name, f'echo "{name} $*" >> {tmp_path}/touched; exit 97')
        yield
        assert not (tmp_path / "touched").exists(), (tmp_path / "touched").read_text()

    @pytest.fixture
    def path(self, fakes: Path) -> str:
        return f"{fakes}:/usr/bin:/bin"

    @pytest.mark.parametrize("arguments", [(), ("",), ("start",), ("--help",), ("run",)])
    def test_wrong_usage_is_told_and_has_an_exit_code_of_its_own(self, arguments: tuple[str, ...], path: str) -> None:
        done = call("engine.sh", *arguments, path=path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("Usage: ") and done.stderr.count("\n") == 1

    def test_where_an_engine_answers_there_is_nothing_to_do(self, script: Script, path: str) -> None:
        script("docker", READY)
        done = call("engine.sh", "ensure", path=path)
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == "Docker engine 27.5.1 and Buildx v0.19.3 are ready\n"

    @pytest.mark.parametrize("code", [0, 7])
    def test_a_command_is_run_with_the_engine_that_is_there(self, script: Script, path: str, code: int) -> None:
        script("docker", READY)
        done = call("engine.sh", "run", "sh", "-c", 'echo "$0-$1"; exit "$2"', "a b", "c", str(code), path=path)
        assert (done.returncode, done.stdout) == (code, "a b-c\n")

    def test_an_engine_that_is_too_old_is_named_with_what_is_needed(self, script: Script, path: str) -> None:
        script("docker", READY.replace("27.5.1", "20.10.24"))
        done = call("engine.sh", "run", "echo", "not run", path=path)
        assert (done.returncode, done.stdout) == (41, "")
        assert "The running Docker engine is version 20.10.24; 25 or newer is required." in done.stderr

    def test_another_machines_engine_is_not_replaced_by_one_here(self, script: Script, path: str) -> None:
        script("docker", NO_ANSWER)
        done = call("engine.sh", "ensure", path=path, DOCKER_HOST="tcp://builder:2376")
        assert done.returncode == 41
        assert "DOCKER_HOST is tcp://builder:2376, but no Docker engine answers there." in done.stderr

    def test_a_user_who_may_not_use_docker_is_told_what_to_do(self, script: Script, path: str) -> None:
        script("docker", "echo 'permission denied while trying to connect' >&2; exit 1")
        done = call("engine.sh", "ensure", path=path)
        assert done.returncode == 41
        assert "Add the user to the group docker (sudo usermod -aG docker " in done.stderr

    def test_on_a_mac_it_names_what_to_install(self, script: Script, path: str) -> None:
        script("docker", NO_ANSWER)
        script("uname", "echo Darwin")
        done = call("engine.sh", "ensure", path=path)
        assert done.returncode == 41
        assert "Docker Desktop" in done.stderr and "colima start" in done.stderr

    def test_the_status_is_an_exit_code(self, script: Script, path: str) -> None:
        script("docker", READY)
        ready = call("engine.sh", "status", path=path)
        assert (ready.returncode, ready.stderr.splitlines()[:2]) == (0, ["Engine: 27.5.1", "Buildx: v0.19.3"])
        script("docker", NO_ANSWER)
        missing = call("engine.sh", "status", path=path)
        assert (missing.returncode, missing.stderr.splitlines()[:2]) == (
            *(41, ["Engine: does not answer", "Buildx: missing"]),
        )


class TestStartedEngine:
    """An engine that `engine.sh` starts: a process that is called dockerd, and a docker that asks for it."""

    DOCKERD = """
pidfile=$2
trap 'exit 0' TERM
echo $$ > "$pidfile"
while :; do sleep 0.05; done
"""
    DOCKER = """
pid=$(cat "$STATE/dockerd.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null || exit 1
case "$1" in
    version) echo 27.5.1 ;;
    buildx) echo github.com/docker/buildx v0.19.3 4c5fd3c ;;
esac
"""
    # Whatever this machine is: nothing to install, no systemd.
    MACHINE = """
. "$SCRIPT"
explain_missing_engine() { :; }
is_debian_12() { return 1; }
has_systemd() { return 1; }
dockerd_program() { command -v dockerd; }
"""

    @pytest.fixture(autouse=True)
    def state(self, script: Script, tmp_path: Path) -> Iterator[Path]:
        """The folder of `engine.sh`; the engine it has started is ended with the test."""
        script("dockerd", self.DOCKERD)
        script("docker", self.DOCKER)
        folder = tmp_path / "state"
        folder.mkdir()
        yield folder
        if self.engine_runs(folder):
            os.kill(int((folder / "dockerd.pid").read_text()), signal.SIGKILL)

    def call(self, state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{state.parent}/fakes:/usr/bin:/bin",
            "SCRIPT": str(ROOT / "local" / "machine" / "engine.sh"),
            "STATE": str(state),
            "AIRFLOW_ECS_ENGINE_STATE": str(state),
            "AIRFLOW_ECS_ENGINE_LOG": str(state / "log"),
        }
        command = [BASH, "-c", f'{self.MACHINE}\nmain "$@"', "engine.sh", *arguments]
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
        )

    @staticmethod
    def engine_runs(state: Path) -> bool:
        try:
            os.kill(int((state / "dockerd.pid").read_text()), 0)
        except (OSError, ValueError):
            return False
        return True

    def test_it_keeps_running_until_it_is_stopped(self, state: Path) -> None:
        started = self.call(state, "ensure")
        assert (started.returncode, started.stdout) == (0, "")
        assert started.stderr.endswith("\nThe Docker engine keeps running. To stop it: make engine-stop\n")
        assert self.engine_runs(state)
        stopped = self.call(state, "stop")
        assert stopped.returncode == 0
        assert stopped.stderr.startswith("==> Stopping the Docker engine (pid ")
        assert not self.engine_runs(state)

    @pytest.mark.parametrize("code", [0, 7])
    def test_it_ends_with_the_command_that_it_was_started_for(self, state: Path, code: int) -> None:
        done = self.call(state, "run", "sh", "-c", f"docker version; exit {code}")
        assert (done.returncode, done.stdout) == (code, "27.5.1\n"), done.stderr
        assert not self.engine_runs(state)


class TestVenv:
    """On a PATH that holds nothing but fakes and a few harmless programs."""

    @pytest.fixture
    def path(self, fakes: Path) -> str:
        for name in ("awk", "dirname", "touch", "mkdir", "cp"):
            program = shutil.which(name)
            assert program
            (fakes / name).symlink_to(program)
        return str(fakes)

    @pytest.mark.parametrize("arguments", [(), ("",), ("a", "b")])
    def test_it_takes_one_folder(self, arguments: tuple[str, ...], path: str) -> None:
        done = call("venv.sh", *arguments, path=path)
        assert done.returncode == 2
        assert done.stderr == f"Usage: {ROOT}/local/machine/venv.sh FOLDER\n"

    def test_without_a_python_it_says_which_one_to_install(self, path: str, tmp_path: Path, script: Script) -> None:
        script("python3", "exit 1")  # an older one
        done = call("venv.sh", str(tmp_path / "venv"), path=path)
        assert done.returncode == 1
        assert done.stderr.startswith("error: no Python 3.10 or newer on PATH. Install one,")

    def test_without_the_venv_module_and_without_root_it_says_what_to_install(
        self, path: str, tmp_path: Path, script: Script
    ) -> None:
        script("python3", 'case "$2" in *ensurepip*) exit 1 ;; esac')
        script("id", "echo 1000")
        done = call("venv.sh", str(tmp_path / "venv"), path=path)
        assert done.returncode == 1
        assert done.stderr == (
            "error: python3 has no venv module. Install it, for example: apt-get install python3-venv\n"
        )
        assert not (tmp_path / "venv").exists()

    @pytest.mark.parametrize(("failing", "ready"), [("none", True), ("python", False), ("uv", False)])
    def test_an_environment_is_ready_once_its_packages_are_installed(
        self, path: str, tmp_path: Path, script: Script, failing: str, ready: bool
    ) -> None:
        venv = tmp_path / "venv"
        script("installer", f'echo "$PWD ${{0##*/}} $*" >> {tmp_path}/installed; test "${{0##*/}}" != {failing}')
        copies = "; ".join(f"cp {tmp_path}/fakes/installer {venv}/bin/{name}" for name in ("python", "uv"))
        script("python3.12", f'test "$2" != venv || {{ mkdir -p {venv}/bin; {copies}; }}')
        done = call("venv.sh", str(venv), path=path)
        assert (done.returncode == 0, (venv / "ready").exists()) == (ready, ready), done.stderr
        installed = (tmp_path / "installed").read_text().splitlines()
        assert installed[0].startswith(f"{ROOT} python -m pip install ") and "--require-hashes" in installed[0]
        assert (venv / "uv.txt").read_text().startswith("uv==") and "--hash=" in (venv / "uv.txt").read_text()
        if failing != "python":
            assert installed[1].startswith(f"{ROOT} uv pip install ")
            assert installed[1].endswith("requirements/dev.txt")
