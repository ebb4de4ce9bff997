"""What ``python -m airflow_ecs_executor config`` prints, read back by Airflow itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow_ecs_executor import airflow_compat

REQUIRED = ("--cluster", "airflow", "--container-name", "worker", "--task-definition", "jobs", "--region", "us-east-1")
KWARGS = '{"overrides": {"containerOverrides": [{"environment": [{"name": "A", "value": "100% it\'s #1"}]}]}}'
HARD = (*REQUIRED, "--run-task-kwargs", KWARGS, "--subnets", "subnet-1, subnet-2", "--aws-conn-id", "")
DATABASE = "postgresql+psycopg2://airflow:p%40ss$word@database:5432/airflow_db"
SECRETS = {"database": DATABASE, "fernet": "x" * 43 + "=", "jwt": "signs tokens"}
FLAGS = ("--database-secret", "database", "--fernet-secret", "fernet", "--jwt-secret", "jwt")
READ = """
import json, os
from airflow.configuration import conf
from airflow.executors.executor_loader import ExecutorLoader
from airflow_ecs_executor.airflow_compat import database_place
from airflow_ecs_executor.config.reader import read_settings
settings = read_settings(conf, os.environ)
names = [("database", "sql_alchemy_conn"), ("core", "fernet_key"), ("api_auth", "jwt_secret")]
print(json.dumps({
    "settings": [settings.cluster, settings.run_task["networkConfiguration"], dict(settings.environment),
                 settings.conn_id, settings.poll_interval, list(settings.warnings)],
    "secrets": [conf.get(*name, fallback=None) for name in names],
    "database": database_place(),
    "logging": [conf.getboolean("logging", "remote_logging"), conf.get("logging", "remote_base_log_folder")],
    "executor": ExecutorLoader.import_default_executor_cls()[0].__name__,
}))
"""
EXPECTED = {
    "settings": [
        "airflow",
        {"awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"], "assignPublicIp": "DISABLED"}},
        {"A": "100% it's #1"},
        None,
        1.5,
        [],
    ],
    # Only Airflow 3 knows the option for the tokens; to Airflow 2 it is none of a secret.
    "secrets": [DATABASE, SECRETS["fernet"], SECRETS["jwt"] if airflow_compat.HAS_WORKLOADS else None],
    "database": "database:5432/airflow_db ",
    "logging": [True, "s3://bucket/logs"],
    "executor": "AwsEcsExecutor",
}


def config(*arguments: str) -> str:
    """Run the command."""
    command = [sys.executable, "-m", "airflow_ecs_executor", "config", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def airflow(script: str, code: str, environ: dict[str, str] | None = None) -> str:
    """Run code beside Airflow, in a shell after a script; returns its last line."""
    command = ["bash", "-c", f'set -eu\n{script}\nexec "$0" -c "$1"', sys.executable, code]
    own = ("DATABASE__SQL_ALCHEMY_CONN", "CORE__FERNET_KEY")
    environment = {name: value for name, value in os.environ.items() if not name.endswith(own)}
    done = subprocess.run(command, env={**environment, **(environ or {})}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    """The AWS CLI with our secrets, on the path; it counts how often it was asked."""
    programs = tmp_path / "programs"
    programs.mkdir()
    values = "".join(f"  {name}) echo '{value}' ;;\n" for name, value in SECRETS.items())
    program = programs / "aws"
    program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\ncase $4 in\n{values}esac\n', encoding="utf-8")
    program.chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}"}


@pytest.mark.parametrize("form", ["exports", "airflow.cfg"])
def test_everything_is_read_as_it_was_given(form: str, secrets: dict[str, str], tmp_path: Path) -> None:
    answer = config(*HARD, *FLAGS, "--poll-interval", "1.5", "--remote-logs", "s3://bucket/logs", "--format", form)
    if form == "airflow.cfg":
        (tmp_path / "airflow.cfg").write_text(answer, encoding="utf-8")
        answer = ""
    assert json.loads(airflow(answer, READ, {**secrets, "AIRFLOW_HOME": str(tmp_path)})) == EXPECTED
