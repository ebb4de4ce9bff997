"""What is done for Airflow's sake before a task's command runs in this process. All that knows Airflow's inside.

The task sees what it would see after a plain start, its configuration and plugins included, with two exceptions:
some libraries are imported before `airflow_local_settings`, and Airflow 2's command line has no commands of an auth
manager or executor. Feature detection only: what an Airflow does not have is left out.
"""

from __future__ import annotations

import importlib
import os
import selectors
import signal
import sys
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType, ModuleType
from typing import Any, Iterator

# What `airflow tasks run` and a workload import in any case. Airflow looks for `airflow_local_settings` when half of
# its own modules are there, and has to wait for the load then: libraries that come after that are imported first.
TASKS_RUN_LIBRARIES = ("cron_descriptor", "dill", "flask", "jinja2", "psutil", "rich.console", "rich_argparse", "upath")
WORKLOAD_LIBRARIES = ("attrs", "httpx", "jinja2", "libcst", "msgspec", "psutil", "tenacity", "upath")
TASKS_RUN_COMMON = ("dateutil.parser", "dateutil.tz", "http.cookies", "urllib3")
"""What of it loading imports as well."""
TASKS_RUN_MODULES = ("airflow.cli.cli_parser", "airflow.cli.commands.task_command")
WORKLOAD_MODULES = (
    "airflow.executors.workloads",
    "airflow.executors.base_executor",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
)

_AWS_CONNECTION = "AIRFLOW_CONN_AWS_DEFAULT"
# Seconds. Shorter than anybody sees, long enough to cost no processor.
_MOMENT = 0.05


def import_early(workload: bool) -> bool:
    """Import what the command will import: a Task SDK ``workload``, or ``airflow tasks run``.

    False if that failed, on a malformed configuration, say. The command then needs a process of its own: a second
    import after half a first one would hide the reason.
    """
    try:
        for name in WORKLOAD_LIBRARIES if workload else TASKS_RUN_LIBRARIES:
            _import(name)
        if workload:
            with _alert_selectors():
                for name in WORKLOAD_MODULES:
                    _import(name)
            _keep_the_token_out_of_logs()
            _let_remote_logging_do_without_a_connection()
        else:
            _import("airflow")
            with _without_foreign_commands():
                for name in TASKS_RUN_MODULES:
                    _import(name)
            _TasksRunParser.install()
    except Exception:
        return False
    return True


def _import(name: str) -> None:
    """Import a module, unless this Airflow has none of that name."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise


class _AlertSelector(selectors.DefaultSelector):
    """One that looks up soon from waiting for nothing.

    The supervisor of Airflow 3 waits for the task's sockets, and after each event looks whether its process has ended.
    It mostly has not yet when its last socket closes: then the supervisor waits, without a socket, for five seconds
    (``[workers] min_heartbeat_interval``), and writes the task's log and ends that much later.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for what is registered, for the whole time; for nothing, a moment."""
        if timeout is not None and not self.get_map():
            timeout = min(timeout, _MOMENT)
        return super().select(timeout)


@contextmanager
def _alert_selectors() -> Iterator[None]:
    """What is imported meanwhile takes these for Python's default ones; the task's own code does not see them."""
    default = selectors.DefaultSelector
    selectors.DefaultSelector = _AlertSelector  # type: ignore[misc]
    try:
        yield
    finally:
        selectors.DefaultSelector = default  # type: ignore[misc]


def _keep_the_token_out_of_logs() -> None:
    """The supervisors of Airflow 3.0 and 3.1 log the workload when they begin; from 3.2 on it shows no token."""
    workload: Any = getattr(sys.modules.get("airflow.executors.workloads"), "ExecuteTask", None)
    token = getattr(workload, "model_fields", {}).get("token")
    if getattr(token, "repr", False):
        shown = workload.__repr_args__  # pydantic's
        workload.__repr_args__ = lambda self: [item for item in shown(self) if item[0] != "token"]


def _let_remote_logging_do_without_a_connection() -> None:
    """Airflow 3.0 and 3.1 start no task with remote logging to AWS where there is no connection for it.

    Their supervisor asks for ``aws_default``, unless the configuration names another connection, and fails when nobody
    has it. An empty one leaves all to boto3's own chain, the container's role first, as from 3.2 on.
    """
    supervisor: Any = sys.modules.get("airflow.sdk.execution_time.supervisor")
    original = getattr(supervisor, "_remote_logging_conn", None)
    if original is None:
        return

    @contextmanager
    def with_or_without(*args: Any, **kwargs: Any) -> Iterator[None]:
        with ExitStack() as stack:
            try:
                stack.enter_context(original(*args, **kwargs))
            except RuntimeError as error:
                if str(error) != "generator didn't yield":  # contextlib's, of one that found no connection
                    raise
                stack.enter_context(_empty_connection())
            yield

    supervisor._remote_logging_conn = with_or_without


