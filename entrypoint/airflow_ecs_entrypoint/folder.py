"""The file system side: a staging folder that is put in place when it is complete.

Staging lies inside the folder it is for, because the folder may be a mount point whose parent is read-only,
and only renames within one file system are instant. Top-level entries are renamed one by one; if one
rename fails, those before it are taken back.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from typing import Callable

from .plan import STAGING_PREFIX

# Made by mkfs at the top of a volume, owned by root.
_NOT_OURS = frozenset(("lost+found",))


class StagedFolder:
    """Collects files beside those of ``folder``, then replaces them all.

    One process at a time may load into a folder. Every method raises `OSError` alone.
    """

    def __init__(self, folder: str) -> None:
        """Make a staging folder, and remove those that crashed runs have left."""
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        for name in os.listdir(folder):
            if name.startswith(STAGING_PREFIX):
                shutil.rmtree(os.path.join(folder, name))
        self.staging = tempfile.mkdtemp(prefix=f"{STAGING_PREFIX}{os.getpid()}-", dir=folder)
        self._new = os.path.join(self.staging, "new")
        self._old = os.path.join(self.staging, "old")
        os.mkdir(self._new)
        os.mkdir(self._old)

    def path_for(self, relative: str) -> str:
        """Where the file ``relative`` is to be written; its folder exists."""
        path = os.path.join(self._new, relative)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def put_in_place(self) -> None:
        """Make the folder hold exactly the staged files. If that fails, it holds what it held before."""
        new = os.listdir(self._new)
        kept = {os.path.basename(self.staging), *(_NOT_OURS - set(new))}
        old = [name for name in os.listdir(self.folder) if name not in kept]
        moves = [(os.path.join(self.folder, name), os.path.join(self._old, name)) for name in old]
        moves += [(os.path.join(self._new, name), os.path.join(self.folder, name)) for name in new]
        done: list[tuple[str, str]] = []
        try:
            for source, target in moves:
                _move(source, target)
                done.append((source, target))
        except OSError:
            for source, target in reversed(done):
                _move(target, source)
            raise
        shutil.rmtree(self.staging)

    def discard(self) -> None:
        """Remove the staging folder, best effort."""
        shutil.rmtree(self.staging, ignore_errors=True)


def _move(source: str, target: str, rename: Callable[[str, str], None] = os.rename) -> None:
    try:
        rename(source, target)
    except OSError as error:
        # overlayfs does not rename a folder that comes from a lower layer, such as DAGs baked into the image.
        if error.errno != errno.EXDEV or not os.path.isdir(source) or os.path.islink(source):
            raise
        shutil.copytree(source, target, symlinks=True)
        shutil.rmtree(source)
