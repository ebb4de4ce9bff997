"""Tasks of the kinds that people write, and one that shows what a process can observe."""

from __future__ import annotations

import atexit
import base64
import datetime
import gc
import json
import locale
import logging
import os
import resource
import signal
import sys
import threading
import warnings
import zlib
from pathlib import Path

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
    from airflow.sdk import BaseOperator, dag, task
except ImportError:
    from airflow.decorators import dag, task
    from airflow.models.baseoperator import BaseOperator
    from airflow.operators.bash import BashOperator
    from airflow.triggers.temporal import TimeDeltaTrigger


def _stream(stream):
    names = ("encoding", "errors", "line_buffering", "write_through", "closed", "newlines")
    return [type(stream).__name__, *(repr(getattr(stream, name, None)) for name in names)]


def _handlers(logger):
    return [logger.level, logger.propagate, [f"{type(one).__name__} {one.level}" for one in logger.handlers]]


def _name(thing):
    return getattr(thing, "__qualname__", None) or type(thing).__qualname__


def _title(process):
    return Path(f"/proc/{process}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()


def _files():
    for number in sorted(Path("/proc/self/fd").iterdir(), key=lambda path: int(path.name)):
        try:
            yield [number.name, str(number.readlink()), os.get_inheritable(int(number.name))]
        except OSError:
            pass  # the listing itself


def observed():
    """What this process can observe of itself."""
    main = sys.modules["__main__"]
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    os.umask(umask := os.umask(0))
    return {
        "streams": [
            _stream(getattr(sys, f"{dunder}std{name}{dunder}"))
            for dunder in ("", "__")
            for name in ("in", "out", "err")
        ],
        "exit functions": atexit._ncallbacks(),
        "title": _title("self"),
        "title of the parent": _title(os.getppid()),
        "environment": dict(os.environ),
        "files": list(_files()),
        "threads": [f"{type(one).__name__} {one.daemon}" for one in threading.enumerate()],
        "signal handlers": {
            one.name: _name(signal.getsignal(one))
            for one in signal.valid_signals()
            if isinstance(one, signal.Signals) and signal.getsignal(one)
        },
        "signals": [status[name] for name in ("SigBlk", "SigIgn", "SigCgt")],
        "modules": sorted(sys.modules),
        "main": [getattr(main, "__name__", None), getattr(main, "__file__", None), _name(main.__spec__)],
        "argv": sys.argv,
        "path": sys.path,
        "flags": repr(sys.flags),
        "import hooks": [[_name(one) for one in hooks] for hooks in (sys.meta_path, sys.path_hooks)],
        "umask": umask,
        "folder": str(Path.cwd()),
        "limits": {
            name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT")
        },
        "warnings": [repr(one) for one in warnings.filters],
        "logging": {
            name or "root": _handlers(logging.getLogger(name))
            for name in ("", "airflow", "airflow.task", "airflow.processor")
        },
        "handlers to flush": sorted(type(one()).__name__ for one in logging._handlerList if one()),
        "locale": [locale.setlocale(locale.LC_ALL), locale.getpreferredencoding(False)],
        "garbage collection": [gc.isenabled(), gc.get_threshold()],
        "group": os.getpgid(0) == os.getpid(),
    }


def callback(context):
    """What a failed task calls."""
    print("callback of", context["ti"].task_id)


class Deferring(BaseOperator):
    """Leaves its worker until a trigger fires."""

    def execute(self, context):
        """Defer at once."""
        self.defer(trigger=TimeDeltaTrigger(datetime.timedelta(hours=1)), method_name="resume")


@dag(schedule=None, start_date=datetime.datetime(2024, 1, 1), catchup=False)
def kinds():
    """Independent tasks; each is run alone."""

    @task
    def observe():
        print("OBSERVED:" + base64.b64encode(zlib.compress(json.dumps(observed()).encode())).decode())

    @task
    def python():
        logging.getLogger("acme").info("a line of a library")
        print("printed")
        return {"a": [1, 2]}

    @task
    def tail():
        sys.stdout.write("tail of the output")
        sys.stderr.write("tail of the errors")

    @task.branch
    def branch():
        return "one_way"

    @task
    def one_way():
        pass

    @task
    def other_way():
        pass

    @task.sensor(mode="reschedule", poke_interval=3600, timeout=36000)
    def sensor():
        return False

    @task.external_python(python=sys.executable, expect_airflow=False)
    def external():
        print("in another process")

    @task(on_failure_callback=callback)
    def failing():
        raise ValueError("provoked failure")

    @task
    def exiting():
        sys.exit(3)

    @task
    def subprocesses():
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map(abs, [-1, -2]))

    observe()
    python()
    tail()
    branch() >> [one_way(), other_way()]
    sensor()
    external()
    failing()
    exiting()
    subprocesses()
    BashOperator(task_id="bash", bash_command="echo {{ dag.dag_id }}; echo error >&2; ulimit -n; umask")
    Deferring(task_id="deferring")


kinds()
