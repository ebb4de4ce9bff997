from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader


@pytest.fixture(autouse=True, scope="session")
def service_models_are_read_once() -> Iterator[None]:
    """Parsing the descriptions of AWS services is half of what a client takes to be made; they stay the same."""
    load_file = JSONFileLoader.load_file

    @functools.lru_cache(maxsize=None)
    def read(path: str) -> Any:
        return load_file(JSONFileLoader(), path)

    JSONFileLoader.load_file = lambda _, path: read(path)
    yield
    JSONFileLoader.load_file = load_file
