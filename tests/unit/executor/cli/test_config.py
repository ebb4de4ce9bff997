"""``python -m airflow_ecs_executor config``: its answer, its file, and its exit codes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import airflow_ecs_executor
import pytest
from airflow_ecs_executor.cli import command_line
from airflow_ecs_executor.config.options import OPTIONS, OWN_SECTION, SHARED_SECTION, Option
from airflow_ecs_executor.config.reader import read_settings
from airflow_ecs_executor.config.settings import Settings

from tests.paths import EXECUTOR
from tests.unit.executor.cloudformation import OUTPUTS, CloudFormation, described

FLAGS = ("--cluster", "airflow", "--container-name", "worker", "--task-definition", "jobs")
# A value other than the default for every option; launch_type excludes the strategy.
OTHERS = {
    "cluster": "arn:aws:ecs:eu-west-1:123456789012:cluster/airflow",
    "container_name": "worker",
    "region_name": "eu-central-1",
    "assign_public_ip": "True",
    "aws_conn_id": "aws_ecs",
    "conn_id": "aws_ecs",
    "capacity_provider_strategy": '[{"capacityProvider": "FARGATE_SPOT", "weight": 3}]',
    "platform_version": "1.4.0",
    "run_task_kwargs": '{"overrides": {"containerOverrides": [{"environment": [{"name": "A", "value": "5% it\'s"}]}]}}',
    "security_groups": "sg-1, sg-2",
    "subnets": "subnet-1,subnet-2",
    "task_definition": "jobs:matching",
    "max_run_task_attempts": "5",
    "check_health_on_startup": "False",
    "run_task_rate": "12.5",
    "run_task_burst": "50",
    "launch_concurrency": "8",
    "describe_tasks_rate": "2",
    "poll_interval": "1",
    "missing_grace_period": "90",
    "adoption_timeout": "20",
    "spot_interruptions": "fail",
    "max_spot_relaunches": "0",
    "launch_wait_limit": "900",
    "deployment": "airflow/production",
    "task_instance_tags": "False",
    "image_version_check": "warn",
    "workload_s3_uri": "s3://bucket/it's-here",
    "workload_s3_use": "always",
    "workload_s3_kms_key": "alias/airflow",
    "container_log_lines": "0",
}


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def config(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> Answer:
        try:
            code = command_line.main(["config", *arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        return Answer(code, *capsys.readouterr())

    return run


class Environment:
    """Airflow's configuration as far as it comes from the environment."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ

    def get(self, section: str, key: str, fallback: Any = None) -> Any:
        assert section in (SHARED_SECTION, OWN_SECTION)
        return self.environ.get(f"AIRFLOW__{section.upper()}__{key.upper()}", fallback)


def sourced(exports: str) -> dict[str, str]:
    """The environment of a program that a shell with these exports starts."""
    script = f"set -eu\n{exports}\nenv -0"
    done = subprocess.run(["bash", "-c", script], env={"PATH": os.environ["PATH"]}, capture_output=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.decode("utf-8").split("\0") if line.startswith("AIRFLOW"))


def settings_of(environ: dict[str, str]) -> Settings:
    return read_settings(Environment(environ), environ)


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_the_executor_reads_every_option_as_it_was_given(config: Any) -> None:
    assert set(OTHERS) | {"launch_type"} == {option.name for option in OPTIONS}
    answer = config(*(word for name, value in OTHERS.items() for word in (f"--{name.replace('_', '-')}", value)))
    assert answer.code == 0, answer.err
    environ = sourced(answer.out)
    assert environ["AIRFLOW__CORE__EXECUTOR"] == "airflow_ecs_executor.AwsEcsExecutor"
    read = settings_of(environ)
    given = {f"AIRFLOW__{option.section}__{option.name}".upper(): OTHERS.get(option.name) for option in OPTIONS}
    assert read == settings_of({name: value for name, value in given.items() if value is not None})
    assert read.warnings == ()


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_each_option_has_a_flag_with_its_description(option: Option, config: Any) -> None:
    text = " ".join(config("--help").out.split())
    assert f"--{option.name.replace('_', '-')} " in text
    assert " ".join(option.description.split()) in text


