"""The sync process beside the one that runs the command."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import pytest
from airflow_ecs_entrypoint.errors import AccessError, DagsError, UnavailableError
from airflow_ecs_entrypoint.s3_uri import S3Location
from airflow_ecs_entrypoint.sync import child_process as child_module
from airflow_ecs_entrypoint.sync import sync_process as sync_process_module
from airflow_ecs_entrypoint.sync.folder import StagedFolder

from local.fakes.s3 import DELETION, Fault
from tests.unit.entrypoint.container import names, staging, tree, wait_until


@pytest.fixture(autouse=True)
def one_dag(s3):
    s3.buckets["bucket"] = {"dags/a.py": b"1"}


def test_what_was_synced_is_known_when_it_is_in_place(sync_process, dags, children):
    one = sync_process()
    (synced,) = one.wait()
    assert (synced["files"], synced["fetched_bytes"], synced["location"]) == (1, 1, "s3://bucket/dags/")
    assert tree(dags) == {"a.py": b"1"}
    assert one.waited > 0 and 0 < one.seconds < one.waited + 1
    assert not children()
    assert one.wait() == [synced]


def test_a_fault_is_raised_here_as_it_was_there(s3, sync_process, children):
    s3.faults = [Fault("", "error", code="AccessDenied", status=403)]
    with pytest.raises(AccessError, match="allow s3:ListBucket on arn:aws:s3:::bucket ") as caught:
        sync_process().wait()
    assert caught.value.exit_code == 81
    assert not children()


@pytest.mark.parametrize(
    "fault, says",
    [
        (Fault("", "hang"), "still listing s3://bucket/dags/"),
        (Fault("dags/a.py", "hang"), "still downloading objects, 0 of 1"),
        (Fault("dags/a.py", "trickle", bytes_per_second=5), "still downloading objects, 0 of 1"),
    ],
    ids=["listing", "object", "slow object"],
)
def test_slower_than_the_limit_is_a_temporary_fault_that_says_how_far_it_came(
    s3, sync_process, dags, fault, says, children
):
    s3.buckets["bucket"]["dags/a.py"] = b"x" * 1000
    s3.faults = [fault]
    # Long enough for a busy machine to come so far.
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=f"not synced within 2 s, {says}: .*raise DAGS_TIMEOUT"):
        sync_process(DAGS_TIMEOUT="2").wait()
    assert time.monotonic() - began > 1.9
    assert not children()
    assert names(dags) == [] if dags.exists() else True
    assert not dags.exists() or staging(dags) == []


def test_a_folder_that_stays_locked_is_a_temporary_fault(sync_process, dags):
    first = StagedFolder(str(dags))
    with pytest.raises(UnavailableError, match=f"still waiting for another container that syncs {dags}"):
        sync_process(DAGS_TIMEOUT="1").wait()
    one = sync_process()
    time.sleep(0.5)
    began = time.monotonic()
    one.stop()
    assert time.monotonic() - began < 4, "a signal does not wait for the lock: it would have been killed after 5 s"
    first.discard()


def test_one_that_does_not_even_keep_to_the_limit_is_killed(s3, sync_process, monkeypatch, children):
    monkeypatch.setattr(sync_process_module, "_GRACE_PERIOD", 0.5)
    monkeypatch.setattr(child_module, "_CLEANUP_TIMEOUT", 0.5)
    monkeypatch.setattr(sync_process_module.signal, "setitimer", lambda *_: None)
    s3.faults = [Fault("", "hang")]
    with pytest.raises(UnavailableError, match="not synced within 1 s, and the sync process did not respond"):
        sync_process(DAGS_TIMEOUT="1").wait()
    assert not children()


def test_one_that_was_killed_points_at_the_memory(s3, sync_process, children):
    s3.faults = [Fault("dags/a.py", "hang")]
    one = sync_process()
    (process,) = children()
    os.kill(process, signal.SIGKILL)
    with pytest.raises(DagsError, match="ended by SIGKILL: give the task more memory"):
        one.wait()


def test_an_answer_that_has_begun_is_waited_for(s3, sync_process, monkeypatch):
    """It may be larger than what a pipe holds, and this process may come late to read it."""
    monkeypatch.setattr(sync_process_module, "_GRACE_PERIOD", 0.0)
    s3.buckets["bucket"]["task.json"] = json.dumps({"arguments": ["x" * 900_000]}).encode()
    one = sync_process(location=S3Location("bucket", "task.json"), DAGS_TIMEOUT="2")
    time.sleep(2.5)
    assert one.wait()[0]["files"] == 1
    assert one.arguments == ["x" * 900_000]


def test_a_deletion_that_takes_too_long_is_given_up(s3, sync_process, monkeypatch, capfd):
    monkeypatch.setattr(sync_process_module, "_DELETION_TIMEOUT", 0.4)
    s3.buckets["bucket"]["task.json"] = b'{"arguments": ["a"]}'
    s3.faults = [Fault(DELETION + "task.json", "hang")]
    one = sync_process(location=S3Location("bucket", "task.json"))
    assert one.wait()[0]["files"] == 1 and one.arguments == ["a"]
    (line,) = capfd.readouterr().err.splitlines()
    assert "warning: cannot delete the task's arguments at s3://bucket/task.json: no response within " in line


def test_stopping_tidies_up(s3, sync_process, dags, children):
    s3.faults = [Fault("dags/a.py", "hang")]
    one = sync_process()
    wait_until(lambda: dags.exists() and staging(dags))
    one.stop()
    assert staging(dags) == [] and names(dags) == []
    assert not children()
    one.stop()  # once more does no harm


def test_modules_in_dag_folders_are_never_those_of_the_sync(s3, sync_process, dags, monkeypatch):
    dags.mkdir()
    (dags / "botocore.py").write_text("raise SystemExit('not this one')")
    monkeypatch.syspath_prepend(str(dags))
    assert sync_process().wait()[0]["files"] == 1


@pytest.mark.parametrize("path", [None, "dags/lib", "link"])
def test_what_both_processes_import_is_imported_once_unless_it_could_come_from_the_dags(
    sync_process, dags, tmp_path, monkeypatch, path
):
    (tmp_path / "needed_by_both.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    if path:
        dags.mkdir()
        (dags.parent / "link").symlink_to(dags)
        monkeypatch.syspath_prepend(str(dags.parent / path))
    monkeypatch.setattr(sync_process_module, "COMMON_MODULES", ("needed_by_both", "no_such_module"))
    try:
        sync_process().wait()
        assert ("needed_by_both" in sys.modules) is (path is None)
    finally:
        sys.modules.pop("needed_by_both", None)


def test_an_unforeseen_fault_does_not_show_its_text(sync_process, monkeypatch):
    def broken(*_):
        raise RuntimeError("hunter2")

    monkeypatch.setattr("airflow_ecs_entrypoint.sync.sync.Sync.run", broken)
    with pytest.raises(DagsError) as caught:
        sync_process().wait()
    assert str(caught.value) == "unexpected RuntimeError during the sync: please report it"
