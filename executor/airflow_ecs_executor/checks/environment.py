"""Configuration that must be the same in the scheduler and in the container, as far as it is known. Pure.

Airflow's documentation requires the same configuration everywhere. This module compares what a task requires to run and
its log to be found. Values of secrets are compared, but never shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Iterator, Mapping
from urllib.parse import urlsplit

from airflow_ecs_executor.airflow_side import AirflowSide
from airflow_ecs_executor.aws.run_task import parse_json
from airflow_ecs_executor.aws.task_definition import TaskDefinition
from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.options import is_true, parse_option, variable_of
from airflow_ecs_executor.image_check.facts import ImageFacts

_OWN_HOST = ("localhost", "127.0.0.1", "::1", "0.0.0.0")
_PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306}
_DEFAULT_DAG_FOLDER = "/opt/airflow/dags"
_DEFAULT_BUNDLES = ("dags-folder",)
"""Airflow's default: one bundle, of the DAG folder ([dag_processor] dag_bundle_config_list)."""


@dataclass(frozen=True)
class Container:
    """The environment of our container, from its image, the task definition and every launch."""

    values: Mapping[str, str]
    hidden: frozenset[str]
    """The names of variables whose values are not known."""
    complete: bool
    """Whether there are no other variables."""

    def has(self, section: str, name: str) -> bool:
        """Return whether an option is set in any of Airflow's ways; also true if that is not known."""
        variable = variable_of(section, name)
        return any(self.may_have(known) for known in (variable, f"{variable}_CMD", f"{variable}_SECRET"))

    def may_have(self, variable: str) -> bool:
        """Return whether a variable is set; also true if that is not known."""
        return not self.complete or variable in self.values or variable in self.hidden

    def get(self, section: str, name: str) -> str | None:
        """Return the value of an option; None if it is not set, or not known."""
        return self.values.get(variable_of(section, name))


def warnings_of(
    definition: TaskDefinition | None, facts: ImageFacts | None, overrides: Mapping[str, str], airflow: AirflowSide
) -> list[str]:
    """Say what in a container's environment is not as in this Airflow. ``overrides`` are those of every launch."""
    if definition is None or not definition.image:
        return []
    container = container_of(definition, facts, overrides)
    return list(differences(airflow.configuration(), container, is_airflow_2=not airflow.HAS_WORKLOADS))


def container_of(definition: TaskDefinition, facts: ImageFacts | None, overrides: Mapping[str, str]) -> Container:
    """Return the environment of our container: ``overrides`` of every launch, the definition, and the image.

    ``facts`` is None if the image is not known.
    """
    values = {**(facts.environment if facts else {}), **definition.environment, **overrides}
    hidden = definition.secrets - set(overrides)
    visible = {name: value for name, value in values.items() if value and name not in hidden}
    return Container(visible, hidden, complete=facts is not None and not definition.environment_files)


def differences(conf: Any, container: Container, *, is_airflow_2: bool) -> Iterator[str]:
    """Yield what differs or is missing, one sentence for each option.

    ``conf`` is the configuration of the scheduler, with Airflow's ``get(section, key, fallback=…)``.
    """
    scheduler = _Scheduler(conf)
    yield from _dags(scheduler, container, is_airflow_2)
    yield from _remote_logging(scheduler, container)
    if is_airflow_2:
        yield from _database(scheduler, container)
    else:
        yield from _execution_api(scheduler, container)
    yield from _executor(scheduler, container)


class _Scheduler:
    """The options of the scheduler, as strings."""

    def __init__(self, conf: Any) -> None:
        self._conf = conf

    def get(self, section: str, name: str) -> str:
        try:
            return str(self._conf.get(section, name, fallback=None) or "").strip()
        except Exception:  # noqa: BLE001 - such as a _cmd that fails, which is reported where the option is needed
            return ""


def _dags(scheduler: _Scheduler, container: Container, is_airflow_2: bool) -> Iterator[str]:
    values = container.values
    if values.get("AIRFLOW_ECS_DAGS") == "s3" and not container.may_have("S3_URI"):
        yield "S3_URI is not set in the container, and the image loads its DAGs from S3: every task fails"
    if not is_airflow_2:
        yield from _bundles(scheduler, container)
    ours = scheduler.get("core", "dags_folder")
    theirs = (
        container.get("core", "dags_folder")
        or values.get("CONTAINER_DAG_PATH")
        or (_DEFAULT_DAG_FOLDER if "AIRFLOW_ECS_DAGS" in values and container.complete else "")
    )
    if ours and theirs and ours.rstrip("/") != theirs.rstrip("/"):
        yield (
            f"[core] dags_folder is {ours} in the scheduler and {theirs} in the container: tasks find their files by "
            "the relative path, but code that uses the absolute path finds another one"
        )


