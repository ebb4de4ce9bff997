"""The whole program as a process, as a container runs it."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from airflow_ecs_entrypoint import main as main_module

from local.fakes.s3 import Fault
from tests.unit.entrypoint.container import (
    S3,
    SECRET,
    TASK,
    TOKEN,
    WORKLOAD_MODULE,
    names,
    script,
    staging,
    tree,
    wait_until,
)

SDK = ("python", "-m", WORKLOAD_MODULE, "--json-string")


@pytest.fixture(autouse=True)
def one_dag(s3):
    s3.buckets["bucket"] = {"dags/a.py": b"a"}


def lines(result):
    return result.stderr.splitlines()


def test_a_task_runs_on_its_dags_and_its_exit_code_passes(run, airflow_home):
    result = run(*TASK, AIRFLOW_FAKE_EXIT=7, **S3)
    assert result.returncode == 7
    assert result.stdout == "airflow:6:tasks run dag task run1 --local\n"
    assert len(lines(result)) == 1
    assert json.loads(lines(result)[0])["sources"][0]["files"] == 1
    assert tree(airflow_home / "dags") == {"a.py": b"a"}


@pytest.mark.parametrize(
    "arguments, output",
    [
        ((), "airflow:0:\n"),
        (("version",), "airflow:1:version\n"),
        (("airflow", "version"), "airflow:1:version\n"),
        (("bash", "-c", "echo $0 $1", "x", "y"), "x y\n"),
        (("/bin/sh", "-c", "echo sh"), "sh\n"),
        (("python", "--version"), f"Python {sys.version.split()[0]}\n"),
        (("python", "-c", "print(6 * 7)"), "42\n"),
    ],
)
def test_commands_without_s3(run, arguments, output):
    result = run(*arguments)
    assert (result.returncode, result.stdout, result.stderr) == (0, output, "")


@pytest.mark.parametrize(
    "arguments, requests",
    [(("version",), 0), (("db", "check"), 0), (("dags", "list"), 2), (("bash", "-c", ":"), 2)],
)
def test_only_commands_that_read_dags_ask_s3(run, s3, arguments, requests):
    assert run(*arguments, **S3).returncode == 0
    assert sum(s3.requests.values()) == requests


def test_a_task_in_mode_s3_without_uri_does_not_start(run):
    result = run(*TASK, AIRFLOW_ECS_DAGS="s3", S3_URI="")
    assert (result.returncode, result.stdout) == (80, "")
    assert lines(result) == [
        "airflow-ecs-entrypoint: error: S3_URI is not set, but AIRFLOW_ECS_DAGS is s3: "
        "set S3_URI to s3://bucket/prefix; airflow tasks run was not started"
    ]


def test_another_command_in_mode_s3_without_uri_is_warned_once(run):
    result = run("dags", "list", AIRFLOW_ECS_DAGS="s3")
    assert result.returncode == 0 and result.stdout
    assert len(lines(result)) == 1 and "warning: S3_URI is not set" in result.stderr


THROTTLED = Fault("dags/a.py", "error", code="SlowDown", status=503)


@pytest.mark.parametrize(
    "arguments, changes, faults, code",
    [
        (TASK, {}, [Fault("", "error", code="AccessDenied", status=403)], 81),
        (TASK, {"S3_URI": "s3://missing"}, [], 82),
        (TASK, {"S3_URI": "http://bucket"}, [], 80),
        (TASK, {}, [THROTTLED], 84),
        (("dags", "list"), {}, [THROTTLED], 84),
    ],
)
def test_a_failed_sync_stops_commands_with_one_line_and_the_code_of_its_kind(run, s3, arguments, changes, faults, code):
    s3.faults = faults
    result = run(*arguments, **{**S3, **changes})
    assert len(lines(result)) == 1
    assert "Traceback" not in result.stderr and SECRET not in result.stderr
    assert (result.returncode, result.stdout) == (code, "")
    assert "error: " in result.stderr and result.stderr.endswith(" was not started\n")


@pytest.mark.parametrize("changes, faults", [({}, [THROTTLED]), ({"S3_URI": "http://bucket"}, [])])
def test_a_shell_starts_without_its_dags_and_says_so(run, s3, changes, faults):
    s3.faults = faults
    result = run("bash", "-c", "echo on", **{**S3, **changes})
    assert (result.returncode, result.stdout) == (0, "on\n")
    assert len(lines(result)) == 1
    assert "warning: " in result.stderr and result.stderr.endswith("; bash starts without files from S3\n")


def test_a_task_sdk_workload_needs_airflow_3(run, bin_folder):
    script(bin_folder / "python", "echo workload; exit 3")
    refused = run(*SDK, f'{{"token": "{TOKEN}"}}', AIRFLOW_VERSION="2.10.5", **S3)
    assert (refused.returncode, refused.stdout) == (83, "")
    assert "Airflow 2.10.5" in refused.stderr and TOKEN not in refused.stderr
    accepted = run(*SDK, f'{{"token": "{TOKEN}"}}', AIRFLOW_VERSION="3.0.6", **S3)
    assert (accepted.returncode, accepted.stdout) == (3, "workload\n")


@pytest.mark.parametrize(
    "uri", ["s3://bucket/dags", "s3://bucket/none", "s3://key:hunter2@bucket/dags", "s3://missing/x"]
)
def test_no_secret_reaches_the_output(run, uri, bin_folder):
    script(bin_folder / "python", ":")
    result = run(*SDK, TOKEN, **{**S3, "S3_URI": uri, "AWS_SESSION_TOKEN": "session" + SECRET})
    output = result.stdout + result.stderr
    assert output
    for secret in (TOKEN, SECRET, "AKIAIOSFODNN7EXAMPLE", "hunter2"):
        assert secret not in output


def test_a_command_that_does_not_exist_is_127(run, tmp_path):
    missing = tmp_path / "none"
    result = run(str(missing))
    assert result.returncode == 127
    assert lines(result) == [
        f"airflow-ecs-entrypoint: error: cannot run {missing}: not found; check the command and PATH"
    ]


def test_a_missing_airflow_is_127(run, tmp_path):
    assert run("version", PATH="/nonexistent").returncode == 127


@pytest.mark.parametrize("body, mode", [("#!/bin/sh\n", 0o644), ("#!/no/such/shell\n", 0o755), ("\0\0", 0o755)])
def test_a_command_that_cannot_be_executed_is_126(run, tmp_path, body, mode):
    program = tmp_path / "program"
    program.write_text(body)
    program.chmod(mode)
    result = run(str(program))
    assert result.returncode == 126
    assert len(lines(result)) == 1 and f"cannot run {program}: " in result.stderr


def test_the_command_sees_a_clean_environment(run, tmp_path):
    result = run(
        "python", "-c", "from os import environ as e; print({k: e[k] for k in e if k[:3] in ('AWS', 'PIP', 'AIR')})",
        PIP_USER="true", AWS_PROFILE="", AWS_REGION="", AWS_ENDPOINT_URL_S3="", AWS_MAX_ATTEMPTS="",
        CONTAINER_DAG_PATH=str(tmp_path / "elsewhere"),
    )  # fmt: skip
    assert eval(result.stdout) == {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "elsewhere"),
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_empty_aws_variables_do_not_break_the_sync(run):
    empty = {"AWS_PROFILE": " ", "AWS_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_SESSION_TOKEN": ""}
    assert run(*TASK, **{**S3, **empty}).returncode == 0


def test_the_command_inherits_umask_and_default_signals(run):
    # Read by the shell, since a Python program would change its own signals.
    result = run("bash", "-c", "umask; grep SigIgn /proc/$$/status")
    umask, ignored = result.stdout.splitlines()
    assert umask == "0002"
    mask = int(ignored.split()[1], 16)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT):
        assert not mask & 1 << (number - 1), number


def test_the_working_folder_and_stdin_are_the_commands(environ, tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "airflow_ecs_entrypoint", "bash", "-c", "pwd; cat"],
        env=environ, cwd=str(tmp_path), input=b"in", stdout=subprocess.PIPE, timeout=30,
    )  # fmt: skip
    assert result.stdout.decode() == f"{os.path.realpath(str(tmp_path))}\nin"


@pytest.mark.parametrize(
    "number, key",
    [
        (signal.SIGTERM, "dags/slow.bin"),
        (signal.SIGINT, "dags/slow.bin"),
        (signal.SIGHUP, "dags/slow.bin"),
        (signal.SIGTERM, ""),
    ],
)
def test_a_signal_during_the_sync_ends_promptly_and_tidily(launch, s3, airflow_home, number, key):
    dags = airflow_home / "dags"
    dags.mkdir()
    (dags / "old.py").write_text("old")
    s3.buckets["bucket"]["dags/slow.bin"] = b"x" * 600
    # 60 s of body, or a listing that is throttled again and again: longer than this waits for the end.
    s3.faults = [Fault(key, "slow") if key else Fault("", "error", code="SlowDown", status=503)]
    process = launch(*TASK, **S3, AWS_MAX_ATTEMPTS="20")
    wait_until(lambda: s3.requests[key])
    if key:
        wait_until(lambda: staging(dags))
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 85, "143 is for a command that died of SIGTERM"
    assert output == ""
    assert errors.splitlines() == [
        f"airflow-ecs-entrypoint: error: stopped by {number.name} before the command was started"
    ]
    assert names(dags) == ["old.py"] and staging(dags) == []


def test_the_command_is_the_very_process_and_gets_its_signals(launch, tmp_path):
    ready = tmp_path / "ready"
    process = launch("bash", "-c", f"trap 'echo on_kill; exit 5' TERM; echo $$ > {ready}; while :; do sleep 0.05; done")
    wait_until(lambda: ready.exists() and ready.read_text().strip())
    assert int(ready.read_text()) == process.pid
    process.terminate()
    output, _ = process.communicate(timeout=20)
    assert (process.returncode, output) == (5, "on_kill\n")


class Became(Exception):
    """Stands for the exec that would replace the test's process."""


