"""A task's command in the entrypoint's own process must not tell the difference from a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from airflow_ecs_entrypoint.starting.program import Program, program_for

from local.fakes.s3 import Fault
from tests.paths import ENTRYPOINT
from tests.unit.entrypoint.container import S3, TASK, WORKLOAD_MODULE, script, shown, tree, wait_until

SHOW = """
import gc, json, os, signal, sys
import airflow
print(json.dumps({
    "argv": sys.argv, "argv_at_import": airflow.argv, "path_at_import": airflow.path, "path0": sys.path[0],
    "name": __name__, "main": sys.modules["__main__"].__file__,
    "parent": os.getppid(), "gc": gc.isenabled(), "term": int(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL),
    "int": signal.getsignal(signal.SIGINT) is signal.default_int_handler, "umask": os.umask(0o022),
    "environ": {k: os.environ[k] for k in sorted(os.environ) if k not in ("LD_PRELOAD", "_")},
    "ours": sorted(m for m in sys.modules if m.startswith("botocore")),
}))
"""


@pytest.fixture(autouse=True)
def one_dag(s3):
    s3.buckets["bucket"] = {"dags/a.py": b"VALUE = 42\n"}


@pytest.mark.parametrize(
    "arguments", [TASK, ("python", "-m", WORKLOAD_MODULE, "--json-string", "{}")], ids=lambda v: v[0]
)
def test_the_program_sees_what_it_sees_in_a_process_of_its_own(run, airflow, arguments):
    airflow(SHOW)
    here = shown(run(*arguments, **S3))
    there = shown(run(*arguments, AIRFLOW_ECS_START="plain", **S3))
    for name in here["environ"], there["environ"]:
        name.pop("AIRFLOW_ECS_START", None)
    if arguments[0] == "python":
        assert here.pop("term") == 0 and there.pop("term") == 1, "SIGTERM goes to the task"
    assert here == there
    assert here["argv"][1:] == list(arguments[3:] if arguments[0] == "python" else TASK)
    assert here["gc"] and here["int"] and here["name"] == "__main__"


def test_no_second_process_is_started(launch, airflow):
    airflow("import os; print(os.getpid())")
    process = launch(*TASK, **S3)
    assert int(process.communicate()[0]) == process.pid


@pytest.mark.parametrize(
    "text, code, output, errors",
    [
        ("pass", 0, "", ""),
        ("import sys; sys.exit()", 0, "", ""),
        ("import sys; sys.exit(7)", 7, "", ""),
        ("import sys; sys.exit(-1)", 255, "", ""),
        ("import sys; sys.exit('a reason')", 1, "", "a reason\n"),
        ("print('out', end='')\nraise SystemExit(True)", 1, "out", ""),
        ("import os; os._exit(9)", 9, "", ""),
        ("import atexit; atexit.register(print, 'last'); print('first')", 0, "first\nlast\n", ""),
        (
            "import threading, time\ndef work():\n    time.sleep(0.3)\n    print('done')\n"
            "threading.Thread(target=work).start()",
            0,
            "done\n",
            "",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, "", ""),
        ("import os, sys\nif os.fork() == 0: sys.exit(3)\nprint(os.wait()[1] >> 8)", 0, "3\n", ""),
        (
            "import multiprocessing as m\np = m.get_context('fork').Process(target=exit, args=(5,))\n"
            "p.start(); p.join(); print(p.exitcode)",
            0,
            "5\n",
            "",
        ),
    ],
)
def test_it_ends_as_it_ends_in_a_process_of_its_own(run, airflow, text, code, output, errors):
    airflow(text)
    result = run(*TASK)
    assert (result.returncode, result.stdout) == (code, output)
    assert "".join(line + "\n" for line in result.stderr.splitlines()[1:]) == errors


def test_an_exception_shows_its_traceback(run, airflow):
    airflow("def broken():\n    raise ValueError('of the task')\nbroken()")
    result = run(*TASK)
    assert result.returncode == 1
    assert result.stderr.endswith("ValueError: of the task\n") and "in broken" in result.stderr
    assert "entrypoint: error" not in result.stderr


def test_a_closed_standard_output_is_noticed(environ, airflow):
    airflow("print('lost')")
    command = [sys.executable, "-m", "airflow_ecs_entrypoint", *TASK]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, env=environ, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 120 and "No space left" in done.stderr


def test_dags_are_in_place_when_the_program_begins(run, s3, airflow):
    """That Airflow is imported while they come down, a signal in the middle of both shows below."""
    airflow("import os; print(os.listdir(os.environ['AIRFLOW_HOME'] + '/dags'))")
    s3.faults = [Fault("dags/a.py", "delay", seconds=0.5)]
    result = run(*TASK, **S3)
    assert "a.py" in result.stdout
    report = json.loads(result.stderr)
    assert report["seconds"]["wait"] > 0 and report["seconds"]["load"] > 0.5


def test_a_module_of_the_dag_folder_is_waited_for(run, s3, airflow, airflow_home, tmp_path):
    """As airflow_local_settings, or a logging configuration, may lie there."""
    (tmp_path / "site" / "airflow" / "__init__.py").write_text("import os\nfrom a import VALUE\npid = os.getpid()\n")
    airflow("import airflow, os, sys; print(airflow.VALUE, 'runpy' in sys.modules)")
    s3.faults = [Fault("dags/a.py", "delay", seconds=0.5)]
    path = f"{os.environ.get('PYTHONPATH', '')}:{airflow_home}/dags"
    environ = run(*TASK, **S3, PYTHONPATH=f"{ENTRYPOINT}:{tmp_path / 'site'}:{path}")
    assert environ.stdout == "42 True\n", "in the entrypoint's process, so the first import found it: " + environ.stderr


def test_a_configuration_file_in_a_synced_folder_is_waited_for(run, s3, airflow, airflow_home, tmp_path):
    """Airflow reads it before it imports anything from there."""
    (tmp_path / "site" / "airflow" / "__init__.py").write_text(
        "import os\npath = os.environ['AIRFLOW_CONFIG']\nfound = os.path.exists(path)\n"
    )
    airflow("import airflow; print(airflow.found)")
    s3.buckets["bucket"]["config/airflow.cfg"] = b"[core]\n"
    s3.faults = [Fault("config/airflow.cfg", "delay", seconds=0.5)]
    result = run(
        *TASK, **S3, CONFIG_S3_URI="s3://bucket/config", AIRFLOW_CONFIG=str(airflow_home / "config" / "airflow.cfg")
    )
    assert result.stdout == "True\n", result.stderr


def test_what_the_import_of_airflow_sets_up_stays(run, airflow, tmp_path):
    """Exit functions and signal handlers, as of airflow_local_settings or of a tracing library."""
    (tmp_path / "site" / "airflow" / "__init__.py").write_text(
        "import atexit, signal\natexit.register(print, 'exit function of the import')\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('handler of the import'))\n"
    )
    airflow("import airflow, os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    for start in ("fast", "plain"):
        result = run(*TASK, AIRFLOW_ECS_START=start)
        assert result.stdout == "handler of the import\nexit function of the import\n", (start, result.stderr)


@pytest.mark.parametrize("text, code", [("", 0), ("import sys; sys.exit(7)", 7), ("raise ValueError", 1)])
def test_exit_functions_run_that_were_registered_before_the_entrypoint(run, airflow, tmp_path, text, code):
    """As of coverage or a tracing library, which a .pth file or sitecustomize starts."""
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import atexit\ndef broken(): raise ValueError\n"
        "atexit.register(print, 'first'); atexit.register(broken); atexit.register(print, 'second')\n"
    )
    airflow(f"import atexit; atexit.register(print, 'third')\n{text}")
    for start in ("fast", "plain"):
        result = run(*TASK, **S3, AIRFLOW_ECS_START=start)
        assert (result.returncode, result.stdout) == (code, "third\nsecond\nfirst\n"), (start, result.stderr)


def test_variables_that_stay_the_same_stay_where_they_are(run, airflow):
    """Where setproctitle looks for the command line: in front of the first variable."""
    airflow(
        "import ctypes\n"
        "pointers = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), 'environ')\n"
        "start = int(open('/proc/self/stat').read().rpartition(')')[2].split()[47])  # man 5 proc: env_start\n"
        "print(pointers[0] == start)"
    )
    assert run(*TASK, PIP_USER="1").stdout == "True\n"


@pytest.mark.parametrize("looks", ["import a", "pass"])
def test_a_failed_sync_stops_it_with_one_line(run, s3, airflow, airflow_home, tmp_path, looks):
    (tmp_path / "site" / "airflow" / "__init__.py").write_text(f"try:\n    {looks}\nexcept BaseException:\n    pass\n")
    airflow("print('started')")
    s3.faults = [Fault("dags/a.py", "error", code="SlowDown", status=503)]
    site = f"{ENTRYPOINT}:{tmp_path / 'site'}:{airflow_home}/dags"
    result = run(*TASK, **S3, PYTHONPATH=site)
    assert (result.returncode, result.stdout) == (84, "")
    assert len(result.stderr.splitlines()) == 1 and result.stderr.endswith("airflow tasks run was not started\n")


def test_an_airflow_that_cannot_be_imported_says_so_itself(run, airflow, tmp_path):
    """In a process of its own: a second import after half a first one shows another error than the true one."""
    (tmp_path / "site" / "airflow" / "__init__.py").write_text(
        "import sys\nassert not hasattr(sys, 'half'), 'a misleading error'\nsys.half = True\n"
        "raise ImportError('the true reason')\n"
    )
    airflow("import airflow")
    result = run(*TASK)
    assert result.returncode == 1 and result.stderr.endswith("ImportError: the true reason\n")


@pytest.mark.parametrize("where", ["import", "sync"])
def test_a_signal_before_the_program_begins_ends_all_of_it(launch, s3, airflow, airflow_home, tmp_path, where):
    text = f"import time; open({str(tmp_path / 'importing')!r}, 'w'); time.sleep(20)\n" if where == "import" else ""
    (tmp_path / "site" / "airflow" / "__init__.py").write_text(text)
    airflow("print('started')")
    s3.faults = [Fault("dags/a.py", "hang")]
    process = launch(*TASK, **S3)
    wait_until(lambda: s3.requests["dags/a.py"] and (where == "sync" or (tmp_path / "importing").exists()))
    # As dumb-init does it: the whole process group at once.
    os.killpg(process.pid, signal.SIGTERM)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output) == (85, "")
    assert errors == "airflow-ecs-entrypoint: error: stopped by SIGTERM before the command was started\n"
    assert tree(airflow_home / "dags") == {}
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_another_program_is_executed(tmp_path):
    own = Path(sys.executable)
    python = str(own.parent)

    def found(argv, path=f"{tmp_path}:{python}"):
        return program_for(argv, path)

    assert found(["python", "-m", "json.tool", "x"]) == Program("", "json.tool", ("x",))
    assert found(["python", "script.py"]) is None
    assert found(["python", "-I", "-m", "json.tool"]) is None
    assert found(["airflow", "version"]) is None, "not there"
    for first, ours in [
        (f"#!{own}", True),
        (f"#! {own}", False),
        (f"#!{own} -I", False),
        ("#!/usr/bin/env python3", False),
        ("#!/no/such/python", False),
        ("\x7fELF", False),
    ]:
        script(tmp_path / "airflow", "")
        (tmp_path / "airflow").write_text(first + "\n")
        expected = Program(str(tmp_path / "airflow"), "", ("version",)) if ours else None
        assert found(["airflow", "version"]) == expected, first
    other = tmp_path / "venv" / "bin"
    other.mkdir(parents=True)
    (other / "python").symlink_to(own)
    assert program_for(["python", "-m", "json.tool"], str(other)) is None, "another environment"
