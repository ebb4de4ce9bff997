"""The file system side: a staging folder that is put in place when it is complete.

Staging lies inside the folder it is for, because the folder may be a mount point whose parent is read-only,
and only renames within one file system are instant. Top-level entries are renamed one by one; if one
rename fails, those before it are taken back.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from typing import Callable

from airflow_ecs_entrypoint.sync import manifest as manifests
from airflow_ecs_entrypoint.sync.manifest import NOT_OURS, Manifest
from airflow_ecs_entrypoint.sync.plan import OWN_FOLDER

_STAGING_PREFIX = "staging-"
_LOCK_INTERVAL = 0.05  # seconds between two looks at a lock that somebody else holds
# File systems without locks: the folder is then nobody else's, or the user has to see to it.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF)


class StagedFolder:
    """Collects files beside those of ``folder``, then replaces them all.

    Holds the folder's lock from its making until `put_in_place` or `discard`: containers that share a warm folder
    load one after the other. Every method raises `OSError` alone.
    """

    def __init__(self, folder: str) -> None:
        """Lock the folder, however long that takes."""
        self.folder = folder
        self._own = os.path.join(folder, OWN_FOLDER)
        os.makedirs(self._own, exist_ok=True)
        self._lock = os.open(os.path.join(self._own, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
        try:
            _wait_for_lock(self._lock)
        except BaseException:
            self._unlock()
            raise
        self._manifest = os.path.join(self._own, "manifest.json")
        self.former = manifests.read(self._manifest)
        """What the folder held when it was last loaded."""
        self.staging = ""

    def stage(self) -> None:
        """Make a staging folder, and remove those that crashed runs have left."""
        for name in os.listdir(self._own):
            if name.startswith(_STAGING_PREFIX):
                # What another user left may have to stay: Airflow does not look there.
                shutil.rmtree(os.path.join(self._own, name), ignore_errors=True)
        with open(os.path.join(self._own, ".airflowignore"), "w", encoding="utf-8") as stream:
            stream.write(f"{_STAGING_PREFIX}*\n")  # means the same as a glob and as a regular expression
        self.staging = tempfile.mkdtemp(prefix=f"{_STAGING_PREFIX}{os.getpid()}-", dir=self._own)
        os.chmod(self.staging, 0o775)  # any UID with GID 0 may have to remove it
        self._new = os.path.join(self.staging, "new")
        self._old = os.path.join(self.staging, "old")
        os.mkdir(self._new)
        os.mkdir(self._old)

    def path_for(self, relative: str) -> str:
        """Where the file ``relative`` is to be written; its folder exists."""
        path = os.path.join(self._new, relative)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def scratch(self, name: str) -> str:
        """A place for a file that will not be in the folder."""
        return os.path.join(self.staging, name)

    def take_over(self, relative: str) -> bool:
        """Stage the file that the folder has already, if it is still what the former load wrote."""
        entry = self.former.files.get(relative)
        place = manifests.unchanged_file(self.folder, relative, entry) if entry else None
        if place is None:
            return False
        try:
            os.link(place, self.path_for(relative))
        except OSError:
            return False  # no links on this file system: it is fetched again
        return True

    def holds_former(self) -> bool:
        """Whether the folder still holds exactly what the former load wrote."""
        return bool(self.former.files) and manifests.holds(self.folder, self.former)

    def put_in_place(self, manifest: Manifest) -> None:
        """Make the folder hold exactly the staged files. If that fails, it holds what it held before."""
        # Written first, moved last, and absent in between: after a crash nothing is taken for unchanged.
        written = self.scratch("manifest.json")
        manifests.write(written, manifest)
        former = self.scratch("former-manifest.json")
        with suppress(FileNotFoundError):
            os.rename(self._manifest, former)
        new = set(os.listdir(self._new))
        old = set(os.listdir(self.folder)) - {OWN_FOLDER, *(NOT_OURS - new)}
        done: list[tuple[str, str]] = []
        try:
            for name in sorted(old | new):  # an entry's old content gives way to its new one at once
                place = os.path.join(self.folder, name)
                if name in old:
                    move(place, os.path.join(self._old, name))
                    done.append((place, os.path.join(self._old, name)))
                if name in new:
                    move(os.path.join(self._new, name), place)
                    done.append((os.path.join(self._new, name), place))
        except OSError:
            self._take_back(done)
            with suppress(FileNotFoundError):
                os.rename(former, self._manifest)
            raise
        os.rename(written, self._manifest)
        self.discard()

    def _take_back(self, done: list[tuple[str, str]]) -> None:
        try:
            for source, target in reversed(done):
                move(target, source)
        except OSError:
            self.staging = ""  # it holds the only copy of something: it stays
            raise

    def discard(self) -> None:
        """Remove the staging folder, best effort, and give the lock back."""
        if self.staging:
            shutil.rmtree(self.staging, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _wait_for_lock(descriptor: int) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return None
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                raise
        time.sleep(_LOCK_INTERVAL)


def move(source: str, target: str, rename: Callable[[str, str], None] = os.rename) -> None:
    """Move a file or a folder within the file system."""
    try:
        rename(source, target)
    except OSError as error:
        # overlayfs does not rename a folder that comes from a lower layer, such as DAGs baked into the image.
        if error.errno != errno.EXDEV or not os.path.isdir(source) or os.path.islink(source):
            raise
        shutil.copytree(source, target, symlinks=True)
        shutil.rmtree(source)
