"""What `make demo` and `make image` refuse before they start anything, and what the demo says at its end."""

from __future__ import annotations

import socket

import pytest

from local.demo.__main__ import closing_words, free_port, is_absent, main, options_of
from local.demo.image import Target, choose
from local.errors import EngineError, LocalError
from tests.releases import OLDEST

VARIABLES = ("AIRFLOW", "PYTHON", "PORT")


@pytest.mark.parametrize(
    ("values", "options"),
    [(("3.2", "3.12", "8090"), ("3.2", "3.12", 8090)), (("", "", ""), ("2", None, None))],
    ids=["given", "empty, as make sets them"],
)
def test_the_options_of_make_are_variables(
    values: tuple[str, ...], options: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zip(VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)
    found = options_of(["up"])
    assert (found.airflow, found.python, found.port) == options


@pytest.mark.parametrize("port", ["abc", "0", "65536"])
def test_an_invalid_port_is_refused(
    port: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", port)
    with pytest.raises(SystemExit) as refused:
        options_of(["up"])
    assert refused.value.code == 2
    assert f"argument --port: '{port}' is not a valid port: use a number from 1 to 65535" in capsys.readouterr().err


def test_a_port_that_is_taken_is_refused_unless_it_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        with pytest.raises(LocalError, match=rf"^Port {taken} cannot be used \(.+\): choose another, such as PORT="):
            free_port(taken)
        monkeypatch.setattr("local.demo.__main__._PORT", taken)
        assert free_port(None) is None


def test_an_airflow_that_is_not_in_the_matrix_is_refused_in_the_build_tool_s_words(no_engine: None) -> None:
    with pytest.raises(LocalError, match=r"Airflow 9 is not in the matrix\. Known: \d+\.\d+\.\d+"):
        main(["up", "--airflow", "9"])


def test_a_python_asked_for_is_taken_without_asking_whether_it_is_here(no_engine: None) -> None:
    airflow, python = OLDEST.version, OLDEST.pythons[0]
    assert choose(airflow, python) == Target(airflow, python, f"airflow-ecs-worker:{airflow}-python{python}-s3")


def test_without_an_engine_nothing_is_started_or_removed(no_engine: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EngineError, match=r"^No Docker engine answers \(.*\)\. Start Docker, or run: make engine"):
        main(["up", "--python", "3.12"])
    assert main(["down"]) == 0
    assert capsys.readouterr().err.endswith(
        "No Docker engine is running. The next make demo removes what a stopped engine still holds\n"
    )
    assert not is_absent(EngineError("No Docker engine answers (PermissionError(13, 'Permission denied'))"))


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
        "  http://127.0.0.1:8080\n  user admin, password only-here\n",
        "export AWS_ENDPOINT_URL=http://127.0.0.1:2 AWS_ENDPOINT_URL_ECS=http://127.0.0.1:1\n",
        "docker ps --filter label=io.airflow-ecs.local=demo\n",
        "\nmake demo-down removes all of it. ",
    ):
        assert part in words
