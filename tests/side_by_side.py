"""How tests are dealt out to the processes of pytest-xdist (`-n`)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling


class SideBySide(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """One process gets together the tests that have something in common which takes long to make."""

    def __init__(self, config: pytest.Config, log: Producer, common: Callable[[str], str]) -> None:
        """``common`` returns the name of the group that a test, given by its node ID, belongs to."""
        super().__init__(config, log)
        self._common = common

    def _split_scope(self, nodeid: str) -> str:  # what xdist's own schedulers of this kind replace
        return self._common(nodeid)
