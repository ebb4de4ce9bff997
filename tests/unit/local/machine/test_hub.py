"""What each answer of `docker pull` means: a pulled image, a missing one, or an unreachable Docker Hub."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from local.machine.bases import hub
from local.machine.bases.hub import Answer, pull

IMAGE = "apache/airflow:2.10.5-python3.8"
Docker = Callable[[str], None]


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
    assert "AIRFLOW_ECS_DOCKER_HUB" not in os.environ


@pytest.mark.parametrize(
    "reason",
    [
        "Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1.docker.io: no such host (not found)",
        "toomanyrequests: You have reached your pull rate limit.",
    ],
)
def test_any_other_refusal_means_unreachable_and_is_asked_for_once(
    docker: Docker, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docker(f'echo asked >> {tmp_path}/asked; echo "Error response from daemon: {reason}" >&2; exit 1')
    assert [pull(IMAGE), pull("debian:bookworm-slim")] == [Answer.UNREACHABLE] * 2
    assert (tmp_path / "asked").read_text() == "asked\n"
    told = capsys.readouterr().err
    assert told.startswith(f"Docker Hub cannot be used here: Error response from daemon: {reason}\n")


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("exec sleep 60", Answer.UNREACHABLE),
        ("echo x: Pulling from apache/airflow; sleep 0.6; echo 1f2e: Pull complete", Answer.PULLED),
    ],
)
def test_silence_is_cut_short_and_a_download_is_not(
    docker: Docker, monkeypatch: pytest.MonkeyPatch, body: str, answer: Answer
) -> None:
    monkeypatch.setattr(hub, "ANSWER_TIMEOUT", 0.5)
    docker(body)
    assert pull(IMAGE) is answer
