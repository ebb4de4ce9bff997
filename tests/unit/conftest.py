from __future__ import annotations

from functools import lru_cache
from typing import Iterator

import pytest
from botocore.hooks import EventAliaser
from botocore.loaders import JSONFileLoader, Loader


@pytest.fixture(scope="session", autouse=True)
def clients_are_made_quickly() -> Iterator[None]:
    """Compute once a process what every client of botocore computes anew: tests make some hundred of them.

    The descriptions of services, their list, and the names of events depend on nothing but botocore's release.
    """
    with pytest.MonkeyPatch.context() as patch:
        load_file, list_services, alias = (
            JSONFileLoader.load_file,
            Loader.list_available_services,
            EventAliaser._alias_event_name,
        )
        loaded = lru_cache(maxsize=None)(lambda path: load_file(JSONFileLoader(), path))
        listed = lru_cache(maxsize=None)(lambda kind: list_services(Loader(), kind))
        aliased = lru_cache(maxsize=None)(lambda name: alias(EventAliaser(None), name))
        patch.setattr(JSONFileLoader, "load_file", lambda self, path: loaded(path))
        patch.setattr(Loader, "list_available_services", lambda self, kind: list(listed(kind)))
        patch.setattr(EventAliaser, "_alias_event_name", lambda self, name: aliased(name))
        yield
