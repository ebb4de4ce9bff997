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

    def test_an_engine_that_is_too_old_is_named_with_what_is_needed(self, script: Script, path: str) -> None:
        script("docker", READY.replace("27.5.1", "20.10.24"))
        done = call("engine.sh", "run", "echo", "not run", path=path)
        assert (done.returncode, done.stdout) == (41, "")
        assert "The running Docker engine is version 20.10.24; 25 or newer is required." in done.stderr

    @pytest.mark.parametrize(
        ("docker", "system", "host", "told"),
        [
            (
                NO_ANSWER,
                "Linux",
                "tcp://builder:2376",
                "DOCKER_HOST is tcp://builder:2376, but no Docker engine answers",
            ),
            ("echo 'permission denied' >&2; exit 1", "Linux", "", "to the group docker (sudo usermod -aG docker "),
            (NO_ANSWER, "Darwin", "", "brew install docker docker-buildx colima && colima start"),
        ],
        ids=["another machine's", "another user's", "a Mac's"],
    )
    def test_an_engine_that_it_cannot_start_is_told_with_what_to_do(
        self, docker: str, system: str, host: str, told: str, script: Script, path: str
    ) -> None:
        script("docker", docker)
        script("uname", f"echo {system}")
        done = call("engine.sh", "ensure", path=path, DOCKER_HOST=host)
        assert done.returncode == 41
        assert told in done.stderr

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


def test_without_a_python_it_says_which_one_to_install(fakes: Path, script: Script, tmp_path: Path) -> None:
    (fakes / "dirname").symlink_to(shutil.which("dirname") or "/usr/bin/dirname")
    script("python3", "exit 1")  # an older one
    done = call("venv.sh", str(tmp_path / "venv"), path=str(fakes))
    assert done.returncode == 1
    assert done.stderr.startswith("error: no Python 3.10 or newer on PATH. Install one,")
