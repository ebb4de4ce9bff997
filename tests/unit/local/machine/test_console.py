"""Messages, exit codes and commands: what a person sees, and that it is never a traceback."""

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
from local.errors import BaseImageError, BuildError, LocalError, ServiceError, TerminatedError
from local.machine import console
from local.machine.console import guarded, run, run_visibly
from local.machine.resources import terminating_like_an_exception

KINDS = [
    value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, LocalError)
]  # fmt: skip


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
    def test_each_kind_of_failure_has_its_own_and_none_is_a_shells(self) -> None:
        codes = {kind: kind.exit_code for kind in KINDS}
        assert len(set(codes.values())) == len(KINDS) == 8
        assert all(40 <= code < 64 for code in codes.values())

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_failure_is_one_message_and_its_exit_code(
        self, kind: type[LocalError], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert guarded(raising(kind("It broke. Mend it."))) == kind.exit_code
        assert capsys.readouterr() == ("", "ERROR: It broke. Mend it.\n")

    @pytest.mark.parametrize("error", [DockerException("no"), requests.exceptions.ReadTimeout("no")])
    def test_an_engine_that_refuses_or_goes_silent_is_the_engines_exit_code(
        self, error: Exception, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert guarded(raising(error)) == 41
        assert capsys.readouterr().err.startswith("ERROR: The Docker engine ")

    @pytest.mark.parametrize(
        ("number", "code", "message"),
        [
            (signal.SIGINT, 130, "Interrupted\n"),
            (signal.SIGTERM, 143, "Interrupted: ended by signal 15\n"),
            (signal.SIGHUP, 129, "Interrupted: ended by signal 1\n"),
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


class TestSignals:
    def test_cleaning_up_is_not_interrupted_by_a_second_one(self) -> None:
        cleaned = []
        with pytest.raises(TerminatedError, match="signal 15"), terminating_like_an_exception():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), signal.SIGHUP)
                cleaned.append(True)
        assert cleaned

    def test_a_thread_may_use_the_same_code(self) -> None:
        done = []

        def work() -> None:
            with terminating_like_an_exception():
                done.append(True)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert done


class TestQuietCommands:
    def test_a_failure_tells_the_exit_code_and_the_end_of_the_output(self) -> None:
        with pytest.raises(ServiceError) as caught:
            run(["sh", "-c", "seq 1 100; exit 7"], error=ServiceError, failure="Counting failed")
        numbers = "\n".join(str(number) for number in range(76, 101))
        assert str(caught.value) == f"Counting failed (exit code 7):\n{numbers}"

    def test_a_command_that_is_not_installed_is_named(self) -> None:
        with pytest.raises(BaseImageError, match="Nothing done: the command 'no-such-program' is not installed"):
            run(["no-such-program", "x"], error=BaseImageError, failure="Nothing done")


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


def test_a_stubborn_command_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_PATIENCE", 0.1)
    stubborn = f"trap '' TERM; echo $$ > {tmp_path}/pid; sleep 0.3; kill -TERM $PPID; exec sleep 60"
    with pytest.raises(TerminatedError), terminating_like_an_exception():
        run(["sh", "-c", stubborn], error=BuildError, failure="x")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_visible_command_speaks_for_itself(capfd: pytest.CaptureFixture[str]) -> None:
    run_visibly(["echo", "fine"], error=BuildError, failure="x")
    with pytest.raises(BuildError, match=r"^No image \(exit code 3\); its own message is above$"):
        run_visibly(["sh", "-c", "echo why >&2; exit 3"], error=BuildError, failure="No image")
    assert capfd.readouterr() == ("fine\n", "why\n")