def test_an_env_file_has_the_same_as_the_exports(config: Any) -> None:
    environ = sourced(config(*FLAGS, "--run-task-kwargs", OTHERS["run_task_kwargs"], "--region", "eu-west-1").out)
    answer = config(
        *FLAGS, "--run-task-kwargs", OTHERS["run_task_kwargs"], "--region", "eu-west-1", "--format", "env-file"
    )
    assert dict(line.split("=", 1) for line in lines(answer.out)) == environ


def test_a_stack_is_enough(config: Any, aws: CloudFormation) -> None:
    aws.has(described(**OUTPUTS))
    answer = config("--stack", "airflow-ecs", "--region", "eu-west-1")
    assert answer.code == 0, answer.err
    read = settings_of(sourced(answer.out))
    assert (read.cluster, read.run_task["taskDefinition"], read.run_task["launchType"]) == (
        "airflow",
        "airflow-worker",
        "FARGATE",
    )
    assert aws.region == "eu-west-1"


def test_without_a_stack_the_region_is_that_of_cluster_and_secrets(config: Any) -> None:
    environ = sourced(config(*FLAGS, "--region", "eu-west-1", "--fernet-secret", "fernet").out)
    assert environ["AIRFLOW__AWS_ECS_EXECUTOR__REGION_NAME"] == "eu-west-1"
    assert "--region eu-west-1" in environ["AIRFLOW__CORE__FERNET_KEY_CMD"]
    environ = sourced(config(*FLAGS, "--region", "eu-west-1", "--region-name", "us-east-1").out)
    assert environ["AIRFLOW__AWS_ECS_EXECUTOR__REGION_NAME"] == "us-east-1"


