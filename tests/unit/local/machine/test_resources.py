"""Whose containers they are: those of living processes stay, those of dead ones are known as abandoned."""

from __future__ import annotations

import socket
import subprocess
from typing import Any

import pytest

from local.machine.resources import images_from, is_abandoned, owner


def test_this_process_has_not_abandoned_what_it_owns() -> None:
    assert not is_abandoned(owner())


def test_a_process_that_is_gone_has() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert is_abandoned(f"{socket.gethostname()}:{process.pid}:12345")


def test_a_pid_that_another_process_has_now_does_not_keep_things_alive() -> None:
    host, pid, started = owner().split(":")
    assert is_abandoned(f"{host}:{pid}:{int(started or 0) + 1}")


def test_the_process_of_another_host_is_not_judged() -> None:
    _, _, process = owner().partition(":")
    assert not is_abandoned(f"not-{socket.gethostname()}:{process}0")


@pytest.mark.parametrize("label", ["", "nonsense", f"{socket.gethostname()}:", f"{socket.gethostname()}:x:1"])
def test_nor_is_a_label_that_cannot_be_read(label: str) -> None:
    assert not is_abandoned(label)


def test_images_of_a_registry_are_known_by_tag_or_else_by_digest() -> None:
    digest = f"127.0.0.1:5000/worker@sha256:{'1' * 64}"
    images: list[dict[str, Any]] = [
        {"RepoTags": ["worker:1", "127.0.0.1:5000/worker:1"], "RepoDigests": [digest]},
        {"RepoTags": ["other:1"], "RepoDigests": [digest.replace("1" * 64, "2" * 64)]},
        {"RepoTags": None, "RepoDigests": [digest.replace("1" * 64, "3" * 64)]},
        {"RepoTags": ["127.0.0.1:50001/worker:1"], "RepoDigests": None},
    ]
    assert images_from("127.0.0.1:5000/", images) == [
        "127.0.0.1:5000/worker:1",
        digest.replace("1" * 64, "2" * 64),
        digest.replace("1" * 64, "3" * 64),
    ]
