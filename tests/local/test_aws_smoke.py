"""`make aws-smoke` with real containers: its scripts end as it expects, and nothing of it is left."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.machine.console import guarded
from tests.local.conftest import EXECUTION_ROLE, GROUP, Tasks
from tools.aws_smoke import account
from tools.aws_smoke.__main__ import main


def test_each_container_ends_as_expected(
    tasks: Tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in tasks.aws.local_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    monkeypatch.setattr(account, "PAUSE", 0.2)
    tasks.finish(tasks.container())  # makes the log group
    flags = {
        "cluster": "airflow", "subnets": "subnet-1", "execution-role": EXECUTION_ROLE, "log-group": GROUP,
        "image": tasks.image, "out": str(tmp_path / "messages.jsonl"),
    }  # fmt: skip
    checks = ["first-task", "found-again", "client-token", "token-conflict", "container-log", "no-program",
              "exit-code", "out-of-memory", "stopped", "no-definition", "vanished-task"]  # fmt: skip
    code = guarded(lambda: main([*checks, "--yes", *(f"--{name}={value}" for name, value in flags.items())]))
    output = capsys.readouterr().out
    assert code == 0, output
    assert {*re.findall(r"^ok +(\S+)$", output, re.M)} == {*checks}
    assert {task["desiredStatus"] for task in tasks.aws.ecs.tasks()} == {"STOPPED"}
