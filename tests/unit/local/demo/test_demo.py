"""The demo's program: what it is asked, which port it takes, and what it says. Nothing is started."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from local.airflow.rest_api import TaskInstance
from local.demo.__main__ import closing_words, follow_run, free_port, is_absent, main, options_of
from local.errors import EngineError, LocalError, TaskFailedError

VARIABLES = ("AIRFLOW", "PYTHON", "PORT")


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def instance(task_id: str, state: str) -> TaskInstance:
    return TaskInstance(task_id, -1, state, 1)


class TestArguments:
    def test_the_environment_says_what_make_was_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in zip(VARIABLES, ("3.2", "3.12", "8090"), strict=True):
            monkeypatch.setenv(name, value)
        options = options_of(["up"])
        assert (options.airflow, options.python, options.port) == ("3.2", "3.12", 8090)

    def test_make_s_empty_variables_say_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in VARIABLES:
            monkeypatch.setenv(name, "")
        options = options_of(["up"])
        assert (options.airflow, options.python, options.port) == ("2", None, None)

    @pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "80.5"])
    def test_a_port_that_is_none_is_refused(
        self, port: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PORT", port)
        with pytest.raises(SystemExit) as refused:
            options_of(["up"])
        assert refused.value.code == 2
        assert f"argument --port: '{port}' is not a valid port: use a number from 1 to 65535" in capsys.readouterr().err

    def test_an_airflow_that_is_not_in_the_matrix_is_refused_before_anything_is_done(self, no_engine: None) -> None:
        with pytest.raises(LocalError, match=r"Airflow 9 is not in the matrix\. Known: \d+\.\d+\.\d+"):
            main(["up", "--airflow", "9"])

    def test_without_an_engine_it_says_how_to_get_one(self, no_engine: None) -> None:
        with pytest.raises(EngineError, match="No Docker engine answers"):
            main(["up", "--python", "3.12"])

    def test_without_an_engine_there_is_nothing_to_remove(
        self, no_engine: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["down"]) == 0
        assert capsys.readouterr().err.startswith("No Docker engine is running")

    @pytest.mark.parametrize(
        ("reason", "absent"),
        [
            ("FileNotFoundError(2, 'No such file or directory')", True),
            ("PermissionError(13, 'Permission denied')", False),
            ("Read timed out. (read timeout=120)", False),
        ],
    )
    def test_an_engine_that_hangs_or_refuses_this_user_may_have_a_demo(self, reason: str, absent: bool) -> None:
        assert is_absent(EngineError(f"No Docker engine answers ({reason})")) == absent


class TestPort:
    @pytest.fixture
    def taken(self) -> Iterator[int]:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            yield listener.getsockname()[1]

    def test_one_that_is_asked_for_and_taken_is_an_error(self, taken: int) -> None:
        with pytest.raises(LocalError, match=rf"^Port {taken} cannot be used \(.+\): choose another, such as PORT="):
            free_port(taken)

    def test_where_the_usual_one_is_taken_any_will_do(self, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("local.demo.__main__._PORT", taken)
        assert free_port(None) is None


class TestRun:
    def test_each_change_is_said_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        api: Any = Api(["queued", "running", "running", "success"])
        follow_run(api, "dag", "run")
        assert capsys.readouterr().err.splitlines() == [
            "==> dag, run run: each task in a container of its own",
            "    1 queued",
            "    1 running",
            "    1 success",
            "    the run is a success",
        ]

    def test_a_run_that_is_no_success_is_an_error(self) -> None:
        api: Any = Api(["failed"])
        with pytest.raises(TaskFailedError, match="The run ended as failed; its tasks: 1 failed"):
            follow_run(api, "dag", "run")


class Api:
    """A run that goes from state to state whenever it is looked at."""

    def __init__(self, states: list[str], log: str = "") -> None:
        self._states = states
        self._log = log

    def wait_for_run(self, *_: object, on_look: Callable[[Sequence[TaskInstance]], None]) -> str:
        for state in self._states:
            on_look([instance("task", state)])
        return self._states[-1]


def test_the_closing_words_say_where_to_look_and_how_to_end_it() -> None:
    words = closing_words(
        airflow="3.3.2",
        image="airflow-ecs-worker:3.3.2-python3.12-s3",
        address="http://127.0.0.1:8080",
        user="admin",
        password="only-here",
        ecs="http://127.0.0.1:1",
        aws="http://127.0.0.1:2",
    )
    for part in (
        "Airflow 3.3.2 runs",
        "  http://127.0.0.1:8080\n  user admin, password only-here\n",
        "export AWS_ENDPOINT_URL=http://127.0.0.1:2 AWS_ENDPOINT_URL_ECS=http://127.0.0.1:1\n",
        "aws logs filter-log-events --log-group-name /airflow/worker ",
        "docker ps --filter label=io.airflow-ecs.local=demo\n",
    ):
        assert part in words
    assert words.splitlines()[-1].startswith("make demo-down removes all of it. ")
