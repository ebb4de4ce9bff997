"""What has to be set, and how it is written down."""

from __future__ import annotations

import configparser
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from airflow_ecs_executor.aws.stack import StackOutputs
from airflow_ecs_executor.cli.airflow_settings import (
    AIRFLOW_CFG,
    ENV_FILE,
    EXPORTS,
    GENERAL,
    Setting,
    airflow_settings,
    as_text,
    command_for_secret,
)
from airflow_ecs_executor.config.options import OPTIONS
from airflow_ecs_executor.config.source import ConfigurationError
from hypothesis import given as every
from hypothesis import strategies

from tests.unit.executor.cloudformation import OUTPUTS

STACK = StackOutputs(**OUTPUTS)
REQUIRED = {"cluster": "airflow", "container_name": "airflow", "task_definition": "airflow-worker"}
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:airflow/url-AbCdEf"


def settings(stack: StackOutputs | None = None, **given: str) -> dict[str, str]:
    """What is set, by [section] name."""
    found = airflow_settings(given if stack else {**REQUIRED, **given}, stack).settings
    return {
        f"[{read.section}] {read.name}": read.value for read in (setting.as_airflow_reads_it() for setting in found)
    }


def airflow_s_command(secret: str) -> str:
    """What Airflow is told to run for a secret."""
    return Setting("core", "fernet_key", command_for_secret(secret), is_command=True).as_airflow_reads_it().value


def problems(stack: StackOutputs | None = None, **given: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        airflow_settings(given, stack)
    return str(raised.value)


def test_a_stack_has_all_that_is_needed() -> None:
    secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"
    assert settings(STACK) == {
        "[core] executor": "airflow_ecs_executor.AwsEcsExecutor",
        "[database] sql_alchemy_conn_cmd": airflow_s_command(f"{secret}url-AbCdEf"),
        "[core] fernet_key_cmd": airflow_s_command(f"{secret}fernet-AbCdEf"),
        "[logging] remote_logging": "True",
        "[logging] remote_base_log_folder": "s3://bucket/logs",
        "[aws_ecs_executor] cluster": "airflow",
        "[aws_ecs_executor] container_name": "airflow",
        "[aws_ecs_executor] region_name": "eu-west-1",
        "[aws_ecs_executor] launch_type": "FARGATE",
        "[aws_ecs_executor] security_groups": "sg-1",
        "[aws_ecs_executor] subnets": "subnet-1,subnet-2",
        "[aws_ecs_executor] task_definition": "airflow-worker",
        "[airflow_ecs_executor] workload_s3_uri": "s3://bucket/workloads",
    }


def test_flags_alone_set_what_is_given() -> None:
    assert settings() == {
        "[core] executor": "airflow_ecs_executor.AwsEcsExecutor",
        "[aws_ecs_executor] cluster": "airflow",
        "[aws_ecs_executor] container_name": "airflow",
        "[aws_ecs_executor] task_definition": "airflow-worker",
    }


def test_flags_win_over_the_stack() -> None:
    found = settings(STACK, cluster="other", remote_logs="s3://elsewhere", workload_s3_use="always")
    assert found["[aws_ecs_executor] cluster"] == "other"
    assert found["[logging] remote_base_log_folder"] == "s3://elsewhere"
    assert found["[airflow_ecs_executor] workload_s3_use"] == "always"


def test_an_empty_flag_takes_away_what_the_stack_says() -> None:
    empty = {"database_secret": "", "fernet_secret": "", "remote_logs": "", "workload_s3_uri": "", "launch_type": ""}
    left = settings(STACK, **empty)
    assert not [name for name in left if name.startswith(("[database]", "[logging]", "[airflow_ecs_executor]"))]
    assert "[core] fernet_key_cmd" not in left and "[aws_ecs_executor] launch_type" not in left


def test_only_connections_mean_something_when_they_are_empty() -> None:
    assert settings(aws_conn_id="")["[aws_ecs_executor] aws_conn_id"] == ""
    assert "[aws_ecs_executor] region_name" not in settings(region_name="")


def test_a_default_is_left_out_unless_it_was_given() -> None:
    assert "[aws_ecs_executor] assign_public_ip" not in settings(STACK)
    given = settings(STACK, assign_public_ip="False", platform_version="LATEST")
    assert given["[aws_ecs_executor] assign_public_ip"] == "False"
    assert given["[aws_ecs_executor] platform_version"] == "LATEST"
    public = StackOutputs(**{**OUTPUTS, "assign_public_ip": "True"})
    assert settings(public)["[aws_ecs_executor] assign_public_ip"] == "True"


@pytest.mark.parametrize(
    "given",
    [
        {"capacity_provider_strategy": '[{"capacityProvider": "FARGATE_SPOT", "weight": 1}]'},
        {"run_task_kwargs": '{"launch_type": "EC2"}'},
        {"run_task_kwargs": '{"capacityProviderStrategy": [{"capacityProvider": "mine"}]}'},
    ],
)
def test_the_launch_type_of_the_stack_gives_way_to_another_capacity(given: dict[str, str]) -> None:
    assert "[aws_ecs_executor] launch_type" not in settings(STACK, **given)


def test_everything_that_is_wrong_or_missing_is_told_at_once() -> None:
    said = problems(remote_logs="gs://bucket", database_secret=f"{SECRET}:key::", assign_public_ip="maybe")
    assert said.startswith("The ECS executor's configuration has 6 problems:")
    for words in (
        "[logging] remote_base_log_folder is not valid (found: 'gs://bucket'): give s3://BUCKET/PREFIX, or cloudwatch://",
        "(--remote-logs)",
        "[database] sql_alchemy_conn is not valid",
        "give the ARN or the name of a secret whose string is the value (--database-secret)",
        "[aws_ecs_executor] assign_public_ip is not valid (found: 'maybe'): give True or False",
        "[aws_ecs_executor] cluster is required, but not set",
        "[aws_ecs_executor] container_name is required, but not set",
        "[aws_ecs_executor] task_definition is required, but not set",
    ):
        assert words in said, said


ARN = "cloudwatch://arn:aws:logs:eu-west-1:123456789012:log-group:/airflow/task"


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        *(("fernet_secret", value) for value in ("a b", "x'y", "$(id)", "arn:aws:s3:::bucket")),
        *(("executor", value) for value in ("LocalExecutor", "my_airflow_ecs_executor.AwsEcsExecutor")),
        *(("remote_logs", value) for value in (f"{ARN}:*", "s3://ab", "/var/log")),
    ],
)
def test_a_value_that_is_not_valid_gets_nowhere(flag: str, value: str) -> None:
    option = GENERAL[flag]
    assert f"[{option.section}] {option.name} is not valid" in problems(**REQUIRED, **{flag: value})


