"""What the entrypoint imports before a task's command is what the command imports in any case."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.images.conftest import Builder
from tests.images.product import EVERY_AIRFLOW, Product, each

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


@pytest.mark.parametrize("product", each(EVERY_AIRFLOW.values()))
def test_nothing_is_imported_that_the_command_does_not_need(
    product: Product, built: Builder, run: Callable[..., tuple[int, str]]
) -> None:
    code, output = run(built(product), "python", "-c", _SCRIPT, product.airflow.partition(".")[0])
    assert code == 0, output
    assert json.loads(output.splitlines()[-1]) == []
