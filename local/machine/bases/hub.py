"""Pulls of base images from Docker Hub, with a short timeout for its first answer."""

from __future__ import annotations

import enum
import os
import subprocess
import threading

from local.errors import EngineError
from local.machine.console import say

ANSWER_TIMEOUT = 10.0
_MEMO = "AIRFLOW_ECS_DOCKER_HUB"
_ASKING = threading.Lock()  # so that one answer of an unreachable one serves all threads
_ABSENT_HINTS = ("manifest unknown", "not found", "no matching manifest", "does not exist")


class Answer(enum.Enum):
    """The result of a pull."""

    PULLED = "pulled"
    ABSENT = "absent"
    UNREACHABLE = "unreachable"


def pull(image: str) -> Answer:
    """Pull an image. An unreachable Docker Hub is remembered for this run and its child processes."""
    with _ASKING:
        return Answer.UNREACHABLE if os.environ.get(_MEMO) == Answer.UNREACHABLE.value else _pull(image)


def _pull(image: str) -> Answer:
    """Pull an image and show the progress."""
    try:
        process = subprocess.Popen(
            ["docker", "pull", image], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
    except FileNotFoundError as error:
        raise EngineError("The docker command is not installed. Install it, or run: make engine") from error
    assert process.stdout is not None
    output: list[str] = []
    silent = threading.Event()

    def give_up() -> None:
        silent.set()
        process.terminate()

    patience = threading.Timer(ANSWER_TIMEOUT, give_up)
    patience.start()
    try:
        for line in process.stdout:
            output.append(line.rstrip())
            if "Pulling from" in line:
                patience.cancel()  # the image's name is resolved: the download takes what it takes
                say(f"==> Pulling {image} from its registry")
            elif output[-1].endswith("Pull complete"):
                say(f"    layer {line.partition(':')[0]} is here")
    except BaseException:
        process.terminate()
        raise
    finally:
        patience.cancel()
        process.wait()
        process.stdout.close()
    if silent.is_set():
        output.append(f"no answer within {ANSWER_TIMEOUT:.0f} s")
    if process.returncode == 0:
        return Answer.PULLED
    reason = output[-1] if output else "no reason given"
    if any(hint in reason.lower() for hint in _ABSENT_HINTS) and "no such host" not in reason.lower():
        return Answer.ABSENT
    say(f"Docker Hub cannot be used here: {reason}")
    os.environ[_MEMO] = Answer.UNREACHABLE.value
    return Answer.UNREACHABLE