@pytest.mark.parametrize("others", ["", "LocalExecutor,", "LocalExecutor,ecs:"])
def test_the_executor_may_be_one_of_several(others: str) -> None:
    value = f"{others}airflow_ecs_executor.AwsEcsExecutor"
    assert settings(executor=value)["[core] executor"] == value


@pytest.mark.parametrize("value", ["s3://bucket", "s3://bucket/logs/airflow", ARN, ARN.replace("aws:", "aws-cn:")])
def test_logs_may_be_in_s3_and_in_cloudwatch(value: str) -> None:
    found = settings(remote_logs=value)
    assert (found["[logging] remote_logging"], found["[logging] remote_base_log_folder"]) == ("True", value)


def test_the_executor_s_own_warnings_are_passed_on() -> None:
    (warning,) = airflow_settings({**REQUIRED, "task_definition": "family:LATEST"}).warnings
    assert "names the task definition family:LATEST" in warning


def test_a_value_that_airflow_would_change_is_warned_about() -> None:
    kwargs = '{"overrides": {"containerOverrides": [{"environment": [{"name": "A", "value": "%s"}]}]}}'
    given = {**REQUIRED, "run_task_kwargs": kwargs % "costs 5$"}
    assert airflow_settings(given).warnings == ()
    for value in ("$HOME", "${HOME}"):
        (warning,) = airflow_settings({**given, "run_task_kwargs": kwargs % value}).warnings
        assert f"[aws_ecs_executor] run_task_kwargs has {value}: Airflow replaces it" in warning


def test_json_of_many_lines_becomes_one() -> None:
    given = '{\n  "enableExecuteCommand": true,\r\n\n  "tags": {"a": "b"}\n}\n'
    found = settings(run_task_kwargs=given)["[aws_ecs_executor] run_task_kwargs"]
    assert found == '{ "enableExecuteCommand": true, "tags": {"a": "b"} }'


# Commands for secrets


def test_the_region_is_that_of_the_arn_then_that_of_the_cluster_then_the_aws_cli_s() -> None:
    assert command_for_secret(SECRET, "eu-west-1").endswith(" --region eu-central-1")
    assert "--region eu-west-1" in command_for_secret("airflow-database", "eu-west-1")
    assert "--region" not in command_for_secret("airflow-database")