def _bundles(scheduler: _Scheduler, container: Container) -> Iterator[str]:
    section, name = "dag_processor", "dag_bundle_config_list"
    ours = _bundle_names(scheduler.get(section, name)) or _DEFAULT_BUNDLES
    if not container.has(section, name):
        missing = [bundle for bundle in ours if bundle not in _DEFAULT_BUNDLES]
    else:
        theirs = _bundle_names(container.get(section, name) or "")
        missing = [bundle for bundle in ours if theirs and bundle not in theirs]
    if missing:
        yield (
            f"[{section}] {name} has the DAG bundle {', '.join(missing)} in the scheduler and not in the container: "
            f"its tasks fail; set {variable_of(section, name)} to the same value"
        )


def _bundle_names(text: str) -> tuple[str, ...]:
    try:
        found = json.loads(text)
        return tuple(str(item["name"]) for item in found)
    except (ValueError, TypeError, KeyError):
        return ()


def _remote_logging(scheduler: _Scheduler, container: Container) -> Iterator[str]:
    section, switch = "logging", "remote_logging"
    ours = is_true(scheduler.get(section, switch))
    if ours and not container.has(section, switch):
        yield (
            f"[{section}] {switch} is on in the scheduler and not set in the container: the log of a task is "
            f"lost with its container; set {variable_of(section, switch)}=True there"
        )
        return
    value = container.get(section, switch)
    if value is None:
        return
    theirs = is_true(value)
    if ours != theirs:
        on, off = ("scheduler", "container") if ours else ("container", "scheduler")
        yield f"[{section}] {switch} is on in the {on} and off in the {off}: logs are not found in the UI"
    if not ours or not theirs:
        return
    for name in ("remote_base_log_folder", "remote_log_conn_id"):
        expected = scheduler.get(section, name)
        if expected and not container.has(section, name):
            variable = variable_of(section, name)
            yield f"[{section}] {name} is {expected} in the scheduler and not set in the container: set {variable}"
            continue
        actual = container.get(section, name)
        if actual is not None and actual.strip().rstrip("/") != expected.rstrip("/"):
            yield f"[{section}] {name} is {expected or 'not set'} in the scheduler and {actual} in the container"


def _database(scheduler: _Scheduler, container: Container) -> Iterator[str]:
    section, name = "database", "sql_alchemy_conn"
    if not container.has(section, name):
        yield (
            f"[{section}] {name} is not set in the container: tasks of Airflow 2 require the metadata database; set "
            f"{variable_of(section, name)} as a secret in the task definition"
        )
        return
    value = container.get(section, name)
    if value is not None and _place(value) != _place(scheduler.get(section, name)):
        yield f"[{section}] {name} names another database in the container than in the scheduler"
    section, name = "core", "fernet_key"
    key = scheduler.get(section, name)
    if key and not container.has(section, name):
        yield (
            f"[{section}] {name} is not set in the container: tasks cannot read encrypted connections and variables; "
            f"set {variable_of(section, name)} as a secret in the task definition"
        )
    elif key and container.get(section, name) not in (None, key):
        yield f"[{section}] {name} differs in the container: tasks cannot read encrypted connections and variables"


def _place(url: str) -> tuple[str | None, int | None, str]:
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or _PORTS.get(parts.scheme.partition("+")[0]), parts.path
    except ValueError:
        return None, None, url


def _execution_api(scheduler: _Scheduler, container: Container) -> Iterator[str]:
    section, name = "core", "execution_api_server_url"
    if not container.has(section, name):
        yield (
            f"[{section}] {name} is not set in the container: tasks of Airflow 3 require the API server; set "
            f"{variable_of(section, name)}, for example to http://airflow.internal:8080/execution/"
        )
        return
    ours, theirs = scheduler.get(section, name), container.get(section, name)
    if theirs is None:
        return
    if _place(theirs)[0] in _OWN_HOST:
        yield f"[{section}] {name} is {theirs} in the container: that is the container itself"
    elif ours and ours.rstrip("/") != theirs.rstrip("/"):
        yield f"[{section}] {name} is {ours} in the scheduler and {theirs} in the container"


def _executor(scheduler: _Scheduler, container: Container) -> Iterator[str]:
    if "airflow_ecs_executor" in (container.get("core", "executor") or ""):
        yield (
            f"{variable_of('core', 'executor')} names this executor in the container, where it is not installed: "
            "Airflow's commands there log import errors or fail; omit the variable"
        )
    for option in options.OPTIONS:
        found = container.get(option.section, option.name)
        if found is None:
            continue
        ours = scheduler.get(option.section, option.name)
        if _value(option, found.strip()) == _value(option, ours):
            continue
        if option is options.RUN_TASK_KWARGS:  # it may hold a secret in its environment
            yield f"{option} differs in the container"
        else:
            yield f"{option} is {ours or 'not set'} in the scheduler and {found} in the container"


def _value(option: options.Option, text: str) -> Any:
    try:
        return parse_json(text) if option is options.RUN_TASK_KWARGS else parse_option(option, text)
    except ValueError:
        return text
