"""A task's arguments that lie in S3: what a pointer is, what its object holds, and what becomes of both."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from airflow_ecs_entrypoint.errors import EntrypointError, SettingsError, UnavailableError
from airflow_ecs_entrypoint.s3_uri import S3Location
from airflow_ecs_entrypoint.starting.arguments import MAX_BYTES, arguments_in, complete, location_of, without_secret
from airflow_ecs_entrypoint.starting.command import parse

from local.fakes.s3 import DELETION, Fault
from tests.unit.entrypoint.container import S3, TOKEN, WORKLOAD_MODULE, script, shown, tree, wait_until

KEY = "workloads/prod/01J.json"
POINTER = ("--arguments-from", f"s3://bucket/{KEY}")
TASKS_RUN = ("airflow", "tasks", "run")
WORKLOAD = ("python", "-m", WORKLOAD_MODULE)
TASK = ("dag", "task", "run é", "--local")
JSON = json.dumps({"token": TOKEN, "run_id": "é"}, ensure_ascii=False)
PLAIN = {"AIRFLOW_ECS_START": "plain"}
SHOW = """
import json, sys
print(json.dumps({"argv": sys.argv[1:], "line": open("/proc/self/cmdline").read()}))
"""
# As Airflow's module reads it; and then once more, as a curious process might.
READ = """
import json, sys
option, path = sys.argv[1:]
with open(path) as file:
    first = file.read()
with open(path) as file:
    print(json.dumps([option, first, file.read(), open("/proc/self/cmdline").read()]))
