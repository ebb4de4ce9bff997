"""Messages and exit codes of `make image` and `make demo`, and the end of the commands that they run."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from docker.errors import DockerException

from local import errors
from local.errors import BuildError, LocalError, ServiceError, TerminatedError
from local.machine.console import guarded, run, run_visibly
from local.machine.resources import terminating_like_an_exception

KINDS = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, LocalError)]


def raising(error: BaseException) -> Callable[[], int]:
    def main() -> int:
        raise error

    return main


def killed_by(number: int) -> Callable[[], int]:
    def main() -> int:
        os.kill(os.getpid(), number)
        threading.Event().wait(10)
        return 0

    return main


class TestExitCodes:
    def test_each_kind_of_failure_has_its_own(self) -> None:
        codes = {kind.exit_code for kind in KINDS}
        assert len(codes) == len(KINDS)
        assert all(40 <= code < 64 for code in codes)

    @pytest.mark.parametrize(
        ("error", "code", "message"),
        [
            (BuildError("It broke. Mend it."), BuildError.exit_code, "ERROR: It broke. Mend it.\n"),
            (DockerException("no"), 41, "ERROR: The Docker engine refused a request: no\n"),
            (requests.exceptions.ReadTimeout("no"), 41, "ERROR: The Docker engine stopped answering: no\n"),
        ],
    )
    def test_a_failure_is_one_message(
        self, error: Exception, code: int, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert guarded(raising(error)) == code
        assert capsys.readouterr() == ("", message)

    @pytest.mark.parametrize(
        ("number", "code", "message"),
        [
            (signal.SIGINT, 130, "Interrupted\n"),
            (signal.SIGTERM, 143, "Interrupted: ended by signal 15\n"),
        ],
    )
    def test_a_signal_is_one_line_and_the_shells_exit_code(
        self, number: int, code: int, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
        try:
            assert guarded(killed_by(number)) == code
        finally:
            signal.signal(signal.SIGINT, before)
        assert capsys.readouterr().err == message


def test_a_second_signal_does_not_interrupt_the_removal() -> None:
    cleaned = []
    with pytest.raises(TerminatedError, match="signal 15"), terminating_like_an_exception():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(True)
    assert cleaned


def test_a_failed_command_tells_its_exit_code_and_the_end_of_its_output() -> None:
    with pytest.raises(ServiceError) as caught:
        run(["sh", "-c", "seq 1 100; exit 7"], error=ServiceError, failure="Counting failed")
    numbers = "\n".join(str(number) for number in range(76, 101))
    assert str(caught.value) == f"Counting failed (exit code 7):\n{numbers}"


@pytest.mark.parametrize("runner", [run, run_visibly])
def test_an_interrupted_command_has_ended_before_the_interruption_passes_on(
    runner: Callable[..., object], tmp_path: Path
) -> None:
    program = (
        "import os, pathlib, signal, time\n"
        f"pathlib.Path({str(tmp_path)!r}, 'pid').write_text(str(os.getpid()))\n"
        "time.sleep(0.3)\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "time.sleep(60)\n"
    )
    with pytest.raises(TerminatedError), terminating_like_an_exception():
        runner([sys.executable, "-I", "-S", "-c", program], error=BuildError, failure="x")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
