"""Holds an import back that would look into a folder which is still being loaded.

Airflow is imported while DAGs, plugins and configuration come down. Whatever it imports, it sees what it would have
seen had they been there from the start: the first look into one of their folders waits for the load.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Callable, Iterable, Iterator, Sequence

from .settings import contains


class Gate:
    """A finder before all others, and for the folders instead of all others; when its block ends, they are loaded.

    ``wait`` returns when they are.
    """

    def __init__(self, folders: Iterable[str], wait: Callable[[], object]) -> None:
        self._folders = tuple(folders)
        self._wait = wait
        self._closed = False

    def __enter__(self) -> Gate:
        self._closed = True
        sys.meta_path.insert(0, self)
        sys.path_hooks.insert(0, self._finder_for)
        self._forget()
        return self

    def __exit__(self, *_: object) -> None:
        self._open()
        sys.meta_path.remove(self)  # not in `_open`: an import that waits is going through it

    def _open(self) -> None:
        if self._closed:
            self._wait()
            self._closed = False
            sys.path_hooks.remove(self._finder_for)
            self._forget()

    def _forget(self) -> None:
        for path in [path for path in sys.path_importer_cache if self._guards(path)]:
            del sys.path_importer_cache[path]

    def _guards(self, path: str) -> bool:
        return any(contains(folder, os.path.abspath(path)) for folder in self._folders)

    def _finder_for(self, path: str) -> _Folder:
        if not self._guards(path):
            raise ImportError("not guarded", path=path)
        return _Folder(path, self._open)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Nothing: modules are found by the finders that follow."""
        return None

    def find_distributions(self, context: Any) -> Iterator[Any]:
        """Nothing, but wait: entry points are looked up in folders as well, and only once."""
        if any(self._guards(path) for path in context.path):
            self._open()
        return iter(())


class _Folder:
    """Finds the modules of one folder, after the load."""

    def __init__(self, path: str, wait: Callable[[], object]) -> None:
        self._path = path
        self._wait = wait

    def find_spec(self, name: str, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module, as the finder of an ordinary folder finds it."""
        self._wait()
        return PathFinder.find_spec(name, [self._path], target)