"""


@pytest.fixture(autouse=True)
def one_dag(s3):
    s3.buckets["bucket"] = {"dags/a.py": b"a"}


@pytest.fixture
def put(s3):
    """Write the object that the pointer names."""

    def write(*arguments):
        s3.buckets["bucket"][KEY] = json.dumps({"arguments": arguments}).encode()

    return write


def is_there(s3):
    return KEY in s3.buckets["bucket"]


class TestPointer:
    @pytest.mark.parametrize("words", [TASKS_RUN, TASKS_RUN[1:], WORKLOAD])
    def test_it_names_an_object_behind_the_program(self, words):
        command = parse((*words, *POINTER))
        assert command.has_pointer and command.task
        assert location_of(command) == S3Location("bucket", KEY)

    @pytest.mark.parametrize(
        "words",
        [
            (*TASKS_RUN, *TASK),
            (*WORKLOAD, "--json-string", '{"a": "--arguments-from"}'),
            ("airflow", "dags", "list", *POINTER),
            ("python", "script.py", *POINTER),
            ("bash", "-c", "airflow tasks run", *POINTER),
        ],
    )
    def test_nothing_else_is_one(self, words):
        assert not parse(words).has_pointer

    @pytest.mark.parametrize(
        "words",
        [
            (*TASKS_RUN, *POINTER, "--local"),
            (*TASKS_RUN, "dag", *POINTER),
            (*TASKS_RUN, POINTER[0]),
            ("python", "-m", "airflow", "tasks", "run", *POINTER),
            ("python3", "-m", WORKLOAD_MODULE, *POINTER),
            ("/opt/bin/airflow", "tasks", "run", *POINTER),
        ],
    )
    def test_it_comes_alone_and_behind_these_very_words(self, words):
        command = parse(words)
        assert command.has_pointer
        with pytest.raises(SettingsError, match="must be the only arguments after 'airflow tasks run' or 'python -m "):
            location_of(command)

    @pytest.mark.parametrize(
        "uri",
        [
            "", "x", "s3://", "s3://bucket", "s3://bucket/", "http://bucket/key", "s3://hunter2@bucket/key",
            "s3://bucket/key?X-Amz-Signature=hunter2", "s3://bucket/key#x", "s3://bucket/a\nb", "file:///etc/passwd",
        ],
    )  # fmt: skip
    def test_what_names_no_object_is_refused_and_not_repeated(self, uri):
        with pytest.raises(SettingsError, match="must name an object as s3://bucket/key") as caught:
            location_of(parse((*TASKS_RUN, POINTER[0], uri)))
        assert "hunter2" not in str(caught.value)


class TestObject:
    @pytest.mark.parametrize("arguments", [[], list(TASK), ["--json-string", JSON]])
    def test_it_holds_texts(self, arguments):
        content = json.dumps({"arguments": arguments, "written_by": "a later version"}, ensure_ascii=False).encode()
        assert arguments_in(content, S3Location("bucket", KEY)) == arguments

    @pytest.mark.parametrize(
        "content",
        [
            b"", b"hunter2", b"\xff\xfe", b'["hunter2"]', b'"hunter2"', b"{}", b'{"arguments": "hunter2"}',
            b'{"arguments": ["hunter2", 1]}', b'{"arguments": ["hunter2", null]}', b'{"arguments": ["hunter2\\u0000"]}',
            b'{"arguments": ["hunter2\\ud800"]}', b"[" * 100_000, '{"arguments": ["é"]}'.encode("utf-16"),
        ],
        ids=range(13),
    )  # fmt: skip
    def test_anything_else_is_refused_and_not_shown(self, content):
        with pytest.raises(SettingsError, match=f"the task's arguments at s3://bucket/{KEY} must be JSON") as caught:
            arguments_in(content, S3Location("bucket", KEY))
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None and caught.value.__context__ is None

    @pytest.mark.parametrize(
        "arguments", [[], [JSON], ["--json-string"], [f"--json-string={JSON}"], ["--json-s", JSON], ["x", *TASK]]
    )
    def test_a_workload_comes_as_json_or_not_at_all(self, arguments):
        with pytest.raises(SettingsError, match="must be --json-string and its JSON") as caught:
            complete(parse((*WORKLOAD, *POINTER)), arguments)
        assert TOKEN not in str(caught.value)


class TestPipe:
    @pytest.mark.parametrize("size", [0, 1, 4096, 65536, 65537, MAX_BYTES])
    def test_it_holds_a_workload_of_any_size_until_it_is_read(self, size):
        text = "x" * size
        argv = without_secret(complete(parse((*WORKLOAD, *POINTER)), ["--json-string", text]))
        assert argv[:-1] == (*WORKLOAD, "--json-path")
        number = int(argv[-1].rpartition("/")[2])
        try:
            assert os.get_inheritable(number)
            for expected in (text, ""):
                assert Path(argv[-1]).read_text() == expected
        finally:
            os.close(number)

    def test_without_one_of_that_size_the_task_can_be_launched_again(self, monkeypatch):
        def refuse(*_):
            raise PermissionError(1, "over the limit of this user's pipes")

        monkeypatch.setattr(fcntl, "fcntl", refuse)
        with pytest.raises(UnavailableError, match="no pipe for the workload of 70000 bytes: raise fs"):
            without_secret(complete(parse((*WORKLOAD, *POINTER)), ["--json-string", "x" * 70000]))


@pytest.mark.parametrize(
    "start, dags", [("fast", S3), ("fast", {}), ("plain", S3)], ids=["with DAGs", "alone", "plain"]
)
class TestTask:
    def test_a_task_of_airflow_2_gets_its_arguments(self, run, s3, airflow, put, start, dags):
        airflow(SHOW)
        put(*TASK)
        result = run(*TASKS_RUN, *POINTER, AIRFLOW_ECS_START=start, AIRFLOW_VERSION="2.10.5", **dags)
        assert shown(result)["argv"] == ["tasks", "run", *TASK]
        assert not is_there(s3)
        report = json.loads(result.stderr)
        assert (report["command"], report["arguments"]) == ("airflow tasks run", "s3")
        assert s3.requests[KEY] == s3.requests[DELETION + KEY] == 1

    def test_a_workload_is_on_no_command_line(self, run, s3, airflow, put, start, dags):
        airflow(SHOW if start == "fast" else READ)
        put("--json-string", JSON)
        result = run(*WORKLOAD, *POINTER, AIRFLOW_ECS_START=start, AIRFLOW_VERSION="3.3.2", **dags)
        if start == "fast":
            seen = shown(result)
            assert seen["argv"] == ["--json-string", JSON]
            assert WORKLOAD_MODULE in seen["line"] and TOKEN not in seen["line"]
        else:
            option, first, again, line = shown(result)
            assert (option, first, again) == ("--json-path", JSON, "")
            assert WORKLOAD_MODULE in line and TOKEN not in line
        assert TOKEN not in result.stderr
        assert not is_there(s3)


def test_a_workload_for_another_interpreter_is_on_no_command_line(run, airflow, put, bin_folder):
    airflow(READ)
    script(bin_folder / "python", f'exec {sys.executable} "$@"')
    put("--json-string", JSON)
    option, first, _, line = shown(run(*WORKLOAD, *POINTER))
    assert (option, first) == ("--json-path", JSON) and TOKEN not in line


def test_arguments_are_read_first_and_deleted_last(run, s3, put):
    put(*TASK)
    assert run(*TASKS_RUN, *POINTER, **S3).returncode == 0
    assert list(s3.requests) == [KEY, "", "dags/a.py", DELETION + KEY]


def test_without_a_pointer_nothing_of_it_is_imported(run, s3, airflow):
    airflow("import sys; print('airflow_ecs_entrypoint.starting.arguments' in sys.modules)")
    result = run(*TASKS_RUN, *TASK, **S3)
    assert result.stdout == "False\n"
    assert json.loads(result.stderr)["arguments"] == "command"


@pytest.mark.parametrize(
    "fault, code, says",
    [
        (None, 82, "they are gone: a container deletes them"),
        (Fault(KEY, "error", code="AccessDenied", status=403), 81, f"allow s3:GetObject on arn:aws:s3:::bucket/{KEY} "),
        (Fault(KEY, "error", code="AccessDenied", status=403), 81, "; or they are gone"),
        (Fault(KEY, "error", code="NoSuchBucket", status=404), 82, "no such bucket"),
        (Fault(KEY, "error", code="SlowDown", status=503), 84, "S3 is throttling or has a fault (SlowDown)"),
        (Fault(KEY, "drop"), 84, "no complete answer from 127.0.0.1"),
        (Fault(KEY, "break"), 84, "no complete answer from 127.0.0.1"),
        (Fault(KEY, "hang"), 84, f"within 2 s, still reading the task's arguments at s3://bucket/{KEY}"),
        (Fault(KEY, "replace", body="hunter2"), 80, "must be JSON"),
        (Fault(KEY, "replace", body="x" * (MAX_BYTES + 1)), 80, f"more than {MAX_BYTES} bytes"),
        (Fault("dags/a.py", "error", code="AccessDenied", status=403), 81, "dags/a.py"),
        (Fault("dags/a.py", "error", code="SlowDown", status=503), 84, "dags/a.py"),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_a_failed_sync_has_its_code_and_leaves_the_arguments(sync_process, s3, put, fault, code, says):
    if fault:
        put("--json-string", "hunter2")
        s3.faults = [Fault(fault.key, fault.kind, **fault.details)]
    limit = {"DAGS_TIMEOUT": "2"} if "within 2 s" in says else {}
    with pytest.raises(EntrypointError) as caught:
        sync_process(location=S3Location("bucket", KEY), **limit).wait()
    assert caught.value.exit_code == code
    assert says in str(caught.value) and "hunter2" not in str(caught.value)
    assert is_there(s3) is (fault is not None)
    assert not s3.requests[DELETION + KEY]


@pytest.mark.parametrize(
    "words, arguments, changes, code, says",
    [
        ((*TASKS_RUN, *POINTER, "--local"), TASK, {}, 80, "must be the only arguments after"),
        ((*WORKLOAD, *POINTER), ("--json-path", "hunter2"), {}, 80, "must be --json-string and its JSON"),
        ((*WORKLOAD, *POINTER), ("--json-path", "hunter2"), PLAIN, 80, "must be --json-string and its JSON"),
        ((*TASKS_RUN, *POINTER), ("hunter2", "--local"), {"AIRFLOW_VERSION": "3.3.2"}, 83, "Airflow 3.3.2"),
        ((*WORKLOAD, *POINTER), ("--json-string", "hunter2"), {"AIRFLOW_VERSION": "2.10.5"}, 83, "Airflow 2.10.5"),
        ((*TASKS_RUN, *POINTER), ("hunter2",), {"AIRFLOW_ECS_DAGS": "s3"}, 80, "S3_URI is not set"),
    ],
)
def test_what_cannot_run_is_refused(run, airflow, put, words, arguments, changes, code, says):
    airflow("print('started')")
    put(*arguments)
    result = run(*words, **changes)
    assert (result.returncode, result.stdout) == (code, "")
    assert len(result.stderr.splitlines()) == 1
    assert says in result.stderr and "hunter2" not in result.stderr


@pytest.mark.parametrize("fault", [("error", {"code": "SlowDown", "status": 503}), ("break", {}), ("drop", {})])
def test_a_fault_that_passes_is_waited_for(sync_process, s3, put, fault):
    put(*TASK)
    s3.faults = [Fault(KEY, fault[0], times=1, **fault[1])]
    one = sync_process(location=S3Location("bucket", KEY))
    one.wait()
    assert one.arguments == list(TASK)
    assert s3.requests[KEY] == 2


def test_arguments_that_cannot_be_deleted_are_a_warning(run, s3, airflow, put):
    airflow(SHOW)
    put("--json-string", JSON)
    s3.faults = [Fault(DELETION + KEY, "error", code="AccessDenied", status=403)]
    result = run(*WORKLOAD, *POINTER)
    assert shown(result)["argv"] == ["--json-string", JSON]
    warning, _ = result.stderr.splitlines()
    assert warning == (
        f"airflow-ecs-entrypoint: warning: cannot delete the task's arguments at s3://bucket/{KEY}: access denied "
        f"(AccessDenied): allow s3:DeleteObject on arn:aws:s3:::bucket/{KEY} to the task role; "
        "the task starts anyway"
    )


def test_large_arguments_wait_for_a_slow_import(run, airflow, put, tmp_path):
    """The import takes longer than DAGS_TIMEOUT, which limits only the sync. The arguments do not fit into a pipe."""
    (tmp_path / "site" / "airflow" / "__init__.py").write_text("import time; time.sleep(2.5)\n")
    airflow("import sys; print(len(sys.argv[-1]))")
    put("--json-string", "x" * 500_000)
    result = run(*WORKLOAD, *POINTER, DAGS_TIMEOUT="2")
    assert (result.returncode, result.stdout) == (0, "500000\n"), result.stderr


def test_a_stop_leaves_the_arguments(launch, s3, airflow, airflow_home, put):
    airflow("print('started')")
    put(*TASK)
    s3.faults = [Fault("dags/a.py", "hang")]
    process = launch(*TASKS_RUN, *POINTER, **S3)
    wait_until(lambda: s3.requests["dags/a.py"])
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output) == (85, "")
    assert errors == "airflow-ecs-entrypoint: error: stopped by SIGTERM before the command was started\n"
    assert is_there(s3) and tree(airflow_home / "dags") == {}
