"""What the entrypoint imports before a task's command is what the command imports in any case."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.images.conftest import Builder
from tests.images.product import EVERY_AIRFLOW, Product

_SCRIPT = """
import importlib, json, sys
from airflow_ecs_entrypoint import airflow_start as start
workload = sys.argv[1] == "3"
for name in start.WORKLOAD_MODULES if workload else start.TASKS_RUN_MODULES:
    importlib.import_module(name)
libraries = start.WORKLOAD_LIBRARIES if workload else start.TASKS_RUN_LIBRARIES
print(json.dumps([name for name in libraries if name not in sys.modules]))
"""


@pytest.mark.parametrize("product", EVERY_AIRFLOW.values(), ids=EVERY_AIRFLOW.keys())
def test_nothing_is_imported_that_the_command_does_not_need(
    product: Product, built: Builder, run: Callable[..., tuple[int, str]]
) -> None:
    major = product.base[0].partition(".")[0]
    code, output = run(built(product), "python", "-c", _SCRIPT, major)
    assert code == 0, output
    assert json.loads(output.splitlines()[-1]) == []
