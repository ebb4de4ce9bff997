from __future__ import annotations

import subprocess
import sys

import pytest
from airflow_ecs_entrypoint.settings import read
from airflow_ecs_entrypoint.starting.environment import User, for_command, passwd_line, register

from tests.paths import ENTRYPOINT

KNOWN = User(50000, known=True)
UNKNOWN = User(1234, known=False)


def test_pip_user_goes_and_everything_else_stays():
    environ = {"PIP_USER": "true", "A": "1", "HOME": "/root", "LD_PRELOAD": "x.so"}
    assert for_command(environ, read({}), KNOWN) == {"A": "1", "HOME": "/root", "LD_PRELOAD": "x.so"}
    assert environ["PIP_USER"] == "true"


@pytest.mark.parametrize(
    "environ, folder",
    [
        ({}, None),
        ({"CONTAINER_DAG_PATH": "/opt/airflow/dags"}, None),
        ({"CONTAINER_DAG_PATH": "/data/dags"}, "/data/dags"),
        ({"CONTAINER_DAG_PATH": "/data/dags", "AIRFLOW__CORE__DAGS_FOLDER": ""}, "/data/dags"),
        ({"CONTAINER_DAG_PATH": "/data/dags", "AIRFLOW__CORE__DAGS_FOLDER": "/mine"}, "/mine"),
    ],
)
def test_airflow_is_told_of_another_dag_folder(environ, folder):
    assert for_command(environ, read(environ), KNOWN).get("AIRFLOW__CORE__DAGS_FOLDER") == folder


def test_unreadable_settings_change_nothing():
    assert "AIRFLOW__CORE__DAGS_FOLDER" not in for_command({"CONTAINER_DAG_PATH": "x"}, None, KNOWN)


def test_an_unknown_user_is_registered_once_and_a_known_one_never(tmp_path):
    passwd = tmp_path / "passwd"
    passwd.write_text("root:x:0:0:root:/root:/bin/bash\n")
    register(KNOWN, {}, str(passwd))
    assert passwd.read_text().count("\n") == 1
    register(UNKNOWN, {"USER_NAME": "task"}, str(passwd))
    assert passwd.read_text().splitlines()[1] == "task:x:1234:0:task user:/home/airflow:/sbin/nologin"


def test_a_missing_user_database_is_no_fault(tmp_path):
    register(UNKNOWN, {}, str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["", "a:b", "a\nroot::0:0"])
def test_a_user_name_cannot_break_the_user_database(name):
    assert passwd_line(7, {"USER_NAME": name}).startswith("default:x:7:0:")


@pytest.mark.parametrize(
    "environ, name",
    [({}, "default"), ({"USER_NAME": "worker"}, "worker"), ({"USER_NAME": "a:b"}, "default")],
)
def test_a_uid_without_a_name_gets_one_that_needs_no_writable_file(environ, name):
    """Airflow refuses to run as a user without a name; the user database may be on a read-only file system."""
    result = for_command(environ, read({}), UNKNOWN)
    assert (result["LOGNAME"], result["USER"]) == (name, name)
    assert "LOGNAME" not in for_command(environ, read({}), KNOWN)


def test_a_preloaded_library_is_loaded_into_this_process():
    """The base's LD_PRELOAD is for processes that start; a task that runs in the entrypoint's needs it as well."""
    library = "libBrokenLocale.so.1"  # comes with every glibc, and nobody uses it
    program = (
        "from airflow_ecs_entrypoint.starting.environment import load_library\n"
        f"for name in {library!r}, 'no-such-library.so':\n"
        "    print(name in open('/proc/self/maps').read())\n"
        "    load_library(name)\n"
        "    print(name in open('/proc/self/maps').read())\n"
    )
    environ = {"PYTHONPATH": str(ENTRYPOINT)}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False", "False"]
