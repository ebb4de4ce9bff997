"""The local ECS API as a process: how it starts, ends and resets, and who runs its containers."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import local.ecs
from local.ecs.__main__ import main
from local.ecs.control import EcsApi, EcsControl
from local.ecs.errors import EmulatorError, UnavailableError
from tests.paths import ROOT
from tests.unit.local.ecs import calls
from tests.unit.local.ecs.calls import reaches

RUNNERS = '''
import asyncio
from pathlib import Path

from local.ecs.runner import Runner
from local.ecs.simulated import SimulatedRunner


class Hooked(SimulatedRunner):
    """Writes down when containers start and end, and ends them with 7."""

    async def started(self, task):
        print("noise on stdout " * 10000)
        await asyncio.to_thread(self.note, f"started {task.overrides['containerOverrides'][0]['command'][0]}")

    async def ending(self, task):
        await asyncio.to_thread(self.note, "ending")
        if "broken" in task.overrides["containerOverrides"][0]["command"]:
            raise RuntimeError("broken hook")
        return 7

    def note(self, text):
        with (Path(__file__).parent / "notes").open("a") as file:
            print(text, file=file)


class Real(Runner):
    """Runs "containers" as a Docker runner would: it knows nothing of why a task stops."""

    def __init__(self):
        self.stops = {}

    async def start(self, task):
        if "impossible" in task.overrides["containerOverrides"][0]["command"]:
            raise RuntimeError("no engine")
        stop = self.stops[task.id] = asyncio.Event()
        self.reports.provisioned(task)
        self.reports.pulled(task)
        self.reports.container_started(task, "airflow", "engine-id")
        self.reports.running(task)
        self.reports.container_exited(task, "airflow", 3)
        await stop.wait()
        self.reports.stopping(task)
        self.reports.container_exited(task, "sidecar", 143)
        self.reports.deprovisioning(task)
        self.reports.stopped(task)

    async def stop(self, task, exit_code=None):
        self.stops[task.id].set()
'''


@pytest.fixture
def runners(tmp_path: Path) -> dict[str, str]:
    """An environment in which the module `runners` can be imported."""
    (tmp_path / "runners.py").write_text(RUNNERS, encoding="utf-8")
    return {"PYTHONPATH": str(tmp_path)}


@pytest.fixture
def api(server: EcsApi) -> EcsApi:
    server.reset()
    return server


Connect = Callable[[EcsApi], Any]


@pytest.fixture
def connect() -> Iterator[Connect]:
    clients = []

    def client_of(api: EcsApi) -> Any:
        clients.append(calls.connect(api))
        return clients[-1]

    yield client_of
    for client in clients:
        client.close()


def run_task(client: Any, *command: str, definition: str = "worker") -> str:
    container = {"name": "airflow", "command": [*command], "environment": [{"name": "A", "value": "b"}]}
    answer = calls.run_task(
        client,
        taskDefinition=definition,
        overrides={"containerOverrides": [container]},
        tags=[{"key": "team", "value": "data"}],
        startedBy="me",
    )
    return calls.arns(answer)[0]


def serves(url: str) -> bool:
    try:
        with urllib.request.urlopen(url + "/_control/running", data=b"", timeout=5):
            return True
    except OSError:
        return False


def ends(url: str) -> bool:
    """Whether nobody serves there any more, before a busy machine's time is over."""
    end = time.monotonic() + 30
    while serves(url):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class TestControl:
    def test_by_python_3_8_too(self) -> None:
        for name in ("__init__.py", "control.py", "errors.py"):
            ast.parse((Path(local.ecs.__file__).parent / name).read_text(encoding="utf-8"), feature_version=(3, 8))

    def test_tasks_are_told_with_all_that_tests_ask(self, api: EcsApi, connect: Connect) -> None:
        api.configure(run_seconds=0, forget_after=0)
        client = connect(api)
        arn = run_task(client, "airflow", "version")
        end = time.monotonic() + 5
        while not api.tasks(["forgotten"])[0]["forgotten"]:
            assert time.monotonic() < end
            time.sleep(0.005)
        (task,) = api.tasks()
        assert task["arn"] == arn and task["forgotten"]
        assert (task["command"], task["environment"], task["tags"]) == (
            ["airflow", "version"],
            {"A": "b"},
            {"team": "data"},
        )
        assert (task["startedBy"], task["lastStatus"], task["exitCode"]) == ("me", "STOPPED", 0)
        assert task["request"]["taskDefinition"] == "worker" and task["stopCode"] == "EssentialContainerExited"
        moments = [task[name] for name in ("createdAt", "startedAt", "containerEndedAt", "stoppedAt")]
        assert moments == sorted(moments)
        assert api.tasks(fields=["arn"]) == [{"arn": arn}]
        with pytest.raises(EmulatorError, match="Tasks have no 'color'"):
            api.tasks(fields=["color"])
        with pytest.raises(EmulatorError, match="There is no task x"):
            api.finish("x")

    def test_reset_makes_everything_as_freshly_started(self, api: EcsApi, connect: Connect) -> None:
        client = connect(api)
        fresh = (client.describe_clusters(clusters=["airflow"])["clusters"], client.list_task_definitions())
        api.configure(run_seconds=None, exit_code=3, forget_after=1)
        api.fault("RunTask", "latency", seconds=0)
        run_task(client)
        client.create_cluster(clusterName="second")
        client.deregister_task_definition(taskDefinition="worker:1")
        api.reset()
        api.configure(run_seconds=0)
        assert (api.tasks(), api.running(), api.calls()) == ([], 0, {})
        again = (client.describe_clusters(clusters=["airflow"])["clusters"], client.list_task_definitions())
        assert again[0] == fresh[0] and again[1]["taskDefinitionArns"] == fresh[1]["taskDefinitionArns"]
        assert reaches(client, run_task(client))["containers"][0]["exitCode"] == 0

    def test_one_that_is_served_elsewhere_is_told_by_its_address(self, api: EcsApi, connect: Connect) -> None:
        control = EcsControl(api.url)
        control.reset()
        control.configure(run_seconds=None)
        arn = run_task(connect(api), "x")
        assert [task["arn"] for task in control.tasks()] == [arn]
        reason = "Your Spot Task was interrupted."
        assert control.stop_tasks([arn], stop_code="SpotInterruption", reason=reason) == 1
        assert reaches(connect(api), arn)["stoppedReason"] == reason
        with pytest.raises(EmulatorError, match="no stop code 'Whim'"):
            control.stop_tasks([arn], stop_code="Whim", reason="x")

    def test_one_that_is_not_there_is_told(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"The ECS API at http://127.0.0.1:{port} does not answer"):
            EcsControl(f"http://127.0.0.1:{port}").running()


