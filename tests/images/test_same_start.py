"""A fast start cannot be told from a plain one, nor from Airflow's command without the entrypoint.

Only differences that docs/entrypoint.md names are taken out of what is compared.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from local.airflow.control_plane import Dags
from local.airflow.deployment import PreparedTask
from local.airflow.task_run import TaskResult
from tests.images.conftest import Tasks
from tests.images.product import DATA, NEW_WORKER, WORKER, Product, each

FOLDER = DATA / "kinds"
S3_KINDS = "s3://dags/kinds"
KINDS = ("python", "tail", "bash", "branch", "sensor", "deferring", "external", "failing", "exiting", "subprocesses")
OUTCOMES = {"sensor": "up_for_reschedule", "deferring": "deferred", "failing": "failed", "exiting": "failed"}
DIFFERENT_IN_EACH_RUN = (
    *("AIRFLOW_ECS_START", "HOSTNAME"),
    *("AIRFLOW_CTX_DAG_RUN_ID", "AIRFLOW_CTX_EXECUTION_DATE", "AIRFLOW_CTX_LOGICAL_DATE"),
)

# docs/entrypoint.md, "What a task sees": on Airflow 2, the commands of the auth manager and the executor are hidden.
# Their import imports these.
COMMANDS = tuple(
    f"{name}."
    for name in (
        *("airflow.api_connexion", "airflow.auth", "airflow.executors", "airflow.providers.common"),
        *("airflow.providers.fab", "airflow.traces.utils", "airflow.www"),
        *("_cython_3_2_3", "aiohappyeyeballs", "aiohttp", "aiohttp_jinja2", "aiosignal", "apispec", "babel", "click"),
        *("connexion", "cryptography", "deprecated", "flask", "flask_appbuilder", "flask_babel", "flask_jwt_extended"),
        *("flask_limiter", "flask_login", "flask_wtf", "frozenlist", "inflection", "jsonschema", "ordered_set"),
        *("jsonschema_specifications", "limits", "marshmallow", "marshmallow_sqlalchemy", "multidict", "netrc"),
        *("prison", "propcache", "referencing", "rfc3339_validator", "rpds", "sqlalchemy", "sqlalchemy_utils"),
        *("wtforms", "yarl"),
    )
)
Kinds = Callable[[PreparedTask, str], TaskResult]


@pytest.fixture
def kinds(tasks: Tasks, product: Product) -> Kinds:
    """Run a task of the folder in a start of one kind."""
    tasks.pool.deployment.stack.upload_folder(FOLDER, S3_KINDS)

    def run(task: PreparedTask, start: str) -> TaskResult:
        environment = {"AIRFLOW_ECS_START": start}
        loaded = Dags(s3_uri=S3_KINDS, path=product.container_dag_path)
        options: dict[str, Any] = {"dags": loaded, "environment": environment}
        if start == "bare":
            task, program = replace(task, command=task.command[1:]), task.command[0]
            copied = Dags(folder=FOLDER, path=product.container_dag_path)
            options = {"dags": copied, "entrypoint": ["/usr/bin/dumb-init", "--", program]}
            options["environment"] = {"AIRFLOW__CORE__DAGS_FOLDER": product.container_dag_path}
        running = tasks.start(task, **options)
        return running.wait()

    return run


def prepared(tasks: Tasks, names: tuple[str, ...]) -> list[PreparedTask]:
    """Tasks of the folder, each in a run of its own."""
    dags = Dags(s3_uri=S3_KINDS, path=tasks.dags.path)
    return tasks.deployment.prepare([("kinds", name) for name in names], dags=dags, apart=True)


def general(text: str, task: PreparedTask) -> str:
    """Text without what differs from one run to the next."""
    text = text.replace(task.run_id, "RUN")
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = re.sub(r"\b[0-9a-f][0-9a-f-]{11,}\b|0x[0-9a-f]+|eyJ[\w.-]+|(?<=/tmp/)[\w-]+", "ID", text)
    return re.sub(r"\d+", "N", text)


def observations(result: TaskResult, task: PreparedTask) -> dict[str, Any]:
    """What a task has observed, without what differs from one run to the next."""
    found = re.search(r"OBSERVED:([\w+/=]+)", result.log + result.output)
    assert found, result.describe()
    observed = json.loads(zlib.decompress(base64.b64decode(found[1])))
    for name in DIFFERENT_IN_EACH_RUN:
        observed["environment"].pop(name, None)
    for name in ("argv", "files", "title", "title of the parent"):
        observed[name] = general(json.dumps(observed[name]), task)
    observed["modules"] = {name for name in observed["modules"] if name.partition(".")[0] != "airflow_ecs_entrypoint"}
    # Handlers that were replaced are in the list until the garbage collector takes them.
    observed["handlers to flush"] = set(observed["handlers to flush"])
    # A filter of the hidden commands.
    observed["warnings"] = [one for one in observed["warnings"] if "aiohttp." not in one]
    return dict(observed)


@pytest.mark.parametrize("product", each([WORKER, NEW_WORKER]))
def test_a_task_observes_the_same(tasks: Tasks, kinds: Kinds) -> None:
    starts = ("fast", "plain", "bare")
    found = {}
    for start, task in zip(starts, prepared(tasks, ("observe",) * len(starts)), strict=True):
        found[start] = observations(kinds(task, start), task)
    fast, plain, bare = found.values()
    assert_same({**fast, "modules": None}, {**plain, "modules": None})
    assert fast["modules"] - plain["modules"] <= {"runpy"}
    hidden = COMMANDS if tasks.image == WORKER.reference else ()
    assert [name for name in plain["modules"] - fast["modules"] if not f"{name}.".startswith(hidden)] == []
    # docs/entrypoint.md, "Differences": what the entrypoint changes in any start.
    for name in ("LD_PRELOAD", "S3_URI", "CONTAINER_DAG_PATH", "AIRFLOW__CORE__DAGS_FOLDER"):
        plain["environment"].pop(name, None)
        bare["environment"].pop(name, None)
    assert (plain.pop("umask"), bare.pop("umask")) == (0o002, 0o022)
    assert_same(plain, bare)


def assert_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Compare the observations one by one, so that a failure shows the one that differs."""
    assert {name: value for name, value in first.items() if value != second[name]} == {
        name: value for name, value in second.items() if value != first[name]
    }


@pytest.mark.full
@pytest.mark.parametrize("product", each([WORKER, NEW_WORKER]))
def test_tasks_of_ten_kinds_end_and_log_the_same(tasks: Tasks, kinds: Kinds) -> None:
    for name, fast, plain in zip(KINDS, prepared(tasks, KINDS), prepared(tasks, KINDS), strict=True):
        results = [kinds(fast, "fast"), kinds(plain, "plain")]
        for result in results:
            assert (result.state, result.exit_code) == (OUTCOMES.get(name, "success"), 0), (name, result.describe())
        # Threads of the supervisor write some lines of a log in any order.
        logs = [
            sorted(general(one.readable_log, task).splitlines())
            for one, task in zip(results, (fast, plain), strict=True)
        ]
        assert logs[0] == logs[1], name
        if name == "tail":
            assert all("tail of the errors" in one.log for one in results)


@pytest.mark.parametrize("product", each([WORKER]))
def test_the_end_of_the_errors_is_logged_without_a_newline(tasks: Tasks, kinds: Kinds) -> None:
    (task,) = prepared(tasks, ("tail",))
    assert "tail of the errors" in kinds(task, "fast").require_success().log
