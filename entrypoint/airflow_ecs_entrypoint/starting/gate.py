"""An import hook that holds back imports from a folder that is still being synced.

Airflow is imported while DAGs, plugins and configuration are being synced. Its imports have the same results as if the
files had been there from the start: the first access to one of the folders waits for the sync.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, Iterable, Iterator, NoReturn, Sequence

from airflow_ecs_entrypoint.settings import leads_into, with_real_paths


class Gate:
    """A finder that precedes all others, and finds nothing itself. At the end of the block, the folders are synced.

    ``wait`` returns when the folders are synced.
    """

    def __init__(self, folders: Iterable[str], wait: Callable[[], object]) -> None:
        self._folders = with_real_paths(folders)
        self._names = {os.path.basename(folder) for folder in self._folders}
        self._wait = wait
        self._closed = False

    def __enter__(self) -> Gate:
        self._closed = True
        sys.meta_path.insert(0, self)
        sys.path_hooks.insert(0, self._hook)
        # Python's cached listings of the folders are outdated after the sync.
        for path in [path for path in sys.path_importer_cache if self.guards(path)]:
            del sys.path_importer_cache[path]
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
        sys.path_hooks.remove(self._hook)
        sys.meta_path.remove(self)

    def open(self) -> None:
        """Wait for the sync, unless it has been waited for already."""
        if self._closed:
            self._wait()
            self._closed = False

    def guards(self, path: str) -> bool:
        """Return whether a path leads into one of the folders."""
        return leads_into(path, self._folders)

    def _hook(self, path: str) -> NoReturn:
        """Wait if necessary when Python accesses ``path`` for the first time; then decline to provide a finder."""
        if self._closed and self.guards(path):
            self.open()
        raise ImportError("only waits for the sync", path=path)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Wait if the module may be one of the folders itself, found in its parent folder; then return None."""
        last = name.rpartition(".")[2]
        if last in self._names and self._closed:  # checks few names, so that few paths are resolved
            entries = sys.path if path is None else path
            if any(self.guards(os.path.join(entry, last)) for entry in entries):
                self.open()
        return None

    def find_distributions(self, context: Any) -> Iterator[Any]:
        """Wait if one of the folders is searched for entry points, which happens only once; then return nothing."""
        if self._closed and any(self.guards(path) for path in context.path):
            self.open()
        return iter(())