class TestProcess:
    def test_stop_ends_it_even_with_calls_that_hang(self, connect: Connect) -> None:
        api = EcsApi().start()
        api.fault("ListTasks", "hang", seconds=60)
        client = connect(api)
        process = subprocess.Popen(
            [sys.executable, "-c", f"import http.client; c = http.client.HTTPConnection('{api.url[7:]}'); "
             "c.request('POST', '/', '{\"cluster\": \"airflow\"}', {'X-Amz-Target': "
             "'AmazonEC2ContainerServiceV20141113.ListTasks'}); c.getresponse()"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with process:
            end = time.monotonic() + 5
            while api.calls().get("ListTasks") is None and time.monotonic() < end:
                time.sleep(0.02)
            client.list_clusters()
            started = time.monotonic()
            api.stop()
            assert time.monotonic() - started < 30
        assert not serves(api.url)
        api.stop()

    @pytest.mark.parametrize("end", ["kill", "fork"])
    def test_it_ends_with_its_parent_however_that_ends(self, end: str) -> None:
        program = (
            "import os, signal, sys\n"
            "from local.ecs.control import EcsApi\n"
            "api = EcsApi().start()\n"
            "print(api.url, flush=True)\n"
            f"end = {end!r}\n"
            "if end == 'fork' and os.fork() == 0:\n"
            "    sys.stdin.read()\n"
            "    os._exit(0)\n"
            "if end == 'kill':\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "os._exit(0)\n"
        )
        command = [sys.executable, "-c", program]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:  # type: ignore[call-overload]
            url = process.stdout.readline().strip()
            process.wait()
            assert url.startswith("http://127.0.0.1:") and ends(url)

    def test_a_port_that_is_taken_is_told(self, api: EcsApi, capfd: pytest.CaptureFixture[str]) -> None:
        assert main(["--port", api.url.rpartition(":")[2]]) == 44
        assert "cannot listen on port" in capfd.readouterr().err


class TestRunners:
    def test_hooks_see_containers_start_and_end_and_choose_the_exit_code(
        self, runners: dict[str, str], connect: Connect, tmp_path: Path
    ) -> None:
        with EcsApi(runner="runners:Hooked", environment=runners) as api:
            api.configure(run_seconds=0.02)
            client = connect(api)
            assert reaches(client, run_task(client, "first"))["containers"][0]["exitCode"] == 7
            assert reaches(client, run_task(client, "broken"))["containers"][0]["exitCode"] == 1
        notes = (tmp_path / "notes").read_text(encoding="utf-8").split("\n")
        assert notes == ["started first", "ending", "started broken", "ending", ""]

    def test_a_runner_of_one_s_own_reports_and_the_api_decides(self, runners: dict[str, str], connect: Connect) -> None:
        with EcsApi(runner="runners:Real", environment=runners) as api:
            client = connect(api)
            task = reaches(client, run_task(client, "impossible"))  # start raises
            assert task["stopCode"] == "TaskFailedToStart"
            assert task["stoppedReason"] == "InternalError: RuntimeError: no engine"
            task = reaches(client, run_task(client, "x", definition="worker-with-sidecar"))
            assert (task["stopCode"], task["lastStatus"]) == ("EssentialContainerExited", "STOPPED")
            assert {item["name"]: item["exitCode"] for item in task["containers"]} == {"airflow": 3, "sidecar": 143}
            assert "engine-id" in [item["runtimeId"] for item in task["containers"]]
            with pytest.raises(EmulatorError, match="Real takes no behaviours"):
                api.behave(exit_code=1)
            with pytest.raises(EmulatorError, match="There is no setting 'run_seconds'"):
                api.configure(run_seconds=1)