@pytest.fixture
def become(monkeypatch, environ):
    """Run `main` up to its exec and return what it would have become."""

    def call(*arguments, **changes):
        seen = {}

        def exec_(program, argv, env):
            seen.update(program=program, argv=argv, env=env)
            raise Became

        for name, value in {**environ, **changes}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(os, "execvpe", exec_)
        umask = os.umask(0)
        handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)}
        try:
            assert main_module.main(arguments) == 82  # Became is unforeseen
        finally:
            os.umask(umask)
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return seen

    return call


@pytest.fixture
def official(monkeypatch, tmp_path) -> Path:
    path = script(tmp_path / "entrypoint", ":")
    monkeypatch.setattr(main_module, "OFFICIAL_ENTRYPOINT", str(path))
    return path


def test_a_service_syncs_its_dags_and_goes_to_the_official_entrypoint(become, official, airflow_home):
    seen = become("airflow", "scheduler", "--pid", "x", **S3)
    assert seen["argv"] == [str(official), "airflow", "scheduler", "--pid", "x"]
    assert tree(airflow_home / "dags") == {"a.py": b"a"}


def test_first_run_variables_send_a_command_there_but_never_a_task(become, official):
    assert become("version", _AIRFLOW_DB_MIGRATE="true")["argv"] == [str(official), "version"]
    assert become(*TASK, _AIRFLOW_DB_MIGRATE="true")["argv"] == ["airflow", *TASK]


