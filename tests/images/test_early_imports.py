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

_HANDLERS = """
import importlib, json, logging, sys
from airflow_ecs_entrypoint.starting import airflow_start as start
libraries = start.WORKLOAD_LIBRARIES if sys.argv[1] == "3" else (*start.TASKS_RUN_LIBRARIES, *start.TASKS_RUN_COMMON)
kept = [importlib.import_module(name) for name in libraries]
handlers = [reference() for reference in logging._handlerList]
ours = (None, logging.lastResort)
print(json.dumps([repr(one) for one in handlers if one not in ours and type(one) is not logging.NullHandler]))
"""

_PARSERS = """
import contextlib, io, json, sys
from airflow.cli import cli_parser
from airflow_ecs_entrypoint.starting.airflow_start import import_early
sys.argv = ["airflow", "tasks", "run"]
whole = cli_parser.get_parser()
assert import_early(workload=False)
cli_parser.get_parser.cache_clear()
on_demand = cli_parser.get_parser()
arguments = len(on_demand._subparsers._group_actions[0].choices["tasks"]._actions)

def lines(commands):
    for command in commands:
        yield [command.name]
        yield from ([command.name, *line] for line in lines(getattr(command, "subcommands", ())))

def help_of(parser, line):
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        parser.parse_args([*line, "--help"])
    return text.getvalue()

def parsed(parser):
    line = ["tasks", "run", "d", "t", "r", "--local", "--map-index", "3", "--subdir", "DAGS_FOLDER/a.py", "--pool", "p"]
    return {name: repr(value) for name, value in vars(parser.parse_args(line)).items()}

every = [*lines(cli_parser.ALL_COMMANDS_DICT.values())]
print(json.dumps({
    "commands": len(every),
    "arguments before the command is parsed": arguments,
    "other help": [line for line in every if not help_of(whole, line) == help_of(on_demand, line) > ""],
    "parsed alike": parsed(whole) == parsed(on_demand),
}))
"""


@pytest.mark.parametrize("product", each(EVERY_AIRFLOW.values()))
def test_nothing_is_imported_that_the_command_does_not_need(
    product: Product, built: Builder, run: Callable[..., tuple[int, str]]
) -> None:
    code, output = run(built(product), "python", "-c", _SCRIPT, product.airflow.partition(".")[0])
    assert code == 0, output
    assert json.loads(output.splitlines()[-1]) == []


@pytest.mark.parametrize("product", each(EVERY_AIRFLOW.values()))
def test_no_logging_handler_exists_before_airflow_configures_logging(
    product: Product, built: Builder, run: Callable[..., tuple[int, str]]
) -> None:
    """Airflow would remove it from those that are flushed at the end of a task: flask's flushes standard error."""
    code, output = run(built(product), "python", "-c", _HANDLERS, product.airflow.partition(".")[0])
    assert code == 0, output
    assert json.loads(output.splitlines()[-1]) == []


@pytest.mark.parametrize("product", each(WITH_COMMANDS))
def test_parsers_that_are_built_on_demand_are_those_of_airflow(
    product: Product, built: Builder, run: Callable[..., tuple[int, str]]
) -> None:
    code, output = run(built(product), "python", "-c", _PARSERS)
    assert code == 0, output
    found = json.loads(output.splitlines()[-1])
    assert found.pop("commands") > 100
    only_help = 1
    assert found == {
        "arguments before the command is parsed": only_help, "other help": [], "parsed alike": True,
    }  # fmt: skip
