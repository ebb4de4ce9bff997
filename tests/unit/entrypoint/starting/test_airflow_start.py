"""What is done for Airflow's sake: early imports, and SIGTERM for the tasks of Airflow 3."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest
from airflow_ecs_entrypoint.starting.airflow_start import import_early, living_children

from tests.paths import ENTRYPOINT
from tests.unit.entrypoint.container import wait_until

# A supervisor as that of Airflow 3.0 to 3.2: it forks the task, and knows nothing of SIGTERM. The task's on_kill
# writes a line each time, and takes a moment.
SUPERVISOR = """
import os, signal, sys, time
from airflow_ecs_entrypoint.starting.airflow_start import TaskSignals
TaskSignals().install()

def say(text):
    os.write(1, (text + "\\n").encode())

def task():
    def on_kill(number, frame):
        say("on_kill")
        time.sleep(0.3)
        say("killed")
        os.kill(helper, signal.SIGKILL)
        os._exit(5)

    signal.signal(signal.SIGTERM, on_kill)
    helper = os.fork()
    if helper == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        say("group of the task" if os.getpgrp() == os.getppid() else "group of its own")
        time.sleep(60)
    time.sleep(0.1)
    say("running")
    time.sleep(60)

{before}
child = os.fork()
if child == 0:
    {reset}
    task()
{after}
while True:  # as the supervisor, whose waits have an end: a signal just before one that has none is heeded after it
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        break
    time.sleep(0.05)
say("task ended with %s" % (status >> 8 if status > 255 else -status))
{end}
"""
RESET = "signal.signal(signal.SIGTERM, signal.SIG_DFL)"


@pytest.fixture
def supervisor():
    started = []

    def start(before="", after="", end="", reset=RESET):
        text = SUPERVISOR.format(before=before, after=after, end=end, reset=reset)
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(text)],
            env={**os.environ, "PYTHONPATH": str(ENTRYPOINT)},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_until(process, line):
    lines = []
    while line not in lines:
        text = process.stdout.readline()
        assert text, lines
        lines.append(text.rstrip("\n"))
    return lines


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to the supervisor", "to its group, as dumb-init does"])
def test_the_task_gets_sigterm_once_and_the_supervisor_reports_its_end(supervisor, send):
    process = supervisor()
    if "group of the task" not in read_until(process, "running"):
        read_until(process, "group of the task")
    send(process.pid, signal.SIGTERM)
    assert read_until(process, "task ended with 5") == ["on_kill", "killed", "task ended with 5"]
    assert process.wait(timeout=10) == 0
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_task_that_was_not_ready_for_it_dies_of_it(supervisor):
    process = supervisor(before="", reset=RESET + "; say('forked'); time.sleep(60)")
    read_until(process, "forked")
    os.kill(process.pid, signal.SIGTERM)
    read_until(process, f"task ended with {-int(signal.SIGTERM)}")
    assert process.wait(timeout=10) == 0


def test_without_a_task_the_supervisor_dies_of_it(supervisor):
    process = supervisor(before="say('no task yet'); time.sleep(60)")
    read_until(process, "no task yet")
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=10) == -signal.SIGTERM


def test_when_the_task_has_ended_the_supervisor_may_finish_its_work(supervisor):
    process = supervisor(reset=RESET + "; os._exit(0)", end="say('uploading logs'); time.sleep(1); say('uploaded')")
    read_until(process, "uploading logs")
    os.kill(process.pid, signal.SIGTERM)
    read_until(process, "uploaded")
    assert process.wait(timeout=10) == 0


def test_a_supervisor_that_passes_it_on_itself_is_left_alone(supervisor):
    """That of Airflow 3.3 installs a handler of its own."""
    own = "signal.signal(signal.SIGTERM, lambda *_: (say('its own way'), os.kill(child, signal.SIGTERM)))"
    process = supervisor(after=own)
    read_until(process, "running")
    os.kill(process.pid, signal.SIGTERM)
    assert read_until(process, "task ended with 5") == ["its own way", "on_kill", "killed", "task ended with 5"]


def test_a_forked_task_with_the_handler_still_in_place_dies_of_it(supervisor):
    process = supervisor(reset="say('forked'); time.sleep(60)")
    read_until(process, "forked")
    os.killpg(process.pid, signal.SIGTERM)
    read_until(process, f"task ended with {-int(signal.SIGTERM)}")


def test_children_that_have_ended_are_not_living():
    child = subprocess.Popen(["sleep", "60"])
    assert child.pid in living_children(os.getpid())
    child.kill()
    wait_until(lambda: child.pid not in living_children(os.getpid()))
    child.wait()


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Make a package `airflow` of the given modules; it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(modules):
        for name, text in modules.items():
            path = tmp_path.joinpath(*name.split("."))
            path.mkdir(parents=True, exist_ok=True)
            (path / "__init__.py").write_text(text)
            for parent in path.parents:
                if parent == tmp_path:
                    break
                (parent / "__init__.py").touch()

    yield make
    for name in [name for name in sys.modules if name.partition(".")[0] == "airflow"]:
        del sys.modules[name]


AIRFLOW_2 = {
    "airflow.executors.executor_loader": """