def test_without_an_official_entrypoint_a_service_is_started_directly(become, official):
    official.chmod(0o644)
    seen = become("scheduler")
    assert seen["argv"] == ["airflow", "scheduler"]


@pytest.fixture
def nameless(monkeypatch):
    """The UID of this process has no name, and cannot get one."""

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(main_module, "register", lambda user, environ: None)


@pytest.mark.parametrize("given, home", [("", "/home/airflow"), ("/home/somebody", "/home/somebody")])
def test_a_uid_without_a_name_gets_airflows_home(become, official, nameless, given, home):
    seen = become("airflow", "scheduler", HOME="/", AIRFLOW_USER_HOME_DIR=given)
    assert (seen["argv"][1:], seen["env"]["HOME"]) == (["airflow", "scheduler"], home)


def test_it_gets_that_home_before_dags_are_synced(become, official, nameless, s3, tmp_path):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = AKIAHOME\naws_secret_access_key = x\n"
    )
    keys = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    become("airflow", "scheduler", HOME="/", AIRFLOW_USER_HOME_DIR=str(tmp_path), **S3, **keys)
    assert "Credential=AKIAHOME/" in s3.authorizations[0]


def test_an_unforeseen_fault_is_one_line_without_its_text(capfd, monkeypatch):
    def broken(arguments):
        raise RuntimeError("hunter2")

    monkeypatch.setattr(main_module, "parse", broken)
    umask = os.umask(0)
    try:
        assert main_module.main(["version"]) == 82
    finally:
        os.umask(umask)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert capfd.readouterr().err == (
        "airflow-ecs-entrypoint: error: unexpected RuntimeError in the entrypoint: please report it\n"
    )


@pytest.mark.parametrize("module", ["airflow", "boto3"])
def test_heavy_modules_are_never_imported(module):
    code = (
        "import sys, airflow_ecs_entrypoint.main, airflow_ecs_entrypoint.sync.sync;"
        f"print({module!r} in sys.modules, 'botocore' in sys.modules)"
    )
    output = subprocess.check_output([sys.executable, "-c", code], cwd=str(Path(main_module.__file__).parents[1]))
    assert output.decode().split() == ["False", "False"]
