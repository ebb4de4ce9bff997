"""What ``python -m airflow_ecs_executor check`` prints, and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from airflow_ecs_executor.checks.images import ImageChecks
from airflow_ecs_executor.cli import check as command
from airflow_ecs_executor.image_check.comparison import Versions

from local.ecs.control import EcsApi
from local.fakes.registry import FakeRegistry
from tests.unit.executor.harness import OPTIONS, Airflow, Configuration
from tests.unit.executor.worker_images import RIGHT, WRONG, put_worker, register

FAMILIES = {"right": RIGHT, "wrong": WRONG, "silent": None}


@pytest.fixture(autouse=True)
def families(ecs: EcsApi, registry: FakeRegistry) -> FakeRegistry:
    """Task definitions by what their images are; the registry that has these."""
    for family, versions in FAMILIES.items():
        register(ecs, family, put_worker(registry, family, versions))
    return registry


def check(
    named: str | None = None, wanted: Versions = RIGHT, *, as_json: bool = False, airflow: Any = None, **options: str
) -> int:
    """Run it with options of [aws_ecs_executor]; ``named`` is a task definition of the command line."""
    given = {name: OPTIONS[name] for name in ("cluster", "container_name", "region_name", "subnets", "conn_id")}
    configuration = Configuration({**given, **options})
    return command.check(configuration, airflow or Airflow(), wanted, named, as_json)


@pytest.mark.parametrize(
    ("code", "options", "words"),
    [
        (0, {"task_definition": "right"}, "task definition right:1, container airflow: fits"),
        (2, {"task_definition": "right", "assign_public_ip": "perhaps"}, "AIRFLOW__AWS_ECS_EXECUTOR__ASSIGN_PUBLIC_IP"),
        (3, {"task_definition": "right", "cluster": "nothing"}, "There is no cluster 'nothing'"),
        (18, {"task_definition": "wrong"}, f"Airflow           {WRONG.airflow}  <- expected {RIGHT.airflow}"),
        (18, {"task_definition": "wrong:matching"}, "No active revision of wrong has an image that is compatible"),
        (19, {"task_definition": "silent"}, "nothing in it says which Airflow"),
    ],
)
def test_the_exit_code_tells_what_was_found(
    capsys: pytest.CaptureFixture[str], code: int, options: dict[str, str], words: str
) -> None:
    assert check(**options) == code
    assert words in capsys.readouterr().out


def test_other_versions_may_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(None, Versions.of(WRONG.airflow, f"{WRONG.python}.1"), task_definition="wrong") == 0


def test_as_json(families: FakeRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    airflow = Airflow()
    airflow.options = {"remote_logging": "True"}
    assert check("wrong", as_json=True, airflow=airflow, task_definition="nothing") == 18
    answer = json.loads(capsys.readouterr().out)
    assert (answer["exit_code"], answer["outcome"]) == (18, "differs")
    assert answer["task_definition"] == "wrong:1" and answer["image"] == f"{families.host}/airflow-worker:wrong"
    assert {"name": "Airflow", "image": WRONG.airflow, "wanted": RIGHT.airflow, "outcome": "differs"} in answer[
        "comparisons"
    ]
    (warning,) = answer["environment"]
    assert warning.startswith("[logging] remote_logging is on in the scheduler")


def test_what_the_environment_lacks_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    airflow = Airflow()
    airflow.options = {"remote_logging": "True"}
    assert check(airflow=airflow, task_definition="right") == 0
    assert "environment       [logging] remote_logging is on in the scheduler" in capsys.readouterr().out


@pytest.mark.parametrize(("fault", "words"), [("denied", "Allow ecs:ListTaskDefinitions"), ("throttle", "Throttling")])
def test_a_revision_that_cannot_be_chosen_is_no_misfit(
    ecs: EcsApi, capsys: pytest.CaptureFixture[str], fault: str, words: str
) -> None:
    ecs.fault("ListTaskDefinitions", fault)
    assert check("right:matching", task_definition="right") == 3
    assert words in capsys.readouterr().out


def test_a_defect_ends_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(*_: object) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(ImageChecks, "examine", planted)
    with pytest.raises(KeyError, match="planted"):
        check(task_definition="right")


def test_without_airflow_it_says_where_to_run_it() -> None:
    command = [sys.executable, "-m", "airflow_ecs_executor", "check"]
    done = subprocess.run(command, cwd="executor", capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "Airflow is not installed here" in done.stderr
