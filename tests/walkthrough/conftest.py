"""The order of these tests."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest comes first, so that two processes share the work."""
    items.sort(key=lambda item: "test_production" not in item.nodeid)
