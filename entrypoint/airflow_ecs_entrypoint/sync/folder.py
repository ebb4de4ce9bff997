"""The local side of a sync: a staging folder whose files replace those of the target folder when it is complete.

The staging folder lies inside the target folder, because the target may be a mount point whose parent is read-only,
and only renames within a file system are fast. Top-level entries are renamed one by one. If a rename fails, the
preceding ones are reverted.
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
_LOCK_INTERVAL = 0.05  # seconds between two attempts to get a lock
# Errors of file systems without locks. The user then has to make sure that containers do not share the folder.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF)


class StagedFolder:
    """Collects files for ``folder`` and then replaces all its files.

    Containers that share a folder check it side by side, under a shared lock, and change it one after the other, under
    an exclusive one. Locks are held until `put_in_place` or `discard`. Methods raise no exceptions but `OSError`.
    """

    def __init__(self, folder: str) -> None:
        """Lock the folder against changes. This waits as long as another container changes it, or waits to do so."""
        self.folder = folder
        self._own = os.path.join(folder, OWN_FOLDER)
        os.makedirs(self._own, exist_ok=True)
        self._manifest = os.path.join(self._own, "manifest.json")
        self._locks: list[int] = []
        self.staging = ""
        self.stamp: tuple[int, int] | None = None
        """Differs after another container has changed the folder; None if there was no sync before."""
        try:
            for name in ("lock", "queue"):
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._locks.append(os.open(os.path.join(self._own, name), flags, 0o664))
            self.share()
        except BaseException:
            self._unlock()
            raise

    def share(self) -> None:
        """Wait for the shared lock, and read what is in the folder."""
        lock, queue = self._locks
        # Who waits to change the folder holds the queue, so that no others come before.
        _wait_for_lock(queue, fcntl.LOCK_SH)
        _wait_for_lock(lock, fcntl.LOCK_SH)
        _unlock(queue)
        self._read()

    def lock_to_change(self) -> bool:
        """Exchange the shared lock for the exclusive one, and return whether that is possible.

        It is not if another container does the same. `share` then waits for that container.
        """
        lock, queue = self._locks
        locked = _try_lock(queue, fcntl.LOCK_EX)
        _unlock(lock)
        if locked:
            _wait_for_lock(lock, fcntl.LOCK_EX)
            self._read()
        return locked

    def _read(self) -> None:
        self.former = manifests.read(self._manifest)
        """The content of the folder after its previous sync."""
        try:
            status = os.stat(self._manifest)
        except FileNotFoundError:
            self.stamp = None
        else:
            self.stamp = (status.st_ino, status.st_mtime_ns)

    def stage(self) -> None:
        """Create a staging folder, and remove those that crashed containers have left behind."""
        for name in os.listdir(self._own):
            if name.startswith(_STAGING_PREFIX):
                # Folders of other users may not be removable; Airflow ignores them.
                shutil.rmtree(os.path.join(self._own, name), ignore_errors=True)
        with open(os.path.join(self._own, ".airflowignore"), "w", encoding="utf-8") as stream:
            stream.write(f"{_STAGING_PREFIX}*\n")  # valid as a glob and as a regular expression
        self.staging = tempfile.mkdtemp(prefix=f"{_STAGING_PREFIX}{os.getpid()}-", dir=self._own)
        os.chmod(self.staging, 0o775)  # another user of group 0 may have to remove it
        self._new = os.path.join(self.staging, "new")
        self._old = os.path.join(self.staging, "old")
        os.mkdir(self._new)
        os.mkdir(self._old)

    def path_for(self, relative: str) -> str:
        """Return the path to which the file ``relative`` is written. Its folder exists."""
        path = os.path.join(self._new, relative)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def scratch(self, name: str) -> str:
        """Return the path of a temporary file, which will not be in the folder."""
        return os.path.join(self.staging, name)

    def take_over(self, relative: str) -> bool:
        """Stage the folder's own file if it is unchanged since the previous sync, and return whether it is."""
        entry = self.former.files.get(relative)
        place = manifests.unchanged_file(self.folder, relative, entry) if entry else None
        if place is None:
            return False
        try:
            os.link(place, self.path_for(relative))
        except OSError:
            return False  # the file system has no hard links: the file is downloaded again
        return True

    def holds_former(self) -> bool:
        """Return whether the folder is unchanged since the previous sync."""
        return bool(self.former.files) and manifests.holds(self.folder, self.former)

    def put_in_place(self, manifest: Manifest) -> None:
        """Replace the folder's content with the staged files. If that fails, the folder keeps its content."""
        # Written first, moved last, and absent in between: after a crash, no file is considered unchanged.
        written = self.scratch("manifest.json")
        manifests.write(written, manifest)
        former = self.scratch("former-manifest.json")
        with suppress(FileNotFoundError):
            os.rename(self._manifest, former)
        new = set(os.listdir(self._new))
        old = set(os.listdir(self.folder)) - {OWN_FOLDER, *(NOT_OURS - new)}
        done: list[tuple[str, str]] = []
        try:
            for name in sorted(old | new):  # so that each entry is missing only for a moment
                place = os.path.join(self.folder, name)
                if name in old:
                    move(place, os.path.join(self._old, name))
                    done.append((place, os.path.join(self._old, name)))
                if name in new:
                    move(os.path.join(self._new, name), place)
                    done.append((os.path.join(self._new, name), place))
        except OSError:
            self._revert(done)
            with suppress(FileNotFoundError):
                os.rename(former, self._manifest)
            raise
        os.rename(written, self._manifest)
        self.discard()

    def _revert(self, done: list[tuple[str, str]]) -> None:
        try:
            for source, target in reversed(done):
                move(target, source)
        except OSError:
            self.staging = ""  # it contains the only copy of some files, so it must not be removed
            raise

    def discard(self) -> None:
        """Remove the staging folder if possible, and release the lock."""
        if self.staging:
            shutil.rmtree(self.staging, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        while self._locks:
            os.close(self._locks.pop())


def _wait_for_lock(descriptor: int, kind: int) -> None:
    while not _try_lock(descriptor, kind):
        time.sleep(_LOCK_INTERVAL)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, *_NO_LOCKS):
            raise
        return error.errno in _NO_LOCKS
    return True


def _unlock(descriptor: int) -> None:
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def move(source: str, target: str, rename: Callable[[str, str], None] = os.rename) -> None:
    """Move a file or folder within the file system."""
    try:
        rename(source, target)
    except OSError as error:
        # overlayfs does not rename a folder of a lower layer, such as DAGs that are baked into the image.
        if error.errno != errno.EXDEV or not os.path.isdir(source) or os.path.islink(source):
            raise
        shutil.copytree(source, target, symlinks=True)
        shutil.rmtree(source)