@contextmanager
def _empty_connection() -> Iterator[None]:
    """The default AWS connection, without anything in it, where that is the one for remote logging."""
    wanted = importlib.import_module("airflow.sdk.log").load_remote_conn_id()
    if wanted != "aws_default":
        yield
        return
    os.environ[_AWS_CONNECTION] = "aws://"
    try:
        yield
    finally:
        os.environ.pop(_AWS_CONNECTION, None)


class _TasksRunParser:
    """Airflow 2's ``get_parser``, which spares ``tasks run`` the parsers of a hundred other commands.

    It is asked once for the command, in this process, and once in the process that Airflow forks for the task, before
    anything of the task runs there. Whoever asks later gets the parser of all commands.
    """

    def __init__(self, module: Any) -> None:
        self.__wrapped__ = module.get_parser
        self._module = module
        self._answered: set[int] = set()
        self._supervisor = os.getpid()
        self._parser: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        process = os.getpid()
        is_airflow = self._supervisor in (process, os.getppid()) and process not in self._answered
        self._answered.add(process)
        if args or kwargs or not is_airflow:
            return self.__wrapped__(*args, **kwargs)
        if self._parser is None:
            self._parser = self._build()
        return self._parser

    def _build(self) -> Any:
        whole = self._module.ALL_COMMANDS_DICT
        group = whole["tasks"]
        alone = [command for command in group.subcommands if command.name == "run"]
        self._module.ALL_COMMANDS_DICT = {"tasks": group._replace(subcommands=alone)}
        try:
            return self.__wrapped__.__wrapped__()  # without its cache
        finally:
            self._module.ALL_COMMANDS_DICT = whole

    @classmethod
    def install(cls) -> None:
        """Take the place of the original, if it is as this Airflow 2's."""
        module = sys.modules.get("airflow.cli.cli_parser")
        group = getattr(module, "ALL_COMMANDS_DICT", {}).get("tasks")
        has_cache = hasattr(getattr(module, "get_parser", None), "__wrapped__")
        if has_cache and hasattr(group, "subcommands") and hasattr(group, "_replace"):
            module.get_parser = cls(module)  # type: ignore[union-attr]


@contextmanager
def _without_foreign_commands() -> Iterator[None]:
    """Airflow 2's command line asks the auth manager and the executor for commands of theirs when it is imported.

    For that, it imports Flask-AppBuilder (a third of its own start) and what the executor needs. ``tasks run`` is
    Airflow's own command; the configuration stays as it is.
    """
    name = "airflow.www.extensions.init_auth_manager"
    stand_in = ModuleType(name)
    stand_in.get_auth_manager_cls = lambda: _NoCommands  # type: ignore[attr-defined]
    _import("airflow.executors.executor_loader")
    loader: Any = getattr(sys.modules.get("airflow.executors.executor_loader"), "ExecutorLoader", None)
    true_names = vars(loader).get("get_executor_names") if loader else None
    if true_names is None or name in sys.modules:
        yield
        return
    sys.modules[name] = stand_in
    loader.get_executor_names = classmethod(lambda cls, *args, **kwargs: [])
    try:
        yield
    finally:
        loader.get_executor_names = true_names
        del sys.modules[name]


class _NoCommands:
    @staticmethod
    def get_cli_commands() -> list[object]:
        return []


class TaskSignals:
    """Passes SIGTERM on to the process in which the Task SDK runs the task, so that the task's ``on_kill`` runs.

    The supervisors of Airflow 3.0 to 3.2 do not do that themselves: they die, and the container with them. That of
    3.3 does, and then has its own handler in place. The task gets a process group of its own, as Airflow 2 and 3.3
    give it one, because `dumb-init` signals the supervisor's whole group: ``on_kill`` would run twice.
    """

    def __init__(self) -> None:
        self._supervisor = os.getpid()
        self._had_task = False

    def install(self) -> None:
        """From now on, the first generation of forked processes is the task."""
        os.register_at_fork(after_in_parent=self._forked, after_in_child=self._in_child)
        signal.signal(signal.SIGTERM, self._handle)

    def _forked(self) -> None:
        if os.getpid() == self._supervisor:
            self._had_task = True

    def _in_child(self) -> None:
        if os.getppid() == self._supervisor:
            os.setpgid(0, 0)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self._supervisor:
            children = living_children(self._supervisor)
            for child in children:
                # It may have ended meanwhile, or belong to root, where Airflow runs a task as another user.
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(child, number)
            if children or self._had_task:
                return  # the supervisor reports the task's end, and ends
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def living_children(parent: int) -> list[int]:
    """The process IDs of the children of ``parent`` that have not ended."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stream:
                    text = stream.read()
            except OSError:
                continue  # it has ended
            # man 5 proc: "pid (command) state ppid …"; the command may hold anything.
            state, ppid = text.rpartition(b")")[2].split()[:2]
            if int(ppid) == parent and state not in (b"Z", b"X"):
                found.append(int(name))
    return found
