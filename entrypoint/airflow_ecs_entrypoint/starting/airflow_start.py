"""Preparation of Airflow before a task's command runs in this process: everything that depends on Airflow's internals.

For the task, the result is the same as that of a plain start, including configuration and plugins, except for what
docs/entrypoint.md lists under "What a task sees". Airflow's features are detected; no version is compared.
"""

from __future__ import annotations

import importlib
import os
import selectors
import signal
import sys
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType, ModuleType
from typing import Any, Callable, Iterator

# Libraries that `airflow tasks run` and a workload always import. Airflow imports `airflow_local_settings` after half
# of its own modules, and then has to wait for the sync. Libraries that it would import later are imported first.
# None of them may create a logging handler: Airflow's logging configuration removes handlers that exist before it, so
# that they are not flushed at the end, and with them the end of standard error. Therefore not flask, of which only what
# it imports is imported, and not dill.
TASKS_RUN_LIBRARIES = (
    *("click", "cron_descriptor", "itsdangerous", "jinja2", "psutil", "rich.console", "rich_argparse"),
    *("upath", "werkzeug", "werkzeug.routing"),
)
WORKLOAD_LIBRARIES = ("attrs", "httpx", "jinja2", "libcst", "msgspec", "psutil", "tenacity", "upath")
TASKS_RUN_COMMON = ("dateutil.parser", "dateutil.tz", "http.cookies", "urllib3")
"""Those of them that the sync imports as well."""
TASKS_RUN_MODULES = ("airflow.cli.cli_parser", "airflow.cli.commands.task_command")
WORKLOAD_MODULES = (
    "airflow.executors.workloads",
    "airflow.executors.base_executor",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
)

_AWS_CONNECTION = "AIRFLOW_CONN_AWS_DEFAULT"
# Short enough to be unnoticeable, long enough to need no noticeable CPU time.
_POLL_INTERVAL = 0.05  # seconds


def import_early(workload: bool) -> bool:
    """Import the modules of the command: a Task SDK ``workload``, or ``airflow tasks run``.

    Return False if an import failed, for example because of a malformed configuration. The command then requires a new
    process: another import after the incomplete one would hide the reason.
    """
    try:
        for name in WORKLOAD_LIBRARIES if workload else TASKS_RUN_LIBRARIES:
            _import(name)
        if workload:
            with _polling_selectors():
                for name in WORKLOAD_MODULES:
                    _import(name)
            _hide_token_in_logs()
            _make_remote_logging_connection_optional()
        else:
            _import("airflow")
            with _without_foreign_commands():
                for name in TASKS_RUN_MODULES:
                    _import(name)
            _build_parsers_on_demand()
    except Exception:  # noqa: BLE001 - an import runs foreign code; the plain start then shows the error
        return False
    return True


def _import(name: str) -> None:
    """Import a module if this Airflow has it."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise


class _PollingSelector(selectors.DefaultSelector):
    """A selector that returns soon if nothing is registered.

    After each event of the task's sockets, the supervisor of Airflow 3 checks whether the task's process has ended.
    Usually, the process has not ended yet when its last socket closes. Then the supervisor would wait without a socket
    for five seconds (``[workers] min_heartbeat_interval``) before it writes the task's log and ends.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events, but only for a short time if nothing is registered."""
        if timeout is not None and not self.get_map():
            timeout = min(timeout, _POLL_INTERVAL)
        return super().select(timeout)


@contextmanager
def _polling_selectors() -> Iterator[None]:
    """Replace Python's default selector for modules that are imported in the block, but not for the task's own code."""
    default = selectors.DefaultSelector
    selectors.DefaultSelector = _PollingSelector  # type: ignore[misc]
    try:
        yield
    finally:
        selectors.DefaultSelector = default  # type: ignore[misc]


def _hide_token_in_logs() -> None:
    """Remove the token from the log line of the supervisor of Airflow 3.0 and 3.1, as Airflow 3.2 does."""
    workload: Any = getattr(sys.modules.get("airflow.executors.workloads"), "ExecuteTask", None)
    token = getattr(workload, "model_fields", {}).get("token")
    if getattr(token, "repr", False):
        shown = workload.__repr_args__  # pydantic's
        workload.__repr_args__ = lambda self: [item for item in shown(self) if item[0] != "token"]


def _make_remote_logging_connection_optional() -> None:
    """Let Airflow 3.0 and 3.1 start tasks with remote logging to AWS if there is no connection for it.

    Their supervisor requires the connection ``aws_default``, unless the configuration names another one. An empty
    connection makes boto3 use its own credential chain, as in Airflow 3.2.
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
                if str(error) != "generator didn't yield":  # from contextlib, if no connection was found
                    raise
                stack.enter_context(_empty_connection())
            yield

    supervisor._remote_logging_conn = with_or_without  # noqa: SLF001 - has no public name


@contextmanager
def _empty_connection() -> Iterator[None]:
    """Define an empty default AWS connection in the block if remote logging uses the default one."""
    wanted = importlib.import_module("airflow.sdk.log").load_remote_conn_id()
    if wanted != "aws_default":
        yield
        return
    os.environ[_AWS_CONNECTION] = "aws://"
    try:
        yield
    finally:
        os.environ.pop(_AWS_CONNECTION, None)


@contextmanager
def _without_foreign_commands() -> Iterator[None]:
    """Hide the commands of the auth manager and the executor from Airflow 2's command line in the block.

    For these commands, the import of the command line would import Flask-AppBuilder, which takes a third of a start,
    and the modules of the executor. ``tasks run`` is Airflow's own command. The configuration stays unchanged.
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


def _build_parsers_on_demand() -> None:
    """Let Airflow 2 add the arguments of a command to its parser when the command is parsed, not for all commands."""
    module: Any = sys.modules.get("airflow.cli.cli_parser")
    for name in ("_add_group_command", "_add_action_command"):
        if hasattr(module, name):
            setattr(module, name, _on_demand(getattr(module, name)))


def _on_demand(add: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def prepare(command: Any, parser: Any) -> None:
        def parse(*args: Any, **kwargs: Any) -> Any:
            del parser.parse_known_args
            add(command, parser)
            return parser.parse_known_args(*args, **kwargs)

        parser.parse_known_args = parse

    return prepare


class TaskSignals:
    """Forwards SIGTERM to the process in which the Task SDK runs the task, so that the task's ``on_kill`` runs.

    The supervisors of Airflow 3.0 to 3.2 do not forward it; they end, and the container with them. The supervisor of
    Airflow 3.3 installs its own handler. As in Airflow 2 and 3.3, the task gets its own process group, because
    `dumb-init` signals the whole group of the supervisor and ``on_kill`` would run twice.
    """

    def __init__(self) -> None:
        self._supervisor = os.getpid()
        self._had_task = False

    def install(self) -> None:
        """Install the handler. The processes that this process forks from now on are the task."""
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
                # The child may have ended, or belong to root if Airflow runs the task as another user.
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(child, number)
            if children or self._had_task:
                return  # the supervisor reports the end of the task, and ends itself
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def living_children(parent: int) -> list[int]:
    """Return the process IDs of the running children of ``parent``."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stream:
                    text = stream.read()
            except OSError:
                continue  # it has ended
            # man 5 proc: "pid (command) state ppid …"; the command may contain any character.
            state, ppid = text.rpartition(b")")[2].split()[:2]
            if int(ppid) == parent and state not in (b"Z", b"X"):
                found.append(int(name))
    return found