def as_airflow_runs(command: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as airflow.configuration.run_command does, with an ``aws`` of ours."""
    environment = {"PATH": f"{path}:{os.environ['PATH']}"}
    return subprocess.run(shlex.split(command), env=environment, capture_output=True, text=True)


def aws_cli(path: Path, script: str) -> None:
    program = path / "aws"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


def test_the_command_prints_the_secret_and_nothing_else(tmp_path: Path) -> None:
    aws_cli(tmp_path, 'echo "$*" > "${0%/*}/asked"; echo \'postgresql://u:p%20$w\\d@h:5432/db\'')
    done = as_airflow_runs(airflow_s_command(SECRET), tmp_path)
    assert (done.returncode, done.stdout) == (0, "postgresql://u:p%20$w\\d@h:5432/db")
    assert (tmp_path / "asked").read_text(encoding="utf-8").split() == [
        "secretsmanager",
        "get-secret-value",
        *("--secret-id", SECRET),
        *("--query", "SecretString"),
        *("--output", "text"),
        *("--region", "eu-central-1"),
    ]


def test_the_command_fails_as_the_aws_cli_does(tmp_path: Path) -> None:
    aws_cli(tmp_path, "echo 'Unable to locate credentials' >&2; exit 253")
    done = as_airflow_runs(airflow_s_command(SECRET), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (253, "", "Unable to locate credentials\n")


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_a_shell_may_ask_instead_and_fails_as_the_aws_cli_does(shell: str, tmp_path: Path) -> None:
    file = tmp_path / "airflow-env.sh"
    secret = Setting("core", "fernet_key", command_for_secret(SECRET), is_command=True)
    file.write_text(as_text([secret, Setting("core", "executor", "x")], EXPORTS, once=True), encoding="utf-8")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def read() -> tuple[int, str, str]:
        script = f'. {file} && exec "{sys.executable}" -c "import os; print(os.environ[\'AIRFLOW__CORE__FERNET_KEY\'])"'
        done = subprocess.run([shell, "-c", script], env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    aws_cli(tmp_path, "echo 'it has a blank, $x and `y`'")
    assert read() == (0, "it has a blank, $x and `y`\n", "")
    aws_cli(tmp_path, "echo 'Unable to locate credentials' >&2; exit 253")
    assert read() == (253, "", "Unable to locate credentials\n")


# Forms

HARD = [
    "plain",
    "",
    "a b",
    'it\'s "quoted"',
    "100% of %(name)s",
    "$HOME `id` $(id) \\ \\n ~ ! #x ;y",
    '{"a": [1, "b=c"]}',
    "ünïcödé …",
]


def test_commands_for_a_shell_are_read_back_by_bash_and_sh(tmp_path: Path) -> None:
    wanted = [Setting("aws_ecs_executor", f"value_{number}", value) for number, value in enumerate(HARD)]
    file = tmp_path / "airflow-env.sh"
    file.write_text(as_text(wanted, EXPORTS), encoding="utf-8")
    for shell in ("bash", "sh"):
        script = f". {file} && env -0"
        found = subprocess.run([shell, "-euc", script], env={"PATH": os.environ["PATH"]}, capture_output=True)
        read = dict(line.split("=", 1) for line in found.stdout.decode("utf-8").split("\0") if "=" in line)
        assert {setting.variable: setting.value for setting in wanted}.items() <= read.items(), found.stderr


# What argv may hold, once it is in one line.
VALUES = strategies.text(strategies.characters(blacklist_categories=["Cc", "Cs", "Zl", "Zp"])).map(str.strip)


@every(VALUES)
def test_any_value_is_read_back(value: str) -> None:
    wanted = [Setting("core", "value", value)]
    assert shlex.split(as_text(wanted, EXPORTS)) == ["export", f"AIRFLOW__CORE__VALUE={value}"]
    parser = configparser.ConfigParser()
    parser.read_string(as_text([*wanted, Setting("logging", "a", "1"), Setting("core", "b", "2")], AIRFLOW_CFG))
    assert dict(parser.items("core")) == {"value": value, "b": "2"} and dict(parser.items("logging")) == {"a": "1"}
    assert as_text(wanted, ENV_FILE) == f"AIRFLOW__CORE__VALUE={value}\n"


def test_flags_are_unambiguous() -> None:
    names = [*GENERAL, *(option.name for option in OPTIONS)]
    assert len(names) == len(set(names))
    assert not {"stack", "region", "format", "output", "secrets_by"} & set(names)
