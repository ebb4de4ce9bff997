"""The statsd metrics, as they arrive over UDP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections import defaultdict

from local.ecs.control import EcsApi

_PROGRAM = """
from tests.executor.harness import Scheduler, key
scheduler = Scheduler(max_run_task_attempts="2")
for number in range(4):
    scheduler.queue(key(number))
scheduler.run_to_the_end()
assert len(scheduler.ends()) == 4, scheduler.ends()
"""


def _read(server: socket.socket, lines: list[str]) -> None:
    """Collect what arrives until an empty packet."""
    while True:
        packet = server.recv(65536)
        if not packet:
            return
        lines += packet.decode().splitlines()


def test_launches_ends_and_troubles_are_counted(ecs: EcsApi) -> None:
    ecs.configure(run_seconds=1.5)
    ecs.behave("task-1", exit_code=1)
    ecs.behave("task-2", times=1, never_starts="CannotPullContainerError: timeout")
    ecs.fault("RunTask", "throttle", times=2)
    ecs.fault("RunTask", "server_error", match="task-3", times=1)
    lines: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        reader = threading.Thread(target=_read, args=(server, lines))
        reader.start()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(server.getsockname()[1]),
        }
        try:
            subprocess.run([sys.executable, "-c", _PROGRAM], env=environment, check=True, timeout=60)
        finally:
            server.sendto(b"", server.getsockname())
            reader.join()
    counters: dict[str, float] = defaultdict(float)
    gauges: dict[str, list[float]] = defaultdict(list)
    timings: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        name, _, rest = line.partition(":")
        value, kind = rest.split("|")[:2]
        name = name.replace("airflow.airflow_ecs_executor.", "")
        if kind == "c":
            counters[name] += float(value)
        elif kind == "g":
            gauges[name].append(float(value))
        else:
            timings[name].append(float(value))
    assert counters["launched"] == 5 and counters["succeeded"] == 3 and counters["failed"] == 1
    assert counters["throttled"] == 2 and counters["api_errors"] == 1 and counters["never_started"] == 1
    assert max(gauges["running"]) >= 1 and gauges["running"][-1] == 0
    assert {"queued", "pending_launches"} <= set(gauges)
    assert len(timings["launch_latency"]) == 5 and all(0 < value < 20_000 for value in timings["launch_latency"])