class ExecutorLoader:
    @classmethod
    def get_executor_names(cls):
        return ["the configured one"]
""",
    "airflow.www.extensions.init_auth_manager": "def get_auth_manager_cls():\n    return 'the configured one'\n",
    "airflow.cli.cli_parser": """
from airflow.executors.executor_loader import ExecutorLoader
from airflow.www.extensions.init_auth_manager import get_auth_manager_cls
commands = [*ExecutorLoader.get_executor_names(), *get_auth_manager_cls().get_cli_commands()]
""",
    "airflow.cli.commands.task_command": "",
}


def test_tasks_run_needs_no_commands_of_auth_manager_and_executor_and_the_task_has_them(packages):
    packages(AIRFLOW_2)
    assert import_early(workload=False)
    assert sys.modules["airflow.cli.cli_parser"].commands == []
    assert "airflow.cli.commands.task_command" in sys.modules
    from airflow.executors.executor_loader import ExecutorLoader
    from airflow.www.extensions.init_auth_manager import get_auth_manager_cls

    assert ExecutorLoader.get_executor_names() == ["the configured one"]
    assert get_auth_manager_cls() == "the configured one"


@pytest.mark.parametrize(
    "modules",
    [
        {"airflow.cli.cli_parser": "", "airflow.cli.commands.task_command": ""},
        {name: text for name, text in AIRFLOW_2.items() if "task_command" not in name},
        {**AIRFLOW_2, "airflow.executors.executor_loader": "", "airflow.cli.cli_parser": ""},
    ],
    ids=["no executor loader", "no such command", "another executor loader"],
)
def test_an_airflow_that_is_made_otherwise_does_no_harm(packages, modules):
    packages(modules)
    assert import_early(workload=False)
    assert "airflow.cli.cli_parser" in sys.modules


WORKLOADS = """
class Field:
    def __init__(self, shown):
        self.repr = shown

class ExecuteTask:
    model_fields = {{"token": Field({shown})}}

    def __repr_args__(self):
        return [("ti", 1), ("token", "secret")]
