"""One at a time: threads, processes, and one that is killed."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading

import pytest

from local.machine.exclusive import exclusively
from tests.paths import ROOT

HOLDER = """
import sys, time
from local.machine.exclusive import exclusively
with exclusively(sys.argv[1]):
    print("inside", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def what() -> str:
    return secrets.token_hex(8)


def test_threads_are_inside_one_after_the_other(what: str) -> None:
    inside: list[str] = []

    def work(name: str) -> None:
        with exclusively(what):
            inside.append(f"{name} in")
            threading.Event().wait(0.01)
            inside.append(f"{name} out")

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for entered, left in zip(inside[::2], inside[1::2], strict=True):
        assert entered.split() == [left.split()[0], "in"]


def test_a_process_that_is_killed_leaves_the_way_free(what: str) -> None:
    entered = threading.Event()

    def enter() -> None:
        with exclusively(what):
            entered.set()

    command = [sys.executable, "-c", HOLDER, what]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "inside\n"
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.2)
        with exclusively(f"{what}, something else"):
            holder.kill()
    thread.join(20)
    assert entered.is_set()
