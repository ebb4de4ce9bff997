"""What goes wrong in a build ends in one message, its exit code, and no tag moved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tests.images.product import PROJECT, ROOT, build_flags, build_py

PAIR = ("--airflow", "2.10.5", "--python", "3.11")


def candidates(client: docker.DockerClient) -> list[str]:
    """Names of unfinished builds on the engine."""
    return [tag for image in client.images.list() for tag in image.tags if tag.startswith("airflow-ecs-candidate")]


def test_a_base_that_cannot_be_had(scratch_tag: str) -> None:
    done = build_py("--base", "localhost:9/no/such-image:1", "--dags", "none", "--tag", scratch_tag)
    assert done.returncode == 12, done.stderr
    assert "localhost:9/no/such-image:1" in done.stderr.split("build.py: error:")[1]
    assert "docker pull" in done.stderr and "Traceback" not in done.stderr


def test_a_base_with_another_airflow_is_told_apart(worker: str, scratch_tag: str) -> None:
    base = "apache/airflow:2.10.5-python3.11"
    done = build_py("--base", base, "--airflow", "2.11.2", "--python", "3.12", "--tag", scratch_tag, *build_flags())
    assert done.returncode == 13, done.stderr
    assert "has Airflow 2.10.5, not 2.11.2: give --airflow 2.10.5" in done.stderr
    assert "has Python 3.11, not 3.12: give --python 3.11" in done.stderr


def test_an_unknown_debian_package(worker: str, scratch_tag: str) -> None:
    done = build_py(*PAIR, "--apt-packages", "no-such-package-of-debian", "--tag", scratch_tag, *build_flags())
    assert done.returncode == 13, done.stderr
    assert "no-such-package-of-debian" in done.stderr.split("build.py: error:")[1]


def test_a_folder_without_dags(tmp_path: Path) -> None:
    done = build_py("--dags", "local", "--dag-path", tmp_path)
    assert done.returncode == 4, done.stderr
    assert str(tmp_path) in done.stderr


def test_an_image_that_fails_verification_gets_no_tag(
    worker: str, scratch_tag: str, client: docker.DockerClient, dockerfile: Callable[[str], str], tmp_path: Path
) -> None:
    """A base that brings a generated fernet key builds, and is refused before a tag moves."""
    base = dockerfile(
        "FROM apache/airflow:2.10.5-python3.11\nRUN printf '[core]\\nfernet_key = abc\\n' > airflow.cfg\n"
    )
    named = "airflow-ecs-scratch-verify:1"
    done = build_py("--base", base, *PAIR, "--dags", "none", "--tag", named, *build_flags())
    assert done.returncode == 14, done.stderr
    assert "/opt/airflow/airflow.cfg" in done.stderr and "fernet_key" in done.stderr
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(named)
    assert not candidates(client)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C ends what the test starts, also in a job in the background, whose programs inherit that they ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_build_leaves_nothing(
    number: signal.Signals, worker: str, scratch_tag: str, client: docker.DockerClient
) -> None:
    command = [sys.executable, str(ROOT / "build.py"), *PAIR, "--dags", "local", "--dag-path", str(PROJECT)]
    command += ["--no-cache", "--tag", scratch_tag, *build_flags()]
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
    assert not candidates(client)
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(scratch_tag)


def test_attestations_need_a_builder_that_can(worker: str, scratch_tag: str) -> None:
    done = build_py(*PAIR, "--dags", "none", "--sbom", "--tag", scratch_tag, *build_flags())
    assert done.returncode == 2 and "--push" in done.stderr