@pytest.mark.parametrize("form", ["exports", "airflow.cfg", "env-file"])
def test_the_answer_says_how_to_make_it_anew_and_is_the_same_then(
    form: str, config: Any, aws: CloudFormation, tmp_path: Path
) -> None:
    aws.has(described(**OUTPUTS))
    kwargs = '{"enableExecuteCommand":\n true}'
    first = config("--stack", "airflow-ecs", "--format", form, "--run-task-kwargs", kwargs).out
    assert "# Generated from the stack airflow-ecs in eu-west-1 by\n" in first
    (command,) = [line[2:] for line in first.splitlines() if "-m airflow_ecs_executor" in line]
    environment = {**os.environ, "PYTHONPATH": str(EXECUTOR)}
    command = command.strip().replace("python", f"'{sys.executable}'", 1)
    again = subprocess.run(["sh", "-c", command], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (again.returncode, lines(again.stdout)) == (0, lines(first)), again.stderr


def test_lines_for_airflow_cfg_say_what_would_win_over_them(config: Any) -> None:
    secrets = ("--database-secret", "database", "--fernet-secret", "fernet")
    assert "# Remove sql_alchemy_conn, fernet_key from" in config(*FLAGS, *secrets, "--format", "airflow.cfg").out
    assert "# Remove " not in config(*FLAGS, *secrets).out
    assert "# Remove " not in config(*FLAGS, "--format", "airflow.cfg").out


def test_the_shell_asks_for_secrets_where_that_is_wanted(config: Any) -> None:
    secret = (*FLAGS, "--fernet-secret", "fernet", "--secrets-by", "shell")
    answer = config(*secret)
    assert 'AIRFLOW__CORE__FERNET_KEY="$(aws secretsmanager' in answer.out and "_CMD" not in answer.out
    assert "# The shell that reads this gets" in answer.out
    answer = config(*secret, "--format", "env-file")
    assert (answer.code, answer.out) == (2, "") and "--secrets-by shell requires --format exports" in answer.err


# Failures


def test_missing_and_wrong_values_are_told_at_once_with_the_executor_s_own_messages(config: Any) -> None:
    answer = config("--cluster", "two words")
    assert (answer.code, answer.out) == (2, "")
    assert "3 problems" in answer.err and "Set missing values with flags" in answer.err
    wrong_only = config(*FLAGS, "--container-log-lines", "-1")
    assert wrong_only.code == 2 and "Set missing values" not in wrong_only.err


def test_a_misspelt_flag_is_no_abbreviation(config: Any) -> None:
    answer = config(*FLAGS, "--sub", "subnet-1")
    assert answer.code == 2 and "unrecognized arguments: --sub" in answer.err


def test_the_exit_code_tells_whether_aws_or_the_stack_is_at_fault(config: Any, aws: CloudFormation) -> None:
    aws.has(described("CREATE_IN_PROGRESS"))
    answer = config("--stack", "airflow-ecs")
    assert (answer.code, answer.out) == (4, "") and "is CREATE_IN_PROGRESS. Wait for it: aws" in answer.err
    aws.refuses("AccessDenied", "User: arn:aws:iam::1:user/a is not authorized")
    answer = config("--stack", "airflow-ecs")
    assert (answer.code, answer.out) == (3, "") and "Allow cloudformation:DescribeStacks" in answer.err


# The file


def test_a_file_is_written_whole_and_replaced(config: Any, tmp_path: Path) -> None:
    file = tmp_path / "airflow-env.sh"
    umask = os.umask(0o027)
    try:
        answer = config(*FLAGS, "--output", str(file))
    finally:
        os.umask(umask)
    assert (answer.code, answer.out) == (0, "") and f"written to {file}" in answer.err
    assert sourced(file.read_text(encoding="utf-8"))["AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER"] == "airflow"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    file.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(file)
    assert config(*FLAGS, "--cluster", "other", "--output", str(link)).code == 0
    assert link.is_symlink() and "CLUSTER=other" in file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["airflow-env.sh", "link"]


def test_a_file_is_left_as_it_was_when_something_is_wrong(config: Any, tmp_path: Path) -> None:
    file = tmp_path / "airflow-env.sh"
    file.write_text("mine", encoding="utf-8")
    assert config("--output", str(file)).code == 2
    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name, words", [("missing/file", "No such file or directory"), ("", "not a regular file")])
def test_a_file_that_cannot_be_written_is_one_line(name: str, words: str, config: Any, tmp_path: Path) -> None:
    answer = config(*FLAGS, "--output", str(tmp_path / name))
    assert answer.code == 5
    assert answer.err.startswith(f"{tmp_path / name} cannot be written: ") and words in answer.err


# Beside Airflow


def run_module(code: str) -> subprocess.CompletedProcess[str]:
    """Run code by this Python, with our package on its path, where Airflow is not."""
    guard = "import sys; sys.modules['airflow'] = None; "
    environment = {**os.environ, "PYTHONPATH": str(EXECUTOR)}
    return subprocess.run([sys.executable, "-c", guard + code], env=environment, capture_output=True, text=True)


def test_neither_airflow_nor_boto3_is_needed_for_flags_alone() -> None:
    done = run_module(
        "sys.modules['boto3'] = None; from airflow_ecs_executor.cli.command_line import main; "
        f"sys.exit(main(['config', *{FLAGS!r}]))"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "export AIRFLOW__AWS_ECS_EXECUTOR__TASK_DEFINITION=jobs" in done.stdout


def test_a_stack_without_boto3_says_what_to_install() -> None:
    done = run_module(
        "sys.modules['boto3'] = None; from airflow_ecs_executor.cli.command_line import main; "
        "sys.exit(main(['config', '--stack', 'airflow-ecs']))"
    )
    assert done.returncode == 3 and done.stderr.endswith("boto3 is not installed. Install it: pip install boto3\n")


def test_the_version() -> None:
    done = run_module("from airflow_ecs_executor.cli.command_line import main; main(['--version'])")
    assert (done.returncode, done.stdout) == (0, f"airflow-ecs-executor {airflow_ecs_executor.__version__}\n")
