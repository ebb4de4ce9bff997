"""What goes wrong in a build ends in one message, its exit code, and no tag moved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import docker
import pytest

from tests.images.conftest import SMALL, SMALL_BASE
from tests.images.product import build_flags, build_py
from tests.paths import ROOT
from tests.releases import OLDEST


@dataclass
class Mark:
    """Tells the images of one test from those that others build meanwhile."""

    client: docker.DockerClient
    name: str = field(default_factory=lambda: f"com.example.test={uuid.uuid4().hex}")

    def images(self) -> list[str]:
        """The images that bear the mark."""
        return [str(image) for image in self.client.images.list(filters={"label": self.name})]


@pytest.fixture
def mark(client: docker.DockerClient) -> Mark:
    return Mark(client)


def test_a_base_that_cannot_be_had(scratch_tag: str) -> None:
    done = build_py("--base", "localhost:9/no/such-image:1", "--dags", "none", "--tag", scratch_tag)
    assert done.returncode == 12, done.stderr
    assert "localhost:9/no/such-image:1" in done.stderr.split("build.py: error:")[1]
    assert "Check the engine's way to localhost:9" in done.stderr and "Traceback" not in done.stderr


def test_a_base_with_another_airflow_is_told_apart(small_base: str, scratch_tag: str) -> None:
    pair = ("--airflow", OLDEST.version, "--python", OLDEST.pythons[0])
    done = build_py("--base", small_base, *pair, "--tag", scratch_tag, *build_flags())
    assert done.returncode == 13, done.stderr
    _, airflow, _, python = SMALL[2:6]
    assert f"has Airflow {airflow}, not {OLDEST.version}: give --airflow {airflow}" in done.stderr
    assert f"has Python {python}, not {OLDEST.pythons[0]}: give --python {python}" in done.stderr


@pytest.mark.usefixtures("small_base")
def test_an_unknown_debian_package(scratch_tag: str) -> None:
    done = build_py(*SMALL, "--apt-packages", "no-such-package-of-debian", "--tag", scratch_tag)
    assert done.returncode == 13, done.stderr
    assert "no-such-package-of-debian" in done.stderr.split("build.py: error:")[1]


@pytest.mark.usefixtures("small_base")
def test_an_image_that_fails_verification_gets_no_tag(
    scratch_tag: str, client: docker.DockerClient, dockerfile: Callable[[str], str], mark: Mark
) -> None:
    """A base that brings a generated fernet key builds, and is refused before a tag moves."""
    base = dockerfile(f"FROM {SMALL_BASE}\nRUN printf '[core]\\nfernet_key = abc\\n' > airflow.cfg\n")
    named = f"{scratch_tag}-verified"
    flags = (*SMALL, "--base", base, "--dags", "none", "--label", mark.name, "--tag", named)
    done = build_py(*flags)
    assert done.returncode == 14, done.stderr
    assert "/opt/airflow/airflow.cfg" in done.stderr and "fernet_key" in done.stderr
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(named)
    assert not mark.images()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C ends what the test starts, also in a job in the background, whose programs inherit that they ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible", "small_base")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_build_leaves_nothing(
    number: signal.Signals, scratch_tag: str, client: docker.DockerClient, mark: Mark
) -> None:
    command = [sys.executable, str(ROOT / "build.py"), *SMALL, "--dags", "none", "--no-cache"]
    command += ["--label", mark.name, "--tag", scratch_tag]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "compile_bytecode" in line:
                break
        time.sleep(0.5)
        if number is signal.SIGINT:
            os.killpg(process.pid, number)  # a terminal sends it to all its programs
        else:
            process.send_signal(number)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "interrupted" in rest and "Traceback" not in rest
    assert not mark.images()
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(scratch_tag)
