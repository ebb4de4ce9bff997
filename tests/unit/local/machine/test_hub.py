"""Asking Docker Hub: what each answer of `docker pull` means, and how long one is waited for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local.errors import EngineError
from local.machine.bases import hub
from local.machine.bases.hub import Answer, pull

IMAGE = "apache/airflow:2.10.5-python3.8"
MEMO = "AIRFLOW_ECS_DOCKER_HUB"
Docker = Callable[[str], None]


def test_a_pulled_image_is_told_layer_by_layer(docker: Docker, capsys: pytest.CaptureFixture[str]) -> None:
    docker(
        f'test "$*" = "pull {IMAGE}" || exit 9\n'
        "echo 2.10.5-python3.8: Pulling from apache/airflow; echo 1f2e: Pull complete; echo Status: fine"
    )
    assert pull(IMAGE) is Answer.PULLED
    assert capsys.readouterr().err == f"==> Pulling {IMAGE} from its registry\n    layer 1f2e is here\n"


@pytest.mark.parametrize(
    "reason",
    [
        "manifest for apache/airflow:9 not found: manifest unknown: manifest unknown",
        "pull access denied for apache/x, repository does not exist or may require 'docker login'",
        "no matching manifest for linux/riscv64 in the manifest list entries",
    ],
)
def test_an_image_that_is_not_there_says_nothing_against_docker_hub(docker: Docker, reason: str) -> None:
    docker(f'echo "Error response from daemon: {reason}" >&2; exit 1')
    assert pull(IMAGE) is Answer.ABSENT
    assert MEMO not in os.environ


@pytest.mark.parametrize(
    "reason",
    [
        "Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1.docker.io: no such host",
        "Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1.docker.io: no such host (not found)",
        "Get https://registry-1.docker.io/v2/: proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused",
        "toomanyrequests: You have reached your pull rate limit.",
    ],
)
def test_any_other_refusal_means_unreachable_and_its_reason_is_told(
    docker: Docker, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    docker(f'echo "Error response from daemon: {reason}" >&2; exit 1')
    assert pull(IMAGE) is Answer.UNREACHABLE
    assert capsys.readouterr().err == f"Docker Hub cannot be used here: Error response from daemon: {reason}\n"


def test_an_unreachable_docker_hub_is_asked_once(docker: Docker, tmp_path: Path) -> None:
    docker(f"echo asked >> {tmp_path}/asked; echo 'connection refused'; exit 1")
    assert [pull(IMAGE), pull("debian:bookworm-slim")] == [Answer.UNREACHABLE] * 2
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_silence_is_cut_short_and_the_command_is_ended(
    docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub, "ANSWER_TIMEOUT", 0.5)
    docker(f"echo $$ > {tmp_path}/pid; exec sleep 60")
    start = time.monotonic()
    assert pull(IMAGE) is Answer.UNREACHABLE
    assert time.monotonic() - start < 30
    assert "no answer within" in capsys.readouterr().err
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_download_that_has_begun_takes_the_time_it_takes(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "ANSWER_TIMEOUT", 0.5)
    docker("echo x: Pulling from apache/airflow; sleep 0.6; echo 1f2e: Pull complete")
    assert pull(IMAGE) is Answer.PULLED


def test_without_the_docker_command_it_says_so(docker: Docker, fakes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fakes))
    with pytest.raises(EngineError, match="docker command"):
        pull(IMAGE)
