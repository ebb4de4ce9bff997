"""Holds an import back that would look into a folder which is still being loaded.

Airflow is imported while DAGs, plugins and configuration come down. Whatever it imports, it sees what it would have
seen had they been there from the start: the first look into one of their folders waits for the load.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, Iterable, Iterator, NoReturn, Sequence

from airflow_ecs_entrypoint.settings import leads_into, with_real_paths


class Gate:
    """Asked before all finders; when its block ends, the folders are loaded.

    ``wait`` returns when they are. Everything is then found by Python's own finders.
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
        # What Python knows of the folders was true before the load.
        for path in [path for path in sys.path_importer_cache if self.guards(path)]:
            del sys.path_importer_cache[path]
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
        sys.path_hooks.remove(self._hook)
        sys.meta_path.remove(self)

    def open(self) -> None:
        """Wait, unless somebody has waited already."""
        if self._closed:
            self._wait()
            self._closed = False

    def guards(self, path: str) -> bool:
        """Whether a path leads into one of the folders."""
        return leads_into(path, self._folders)

    def _hook(self, path: str) -> NoReturn:
        """Asked for a finder the first time that Python looks into ``path``; has none, but may have to wait."""
        if self._closed and self.guards(path):
            self.open()
        raise ImportError("not ours", path=path)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Nothing, but wait if the module might be one of the folders itself, looked at from its parent."""
        last = name.rpartition(".")[2]
        if last in self._names and self._closed:  # few names, so that few paths are looked at
            entries = sys.path if path is None else path
            if any(self.guards(os.path.join(entry, last)) for entry in entries):
                self.open()
        return None

    def find_distributions(self, context: Any) -> Iterator[Any]:
        """Nothing, but wait: entry points are looked up in folders as well, and only once."""
        if self._closed and any(self.guards(path) for path in context.path):
            self.open()
        return iter(())
