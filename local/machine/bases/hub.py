"""Asking Docker Hub for an image, with a short limit on waiting for it to answer."""

from __future__ import annotations

import enum
import os
import queue
import subprocess
import threading
import time
from typing import IO

from local.errors import EngineError
from local.machine.console import say

ANSWER_TIMEOUT = 10.0
_MEMO = "AIRFLOW_ECS_DOCKER_HUB"
_ASKING = threading.Lock()  # so that one answer of an unreachable one serves all threads
_ABSENT_HINTS = ("manifest unknown", "not found", "no matching manifest", "does not exist")


class Answer(enum.Enum):
    """What came of asking for an image."""

    PULLED = "pulled"
    ABSENT = "absent"
    UNREACHABLE = "unreachable"


def _read(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    """Hand on the lines of a stream, then None."""
    for line in stream:
        lines.put(line.rstrip())
    lines.put(None)


def pull(image: str) -> Answer:
    """Pull an image. An unreachable Docker Hub is remembered for this run and its child processes."""
    with _ASKING:
        return Answer.UNREACHABLE if os.environ.get(_MEMO) == Answer.UNREACHABLE.value else _pull(image)


def _pull(image: str) -> Answer:
    """Ask for an image, and show how its download goes on."""
    try:
        process = subprocess.Popen(
            ["docker", "pull", image], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
    except FileNotFoundError as error:
        raise EngineError("The docker command is not installed. Install it, or run: make engine") from error
    assert process.stdout is not None
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
    reader.start()
    output: list[str] = []
    resolved = False
    deadline = time.monotonic() + ANSWER_TIMEOUT
    try:
        while True:
            try:
                # Once the image's name is resolved ("...: Pulling from ..."), the download takes what it takes.
                line = lines.get(timeout=None if resolved else max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                output.append(f"no answer within {ANSWER_TIMEOUT:.0f} s")
                process.terminate()
                break
            if line is None:
                break
            output.append(line)
            if not resolved and "Pulling from" in line:
                resolved = True
                say(f"==> Pulling {image} from its registry")
            elif line.endswith("Pull complete"):
                say(f"    layer {line.partition(':')[0]} is here")
    except BaseException:
        process.terminate()
        raise
    finally:
        process.wait()
        reader.join()
        process.stdout.close()
    if process.returncode == 0:
        return Answer.PULLED
    reason = output[-1] if output else "no reason given"
    if any(hint in reason.lower() for hint in _ABSENT_HINTS) and "no such host" not in reason.lower():
        return Answer.ABSENT
    say(f"Docker Hub cannot be used here: {reason}")
    os.environ[_MEMO] = Answer.UNREACHABLE.value
    return Answer.UNREACHABLE