"""


@pytest.mark.parametrize("shown, arguments", [(True, [("ti", 1)]), (False, [("ti", 1), ("token", "secret")])])
def test_a_workload_that_would_show_its_token_does_not(packages, shown, arguments):
    """One that is declared not to is left to pydantic, which is not part of this test."""
    packages({"airflow.executors.workloads": WORKLOADS.format(shown=shown)})
    assert import_early(workload=True)
    assert sys.modules["airflow.executors.workloads"].ExecuteTask().__repr_args__() == arguments


def test_a_supervisor_that_waits_for_nothing_looks_up_soon(packages):
    default = selectors.DefaultSelector
    packages({"airflow.sdk.execution_time.supervisor": "import selectors; made = selectors.DefaultSelector"})
    assert import_early(workload=True)
    assert selectors.DefaultSelector is default, "nobody else's is another"
    with sys.modules["airflow.sdk.execution_time.supervisor"].made() as selector:
        began = time.monotonic()
        assert selector.select(timeout=600) == []
        assert time.monotonic() - began < 60


def test_a_supervisor_that_waits_for_a_socket_waits_for_the_whole_time(packages):
    packages({"airflow.sdk.execution_time.supervisor": "import selectors; made = selectors.DefaultSelector"})
    assert import_early(workload=True)
    silent, other = socket.socketpair()
    with silent, other, sys.modules["airflow.sdk.execution_time.supervisor"].made() as selector:
        selector.register(silent, selectors.EVENT_READ)
        began = time.monotonic()
        assert selector.select(timeout=0.3) == []
        assert time.monotonic() - began >= 0.29


REMOTE_LOGGING = """
import contextlib
@contextlib.contextmanager
def _remote_logging_conn(client):
    {body}
"""


@pytest.fixture
def remote_logging(packages, monkeypatch):
    """The supervisor's context manager for remote logging, whose function has this body, once a workload can begin."""
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT", raising=False)

    def make(body, connection="aws_default"):
        packages(
            {
                "airflow.sdk.execution_time.supervisor": REMOTE_LOGGING.format(body=body),
                "airflow.sdk.log": f"def load_remote_conn_id(): return {connection!r}",
            }
        )
        assert import_early(workload=True)
        return sys.modules["airflow.sdk.execution_time.supervisor"]._remote_logging_conn

    return make


def test_remote_logging_without_a_connection_has_an_empty_one_for_as_long_as_it_lasts(remote_logging):
    with remote_logging("if client: yield")(None):
        assert os.environ["AIRFLOW_CONN_AWS_DEFAULT"] == "aws://"
    assert "AIRFLOW_CONN_AWS_DEFAULT" not in os.environ


def test_a_connection_that_the_configuration_names_is_not_made_up(remote_logging):
    with remote_logging("if client: yield", connection="logs")(None):
        assert "AIRFLOW_CONN_AWS_DEFAULT" not in os.environ


def test_remote_logging_with_a_connection_is_left_alone(remote_logging):
    with remote_logging("yield")(None):
        assert "AIRFLOW_CONN_AWS_DEFAULT" not in os.environ


def test_what_goes_wrong_with_the_connection_is_still_told(remote_logging):
    manager = remote_logging("raise RuntimeError('no API server'); yield")
    with pytest.raises(RuntimeError, match="no API server"), manager(None):
        pass


def test_what_goes_wrong_while_the_empty_connection_is_there_is_still_told(remote_logging):
    manager = remote_logging("if client: yield")
    with pytest.raises(OSError, match="upload"), manager(None):
        raise OSError("upload")
    assert "AIRFLOW_CONN_AWS_DEFAULT" not in os.environ


@pytest.mark.parametrize("text", ["raise ValueError", "import no_such_dependency", "from os import nothing"])
@pytest.mark.parametrize("workload", [False, True])
def test_a_failing_import_is_reported(packages, text, workload):
    packages({"airflow": text})
    assert not import_early(workload)


def test_a_workload_finds_its_modules_imported(packages):
    names = [
        "airflow.executors.workloads",
        "airflow.executors.base_executor",
        "airflow.sdk.execution_time.supervisor",
        "airflow.sdk.execution_time.task_runner",
        "airflow.sdk.execution_time.execute_workload",
    ]
    packages(dict.fromkeys(names, ""))
    assert import_early(workload=True)
    assert set(names[:-1]) <= set(sys.modules)
    assert names[-1] not in sys.modules, "it is the program: as such it is imported once"
