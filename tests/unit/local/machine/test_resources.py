"""Which containers belong to a run that is gone; those of living runs and of other hosts stay."""

from __future__ import annotations

import socket
import subprocess

import pytest

from local.machine.resources import is_abandoned, owner


def test_a_process_that_is_gone_has_abandoned_its_containers() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert is_abandoned(f"{socket.gethostname()}:{process.pid}:12345")
    host, pid, started = owner().split(":")
    assert is_abandoned(f"{host}:{pid}:{int(started or 0) + 1}"), "another process has its pid now"


@pytest.mark.parametrize(
    "label",
    [owner(), f"not-{socket.gethostname()}:1:1", "", "nonsense", f"{socket.gethostname()}:x:1"],
    ids=["its own", "another host's", "none", "unreadable", "unreadable pid"],
)
def test_no_other_containers_are_abandoned(label: str) -> None:
    assert not is_abandoned(label)
