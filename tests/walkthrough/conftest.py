"""How much of the documentation is followed."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The way to production on the newest Airflow alone, or on an Airflow 2 as well."""
    parser.addoption("--full", action="store_true", help="the way to production for Airflow 2 as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for the full run; the longest comes first, so that two processes share the work."""
    items.sort(key=lambda item: "test_production" not in item.nodeid)
    if not config.getoption("--full"):
        left_out = [item for item in items if item.get_closest_marker("full")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
