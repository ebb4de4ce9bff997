"""What importing the package loads. As an installed distribution: tests/executor/test_package.py."""

from __future__ import annotations

import subprocess
import sys

import airflow_ecs_executor
import pytest

INSIDE_AIRFLOW = ("airflow_ecs_executor.executor", "airflow_ecs_executor.airflow_compat")
"""The modules that import Airflow."""
IMPORT_THE_OTHERS = f"""
import pkgutil, sys
import airflow_ecs_executor
for module in pkgutil.walk_packages(airflow_ecs_executor.__path__, "airflow_ecs_executor."):
    if module.name not in {INSIDE_AIRFLOW}:
        __import__(module.name)
"""
SHOW = "; import sys; print(*sys.modules, sep='\\n')"


def modules_after(code: str) -> set[str]:
    """The top-level modules that are loaded after some code, by a Python without Airflow."""
    done = subprocess.run([sys.executable, "-c", code], cwd="executor", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "code", ["import airflow_ecs_executor", "from airflow_ecs_executor.provider import get_provider_info as get; get()"]
)
def test_loading_the_package_costs_nothing(code: str) -> None:
    loaded = modules_after(code + SHOW)
    assert "airflow_ecs_executor" in loaded
    assert not loaded & {"airflow", "boto3", "botocore", "sqlalchemy"}


def test_only_two_modules_need_airflow() -> None:
    loaded = modules_after(IMPORT_THE_OTHERS + SHOW[2:])
    assert not loaded & {"airflow", "airflow_ecs_entrypoint", "images", "local", "tests"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Executor'"):
        airflow_ecs_executor.Executor  # noqa: B018
