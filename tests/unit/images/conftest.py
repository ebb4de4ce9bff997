from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from images import cli
from images.matrix import Matrix, load_matrix
from tests.aws_environment import AWS_ENVIRONMENT

MATRIX = Path(__file__).parent / "data" / "matrix.yaml"
"""A frozen matrix: what is asked of the real one is in test_matrix.py."""


@dataclass(frozen=True)
class Answer:
    """What the command line answered."""

    code: int
    output: str
    errors: str


Run = Callable[..., Answer]


@pytest.fixture(scope="session")
def matrix() -> Matrix:
    return load_matrix(MATRIX)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process: all but the start of `build.py`."""

    def answer(*arguments: object, matrix: Path = MATRIX) -> Answer:
        code = cli.run([str(argument) for argument in arguments], matrix)
        captured = capfd.readouterr()
        return Answer(code, captured.out, captured.err)

    return answer


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Credentials, but no AWS and no engine that answer, and no login of docker's; the folder of its configuration."""
    home = tmp_path / "docker"
    home.mkdir()
    nowhere = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
        "DOCKER_HOST": "tcp://127.0.0.1:9",
        "DOCKER_CONFIG": str(home),
    }
    for name, value in {**AWS_ENVIRONMENT, **nowhere}.items():
        monkeypatch.setenv(name, value)
    return home


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    """A folder with one DAG."""
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "daily.py").write_text("from airflow import DAG\n", encoding="utf-8")
    return folder
