"""Processes by session: what a daemon and all its children are, those included that leave its process group.

Run as a program, it reads session ids, a line each, and kills these sessions when its input ends: when the tests do,
however they do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil


def kill_session(session: int) -> None:
    """Kill every process of a session."""
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session:
                os.kill(pid, signal.SIGKILL)
        except OSError:
            pass  # it has ended meanwhile


def start_guard() -> subprocess.Popen[bytes]:
    """Start this module as a program; it lives as long as its input, which nobody inherits."""
    return subprocess.Popen([sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, start_new_session=True)


def main() -> None:
    """Wait for the end of the input."""
    for session in [int(line) for line in sys.stdin]:
        kill_session(session)


if __name__ == "__main__":
    main()
