"""Sync into a folder that was synced before: only changed files are downloaded, and the folder is verified."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from airflow_ecs_entrypoint.errors import DagsError, UnavailableError
from airflow_ecs_entrypoint.sync import folder as folder_module
from airflow_ecs_entrypoint.sync.folder import StagedFolder

from local.fakes.s3 import MODIFIED, Fault
from tests.unit.entrypoint.container import names, staging, tree
from tests.unit.entrypoint.sync.test_archive import member, tar_gz


@pytest.fixture
def warm(s3, sync, dags):
    """A folder that holds what the prefix held a moment ago; nobody has asked for anything since."""
    s3.buckets["bucket"] = {"dags/a.py": b"1", "dags/b.py": b"2", "dags/pkg/c.py": b"3"}
    sync()
    s3.requests.clear()
    return dags


def fetched(s3):
    return sorted(key for key in s3.requests if key)


def test_an_unchanged_prefix_fetches_nothing_and_touches_no_source(s3, sync, warm):
    cache = warm / "__pycache__"
    cache.mkdir()
    (cache / "a.cpython-311.pyc").write_bytes(b"bytecode")
    before = {path: path.stat().st_ino for path in warm.rglob("*.py")}
    (synced,) = sync()
    assert fetched(s3) == []
    assert (synced.files, synced.fetched, synced.fetched_bytes) == (3, 0, 0)
    assert {path: path.stat().st_ino for path in warm.rglob("*.py")} == before
    assert not cache.exists(), "bytecode that nobody has checked"


def test_only_changed_and_new_objects_are_fetched_and_deleted_keys_go(s3, sync, warm):
    objects = s3.buckets["bucket"]
    objects["dags/a.py"] = b"9"  # the same size, and the same time
    objects["dags/new.py"] = b"4"
    del objects["dags/b.py"]
    (warm / "__pycache__").mkdir()
    (warm / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"of the former source, size and time")
    (synced,) = sync()
    assert fetched(s3) == ["dags/a.py", "dags/new.py"]
    assert tree(warm) == {"a.py": b"9", "new.py": b"4", "pkg/c.py": b"3"}
    assert (synced.files, synced.fetched) == (3, 2)
    assert (warm / "pkg" / "c.py").stat().st_mtime == MODIFIED.timestamp()
    assert (warm / ".airflow-ecs" / ".airflowignore").read_text() == "staging-*\n"


def edit(warm):
    status = (warm / "b.py").stat()
    (warm / "b.py").write_bytes(b"X")
    os.utime(warm / "b.py", (status.st_atime, status.st_mtime))


def remove(warm):
    (warm / "b.py").unlink()


def link(warm):
    (warm / "elsewhere").write_bytes(b"2")
    (warm / "b.py").unlink()
    (warm / "b.py").symlink_to("elsewhere")


def link_folder(warm):
    (warm / "other").mkdir()
    (warm / "other" / "c.py").write_bytes(b"3")
    (warm / "pkg" / "c.py").unlink()
    (warm / "pkg").rmdir()
    (warm / "pkg").symlink_to("other")


def forge_manifest(warm):
    edit(warm)
    path = warm / ".airflow-ecs" / "manifest.json"
    path.write_text(path.read_text()[:-10])


@pytest.mark.parametrize(
    "damage, again",
    [
        (edit, ["dags/b.py"]),
        (remove, ["dags/b.py"]),
        (link, ["dags/b.py"]),
        (link_folder, ["dags/pkg/c.py"]),
        (forge_manifest, ["dags/a.py", "dags/b.py", "dags/pkg/c.py"]),
    ],
)
def test_what_was_changed_on_disk_is_fetched_again(s3, sync, warm, damage, again):
    damage(warm)
    sync()
    assert fetched(s3) == again
    assert tree(warm) == {"a.py": b"1", "b.py": b"2", "pkg/c.py": b"3"}
    assert not any(path.is_symlink() for path in warm.rglob("*"))


def test_a_file_that_somebody_added_goes(s3, sync, warm):
    (warm / "mine.py").write_text("x")
    sync()
    assert fetched(s3) == []
    assert names(warm) == ["a.py", "b.py", "pkg"]


def test_another_prefix_shares_nothing(s3, sync, warm):
    s3.buckets["bucket"]["other/a.py"] = b"1"
    sync("s3://bucket/other")
    assert fetched(s3) == ["other/a.py"]
    assert tree(warm) == {"a.py": b"1"}


def test_without_links_on_the_file_system_everything_is_fetched(s3, sync, warm, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "link", refuse)
    s3.buckets["bucket"]["dags/a.py"] = b"9"
    sync()
    assert fetched(s3) == ["dags/a.py", "dags/b.py", "dags/pkg/c.py"]


def test_objects_without_etag_are_always_fetched(s3, sync, dags, monkeypatch):
    monkeypatch.setattr("local.fakes.s3.etag", lambda body: "")
    s3.buckets["bucket"] = {"dags/a.py": b"1"}
    sync()
    s3.requests.clear()
    sync()
    assert fetched(s3) == ["dags/a.py"]


def test_a_crash_between_old_and_new_leaves_nothing_to_believe(s3, sync, warm, monkeypatch):
    s3.buckets["bucket"]["dags/a.py"] = b"9"
    monkeypatch.setattr(folder_module, "move", lambda source, target: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        sync()
    monkeypatch.undo()
    assert not (warm / ".airflow-ecs" / "manifest.json").exists()


def test_an_unchanged_archive_is_not_fetched(s3, sync, dags):
    s3.put("bucket", "dags.tar.gz", tar_gz(member("a.py", b"1"), member("x.md", b"2")))
    sync("s3://bucket/dags.tar.gz")
    s3.requests.clear()
    (synced,) = sync("s3://bucket/dags.tar.gz")
    assert s3.requests["dags.tar.gz"] == 1, "asked for its ETag alone"
    assert (synced.files, synced.fetched) == (2, 0)
    (synced,) = sync("s3://bucket/dags.tar.gz", DAGS_EXCLUDE="*.md")
    assert (synced.fetched, tree(dags)) == (1, {"a.py": b"1"})
    (dags / "a.py").write_bytes(b"9")
    (synced,) = sync("s3://bucket/dags.tar.gz", DAGS_EXCLUDE="*.md")
    assert (synced.fetched, tree(dags)) == (1, {"a.py": b"1"})
    s3.put("bucket", "dags.tar.gz", tar_gz(member("b.py", b"1")))
    sync("s3://bucket/dags.tar.gz")
    assert tree(dags) == {"b.py": b"1"}


def test_containers_that_share_a_folder_sync_one_after_the_other(s3, sync, warm):
    first = StagedFolder(str(warm))
    assert first.lock_to_change()
    first.stage()
    second = threading.Thread(target=sync)
    second.start()
    time.sleep(0.3)
    assert second.is_alive() and staging(warm) == [Path(first.staging).name]
    first.discard()
    second.join(timeout=10)
    assert not second.is_alive()
    assert tree(warm) == {"a.py": b"1", "b.py": b"2", "pkg/c.py": b"3"}


def test_containers_that_share_an_unchanged_folder_do_not_wait_for_each_other(sync, warm):
    checking = StagedFolder(str(warm))
    (synced,) = sync(DAGS_TIMEOUT="5")
    assert synced.fetched == 0
    checking.discard()


def test_a_container_that_changes_a_folder_waits_only_for_those_that_check_it_already(s3, sync, warm):
    checking = StagedFolder(str(warm))
    s3.buckets["bucket"]["dags/a.py"] = b"9"
    changing = threading.Thread(target=sync)
    changing.start()
    time.sleep(0.3)
    later = threading.Thread(target=sync)
    later.start()
    time.sleep(0.3)
    assert changing.is_alive() and later.is_alive() and tree(warm)["a.py"] == b"1"
    checking.discard()
    for thread in changing, later:
        thread.join(timeout=10)
        assert not thread.is_alive()
    assert tree(warm)["a.py"] == b"9"
    assert fetched(s3) == ["dags/a.py"] and s3.requests["dags/a.py"] == 1


def test_a_file_system_without_locks_is_used_without(s3, sync, warm, monkeypatch):
    def none(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(folder_module.fcntl, "flock", none)
    s3.buckets["bucket"]["dags/a.py"] = b"9"
    sync()
    assert tree(warm)["a.py"] == b"9"


def test_a_failed_sync_of_a_warm_folder_leaves_it_as_it_was(s3, sync, warm):
    s3.buckets["bucket"]["dags/a.py"] = b"9"
    s3.faults = [Fault("dags/a.py", "error", code="SlowDown", status=503)]
    with pytest.raises(UnavailableError):
        sync()
    assert tree(warm) == {"a.py": b"1", "b.py": b"2", "pkg/c.py": b"3"}
    s3.faults = []
    s3.requests.clear()
    sync()
    assert fetched(s3) == ["dags/a.py"], "what was synced before is still known"


def test_what_another_user_left_in_the_way_does_no_harm(s3, sync, warm, monkeypatch):
    """As a `__pycache__` that belongs to another UID: it cannot be deleted, but it is out of the way."""
    rmtree = folder_module.shutil.rmtree

    def refuse(path, ignore_errors=False):
        if not ignore_errors:
            raise PermissionError(13, "denied")
        rmtree(path, ignore_errors=True)

    monkeypatch.setattr(folder_module.shutil, "rmtree", refuse)
    s3.buckets["bucket"]["dags/a.py"] = b"9"
    sync()
    assert tree(warm)["a.py"] == b"9"


def test_bytecode_that_came_from_s3_is_warm(s3, sync, dags):
    s3.buckets["bucket"] = {"dags/a.py": b"1", "dags/__pycache__/a.cpython-311.pyc": b"2"}
    sync()
    s3.requests.clear()
    sync()
    assert fetched(s3) == []
    (dags / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"9")
    sync()
    assert fetched(s3) == ["dags/__pycache__/a.cpython-311.pyc"]


def test_after_a_failed_replacement_the_folder_is_still_warm(s3, sync, warm, monkeypatch):
    s3.buckets["bucket"]["dags/a.py"] = b"9"
    move = folder_module.move

    def fail_once(source, target):
        if target == str(warm / "b.py"):
            monkeypatch.setattr(folder_module, "move", move)
            raise OSError(16, "busy")
        move(source, target)

    monkeypatch.setattr(folder_module, "move", fail_once)
    with pytest.raises(DagsError):
        sync()
    assert tree(warm) == {"a.py": b"1", "b.py": b"2", "pkg/c.py": b"3"}
    s3.requests.clear()
    sync()
    assert fetched(s3) == ["dags/a.py"]
