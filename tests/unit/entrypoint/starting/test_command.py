from __future__ import annotations

import pytest
from airflow_ecs_entrypoint.errors import VersionError
from airflow_ecs_entrypoint.starting.command import SyncPolicy, check_version, hand_over, parse

STRICT, LENIENT, NEVER = SyncPolicy.STRICT, SyncPolicy.LENIENT, SyncPolicy.NEVER
SDK = "airflow.sdk.execution_time.execute_workload"


@pytest.mark.parametrize(
    "arguments, argv",
    [
        ("", "airflow"),
        ("version", "airflow version"),
        ("tasks run d t r", "airflow tasks run d t r"),
        ("airflow tasks run d t r", "airflow tasks run d t r"),
        ("--help", "airflow --help"),
        ("no-such-subcommand", "airflow no-such-subcommand"),
        ("ls", "airflow ls"),
        ("bash -c ls", "/bin/bash -c ls"),
        ("/bin/bash -c ls", "/bin/bash -c ls"),
        ("sh -c ls", "sh -c ls"),
        ("python -V", "python -V"),
        ("python3.11 -V", "python3.11 -V"),
        ("/usr/bin/python3 x.py", "/usr/bin/python3 x.py"),
        ("/bin/sh", "/bin/sh"),
        ("/opt/tool x", "/opt/tool x"),
        ("env", "env"),
        ("aws s3 ls", "aws s3 ls"),
        ("pip list", "pip list"),
    ],
)
def test_arguments_mean_what_the_official_image_makes_of_them(arguments, argv):
    assert list(parse(arguments.split()).argv) == argv.split()


@pytest.mark.parametrize(
    "arguments",
    [
        "tasks run d t r --local --subdir x.py",
        "airflow tasks run d t r",
        "/home/airflow/.local/bin/airflow tasks run d t r",
        f"python -m {SDK} --json-string {{}}",
        f"python3 -m {SDK} --json-path x",
        f"python3.12 -m {SDK}",
        f"/usr/local/bin/python -m {SDK}",
        f"python -u -X dev -m {SDK}",
        f"python -W ignore -um {SDK}",
        f"python -m{SDK}",
        "python -m airflow tasks run d t r",
        "bash -c airflow\ttasks\trun\td",
        f"/bin/sh -c exec\tpython\t-m\t{SDK}",
        "env A=1 airflow tasks run d t r",
    ],
)
def test_a_task_is_recognised_and_needs_its_dags(arguments):
    command = parse([argument.replace("\t", " ") for argument in arguments.split(" ")])
    assert command.task and command.sync is STRICT


@pytest.mark.parametrize(
    "arguments, sync",
    [
        ("", NEVER),
        ("version", NEVER),
        ("airflow info", NEVER),
        ("db migrate", NEVER),
        ("connections list", NEVER),
        ("--help", NEVER),
        ("airflow --version", NEVER),
        ("dags list --help", NEVER),
        ("tasks run --help", NEVER),
        ("dags list", STRICT),
        ("tasks test d t", STRICT),
        ("scheduler", STRICT),
        ("dag-processor", STRICT),
        ("plugins", STRICT),
        ("bash", LENIENT),
        ("sh -c ls", LENIENT),
        ("/bin/sh", LENIENT),
        ("env", LENIENT),
        ("aws s3 ls", NEVER),
        ("/opt/tool", STRICT),
        ("python", LENIENT),
        ("python --version", NEVER),
        ("python3 -V", NEVER),
        ("python script.py", STRICT),
        ("python -c x", STRICT),
        ("python -m airflow version", NEVER),
        # What follows a script or -c are its own arguments.
        (f"python x.py -m {SDK}", STRICT),
        (f"python -c x -m {SDK}", STRICT),
    ],
)
def test_other_commands_sync_dags_as_they_need_them(arguments, sync):
    command = parse(arguments.split())
    assert command.sync is sync
    assert not command.task


@pytest.mark.parametrize(
    "service", ["scheduler", "webserver", "api-server", "dag-processor", "triggerer", "standalone"]
)
def test_services_go_to_the_official_entrypoint(service):
    assert hand_over(parse([service]), first_run=False)
    assert hand_over(parse(["airflow", service, "--pid", "x"]), first_run=False)
    assert not hand_over(parse([service, "--help"]), first_run=False)


@pytest.mark.parametrize(
    "arguments, handed",
    [
        ("version", True),
        ("", True),
        ("bash", True),
        ("python -V", True),
        ("celery worker", True),
        ("dags list", True),
        ("tasks run d t r", False),
        (f"python -m {SDK}", False),
        ("bash -c airflow tasks run", False),
        ("/bin/sh", False),
        ("aws s3 ls", False),
    ],
)
def test_first_run_variables_send_all_but_tasks_and_foreign_programs_there(arguments, handed):
    command = parse(arguments.split())
    assert hand_over(command, first_run=True) is handed
    assert hand_over(command, first_run=False) is command.service


@pytest.mark.parametrize(
    "arguments, version",
    [
        (f"python -m {SDK} --json-string x", "2.10.5"),
        ("tasks run d t r --local", "3.0.6"),
        ("airflow tasks run d t r --raw", "3.3.2"),
    ],
)
def test_a_task_of_the_other_major_version_is_refused(arguments, version):
    with pytest.raises(VersionError, match=version) as caught:
        check_version(parse(arguments.split()), version)
    assert caught.value.exit_code == 83


@pytest.mark.parametrize(
    "arguments, version",
    [
        (f"python -m {SDK}", "3.0.6"),
        (f"python -m {SDK}", ""),
        (f"python -m {SDK}", "20.1"),
        ("tasks run d t r --local", "2.10.5"),
        ("tasks run d t r --local", ""),
        ("tasks run d t r", "3.3.2"),
        ("version", "2.10.5"),
    ],
)
def test_what_is_not_certainly_wrong_is_not_refused(arguments, version):
    command = parse(arguments.split())
    check_version(command, version)
    assert command.argv  # no exception is the point


@pytest.mark.parametrize("arguments", [["secret-token"], ["/opt/secret-token"], ["tasks", "secret-token"]])
def test_the_kind_never_shows_an_argument(arguments):
    assert "secret-token" not in parse(arguments).kind
