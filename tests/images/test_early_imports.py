"""What the entrypoint imports before a task's command is what the command imports in any case."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.images.conftest import Builder
from tests.images.product import EVERY_AIRFLOW, WITH_COMMANDS, Product, each

_SCRIPT = """
import importlib, json, sys
from airflow_ecs_entrypoint.starting import airflow_start as start
from airflow_ecs_entrypoint.sync import sync_process
workload = sys.argv[1] == "3"
for name in start.WORKLOAD_MODULES if workload else start.TASKS_RUN_MODULES:
    importlib.import_module(name)
libraries = start.WORKLOAD_LIBRARIES if workload else (*start.TASKS_RUN_LIBRARIES, *start.TASKS_RUN_COMMON)
libraries += sync_process.COMMON_MODULES
print(json.dumps([name for name in libraries if name not in sys.modules]))
"""

_PARSERS = """
import json, sys
from airflow.cli import cli_parser
from airflow_ecs_entrypoint.starting.airflow_start import import_early
sys.argv = ["airflow", "tasks", "run"]
whole = cli_parser.get_parser()
assert import_early(workload=False)
alone = cli_parser.get_parser()
again = cli_parser.get_parser()

def parsed(parser, *arguments):
    return {name: repr(value) for name, value in vars(parser.parse_args(["tasks", "run", *arguments])).items()}

def usage(parser):
    commands = parser._subparsers._group_actions[0].choices["tasks"]._subparsers._group_actions[0].choices
    return commands["run"].format_help()

lines = [("d", "t", "r"), ("d", "t", "r", "--local", "--map-index", "3", "--subdir", "DAGS_FOLDER/a.py", "--pool", "p")]
print(json.dumps({
    "parsed alike": [parsed(whole, *line) == parsed(alone, *line) for line in lines],
    "explained alike": usage(whole) == usage(alone),
    "less": alone is not whole,
    "for the first only": again is whole,
}))
"""


@pytest.mark.parametrize("product", each(EVERY_AIRFLOW.values()))
def test_nothing_is_imported_that_the_command_does_not_need(
    product: Product, built: Builder, run: Callable[..., tuple[int, str]]
) -> None:
    code, output = run(built(product), "python", "-c", _SCRIPT, product.airflow.partition(".")[0])
    assert code == 0, output
    assert json.loads(output.splitlines()[-1]) == []


@pytest.mark.parametrize("product", each(WITH_COMMANDS))
def test_the_parser_of_tasks_run_alone_understands_the_same(
    product: Product, built: Builder, run: Callable[..., tuple[int, str]]
) -> None:
    code, output = run(built(product), "python", "-c", _PARSERS)
    assert code == 0, output
    found = json.loads(output.splitlines()[-1])
    assert found == {
        "parsed alike": [True, True], "explained alike": True, "less": True, "for the first only": True,
    }  # fmt: skip
