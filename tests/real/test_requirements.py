"""Each input of `cases.yaml` is built, or refused with a message whose remedy works."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest

from tests.images.product import build_py
from tests.real.cases import Case, cases
from tests.real.conftest import PAIR, package_flags
from tests.wheels import write_wheel

pytestmark = pytest.mark.full


@pytest.fixture
def tag(client: docker.DockerClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for the image, which is removed at the end."""
    name = f"airflow-ecs-real:{request.node.callspec.params['case'].name}"
    yield name
    try:
        client.images.remove(name)
    except docker.errors.ImageNotFound:
        pass


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_input(case: Case, base: str, folder: Path, tag: str, repository: str) -> None:
    wheels = folder / "wheels"
    wheels.mkdir()
    wheel = write_wheel(wheels, "airflow-ecs-tried", "1.0")
    values = {"git": repository, "hash": hashlib.sha256(wheel.read_bytes()).hexdigest()}

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            (folder / name).write_text(re.sub(r"\{(git|hash)\}", lambda found: values[found[1]], text))

    def build(*flags: str) -> subprocess.CompletedProcess[str]:
        pair = ("--base", base, "--airflow", PAIR[0], "--python", PAIR[1])
        given = [*pair, "--dags", "none", "--no-aws-cli", "--tag", tag, *package_flags(), *flags]
        return build_py(*(str(folder / word) if word in files else _with_file(word, folder) for word in given))

    write(case.files)
    files = {*case.files, *case.files_of_remedy}
    requirements = ("--requirements", "requirements.txt")
    done = build(*requirements, *case.flags)
    assert done.returncode == case.code, done.stderr
    message = done.stderr.partition("build.py: error:")[2] if case.code else done.stderr
    assert "Traceback" not in done.stderr
    for words in case.says:
        assert words in message, message
    if case.remedy:
        remedy = _of_message(case.remedy, message)
        write(case.files_of_remedy)
        flags = [flag for flag in case.flags if flag not in remedy]
        done = build(*(() if case.remedy[0] == "--venv" else requirements), *flags, *remedy)
        assert done.returncode == 0, done.stderr
    if case.installed:
        assert _versions(tag, case.installed) == case.installed


def _of_message(remedy: tuple[str, ...], message: str) -> list[str]:
    """Return the flags that a message names. A ``*`` stands for what the message has there."""
    flag, value = remedy
    if value != "*":
        assert f"{flag} {value}" in message.replace("FILE", value) or f"{flag} {value}" in message, message
        return [flag, value]
    found = re.search(rf"{flag}((?: [a-z0-9][a-z0-9+.-]*[a-z0-9])+)", message)
    assert found, message
    return [flag, *found[1].split()]


def _with_file(word: str, folder: Path) -> str:
    """Return a flag's value such as ``NAME=FILE`` with the path of the file."""
    name, equals, file = word.partition("=")
    return f"{name}={folder / file}" if equals and (folder / file).is_file() else word


def _versions(image: str, names: dict[str, str]) -> dict[str, str]:
    """Return the versions of packages in an image."""
    code = "import sys, importlib.metadata as m; print('\\n'.join(m.version(name) for name in sys.argv[1:]))"
    command = ["docker", "run", "--rm", "--network=none", "--entrypoint=python", image, "-c", code, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(zip(names, done.stdout.split(), strict=True))
