"""Sync from an S3 that speaks HTTP, in this process."""

from __future__ import annotations

import errno
import os
import threading
import time

import botocore.loaders
import botocore.session
import pytest
from airflow_ecs_entrypoint.errors import (
    AccessError,
    ChangedError,
    DagsError,
    SettingsError,
    UnavailableError,
)
from airflow_ecs_entrypoint.sync import folder as folder_module
from airflow_ecs_entrypoint.sync import s3 as s3_module
from airflow_ecs_entrypoint.sync.plan import RemoteObject
from airflow_ecs_entrypoint.sync.s3 import S3, list_services_by_folder_names
from botocore.exceptions import UnknownServiceError

from local.fakes.http_service import CONNECTION
from local.fakes.s3 import MODIFIED, Fault
from tests.unit.entrypoint.container import names, staging, tree


def put(s3, **objects):
    s3.buckets["bucket"] = {key.replace("__", "/"): body for key, body in objects.items()}


def test_the_folder_holds_exactly_the_prefix_afterwards(s3, sync, dags):
    (dags / "old_package").mkdir(parents=True)
    (dags / "old_package" / "deleted.py").write_text("old")
    (dags / "a.py").write_text("the same name, an older text, and longer")
    (dags / "gone.py").symlink_to("/etc/hostname")
    (dags / ".airflow-ecs" / "staging-7-crashed").mkdir(parents=True)
    s3.buckets["bucket"] = {
        "dags/": b"",
        "dags/a.py": b"new",
        "dags/pkg/": b"",
        "dags/pkg/__init__.py": b"",
        "dags/pkg/deep/é +&<x>.sql": b"select 1",
        "dags/big.bin": os.urandom(700_000),
        "dags-old/x.py": b"not ours",
        "other/y.py": b"not ours",
    }
    (synced,) = sync()
    expected = {
        key[len("dags/") :]: body
        for key, body in s3.buckets["bucket"].items()
        if key.startswith("dags/") and not key.endswith("/")
    }
    assert tree(dags) == expected
    assert names(dags) == ["a.py", "big.bin", "pkg"]
    assert (synced.files, synced.fetched, synced.fetched_bytes) == (4, 4, 700_011)
    assert (synced.setting, synced.location, synced.folder) == ("S3_URI", "s3://bucket/dags/", str(dags))


def test_patterns_leave_files_of_a_prefix_out(s3, sync, dags):
    put(s3, dags__a=b"1", dags__notes=b"2", dags__tests__b=b"3")
    sync(DAGS_EXCLUDE="notes,tests/")
    assert tree(dags) == {"a": b"1"}


def test_files_carry_the_objects_time_and_the_umask(s3, sync, dags):
    put(s3, dags__p__a=b"x")
    before = os.umask(0o002)
    try:
        sync()
    finally:
        os.umask(before)
    status = (dags / "p" / "a").stat()
    assert status.st_mtime == MODIFIED.timestamp()
    assert status.st_mode & 0o777 == 0o664
    assert (dags / "p").stat().st_mode & 0o777 == 0o775


def test_all_pages_of_a_listing_are_synced(s3, sync, dags):
    s3.page_size = 7
    s3.buckets["bucket"] = {f"dags/{number:03}.py": str(number).encode() for number in range(50)}
    assert sync()[0].files == 50
    assert len(tree(dags)) == 50
    assert s3.requests[""] == 8


@pytest.mark.parametrize("concurrency, most", [("1", 1), ("4", 4)])
def test_no_more_downloads_run_at_once_than_allowed(s3, sync, concurrency, most):
    s3.buckets["bucket"] = {f"dags/{number}": b"x" for number in range(12)}
    s3.faults = [Fault(None, "delay", seconds=0.1)]
    sync(DAGS_CONCURRENCY=concurrency)
    assert s3.most_running == most


def test_no_download_thread_is_left_when_the_command_starts(s3, sync):
    s3.buckets["bucket"] = {f"dags/{number}": b"x" for number in range(20)}
    before = threading.enumerate()
    sync()
    left = {thread.name for thread in threading.enumerate() if thread not in before}
    assert left <= {CONNECTION}, "that of the fake S3 may still end"


def test_a_bucket_without_prefix_and_plugins_and_config(s3, sync, airflow_home):
    s3.buckets = {
        "dags-bucket": {"a.py": b"1"},
        "bucket": {"p/x.py": b"2", "c/airflow_local_settings.py": b"3"},
    }
    synced = sync("s3://dags-bucket", PLUGINS_S3_URI="s3://bucket/p", CONFIG_S3_URI="s3://bucket/c/")
    assert [item.files for item in synced] == [1, 1, 1]
    assert tree(airflow_home) == {
        "dags/a.py": b"1",
        "plugins/x.py": b"2",
        "config/airflow_local_settings.py": b"3",
    }


def test_a_fault_of_one_source_leaves_every_folder_as_it_was(s3, sync, airflow_home):
    (airflow_home / "dags").mkdir()
    (airflow_home / "dags" / "a.py").write_text("old")
    put(s3, d__a=b"new", p__x=b"2")
    s3.faults = [Fault("p/x", "error", code="AccessDenied", status=403)]
    with pytest.raises(AccessError, match="allow s3:GetObject on arn:aws:s3:::bucket/p/x "):
        sync("s3://bucket/d", PLUGINS_S3_URI="s3://bucket/p")
    assert tree(airflow_home) == {"dags/a.py": b"old"}


@pytest.mark.parametrize("setting", ["S3_URI", "PLUGINS_S3_URI", "CONFIG_S3_URI"])
def test_an_empty_prefix_is_a_fault_that_names_its_setting(s3, sync, airflow_home, setting):
    put(s3, full__a=b"1", empty__=b"")
    uris = {"S3_URI": "s3://bucket/full", setting: "s3://bucket/empty"}
    with pytest.raises(DagsError, match=f"s3://bucket/empty/ holds no files: check {setting}"):
        sync(uris.pop("S3_URI"), **uris)
    assert tree(airflow_home) == {}


def test_an_unsafe_key_is_refused_before_anything_is_downloaded(s3, sync, airflow_home):
    s3.buckets["bucket"] = {"dags/a.py": b"1", "dags/../../evil.py": b"2"}
    with pytest.raises(DagsError, match=r"s3://bucket/dags/\.\./\.\./evil\.py"):
        sync()
    assert set(s3.requests) == {""}
    assert tree(airflow_home) == {}


@pytest.mark.parametrize(
    "key, fault, error, says",
    [
        ("", {"code": "AccessDenied", "status": 403}, AccessError, "s3:ListBucket on arn:aws:s3:::bucket "),
        ("", {"code": "InvalidAccessKeyId", "status": 403}, AccessError, "InvalidAccessKeyId"),
        ("", {"code": "SlowDown", "status": 503}, UnavailableError, "SlowDown"),
        ("dags/b", {"code": "SlowDown", "status": 503}, UnavailableError, "s3://bucket/dags/b"),
        ("dags/b", {"code": "InternalError", "status": 500}, UnavailableError, "s3://bucket/dags/b"),
        ("dags/b", {"code": "InvalidObjectState", "status": 403}, DagsError, "Glacier"),
        (
            "",
            {"code": "PermanentRedirect", "status": 301, "headers": {"x-amz-bucket-region": "us-west-2"}},
            DagsError,
            "AWS_DEFAULT_REGION=us-west-2",
        ),
    ],
)
def test_an_answer_of_s3_becomes_its_fault_and_leaves_the_folder_alone(s3, sync, dags, key, fault, error, says):
    put(s3, dags__a=b"1", dags__b=b"2")
    dags.mkdir()
    (dags / "kept").write_text("old")
    s3.faults = [Fault(key, "error", **fault)]
    with pytest.raises(error, match=says) as caught:
        sync()
    assert type(caught.value) is error
    assert tree(dags) == {"kept": b"old"}
    assert names(dags) == ["kept"]


def test_what_a_crashed_run_left_makes_room_before_anything_is_downloaded(s3, sync, dags):
    put(s3, dags__a=b"1")
    (dags / ".airflow-ecs" / "staging-7-crashed").mkdir(parents=True)
    s3.faults = [Fault("dags/a", "error", code="AccessDenied", status=403)]
    with pytest.raises(AccessError):
        sync()
    assert staging(dags) == []


@pytest.mark.parametrize("key", ["", "dags/a"])
@pytest.mark.parametrize("kind, more", [("error", {"code": "SlowDown", "status": 503}), ("break", {}), ("drop", {})])
def test_throttling_and_a_broken_connection_that_pass_are_waited_for(s3, sync, dags, key, kind, more):
    put(s3, dags__a=b"x" * 1000)
    s3.faults = [Fault(key, kind, 1, **more)]
    sync()
    assert tree(dags) == {"a": b"x" * 1000}
    assert s3.requests[key] == 2


@pytest.mark.parametrize("kind", ["break", "drop"])
def test_connections_that_keep_breaking_are_a_temporary_fault(s3, sync, dags, kind):
    put(s3, dags__a=b"x" * 1000, dags__b=b"2")
    s3.faults = [Fault("dags/a", kind)]
    with pytest.raises(
        UnavailableError, match=r"cannot download s3://bucket/dags/a: no complete answer from 127\.0\.0\.1"
    ):
        sync()
    assert names(dags) == []
    assert s3.requests["dags/a"] == 2  # AWS_MAX_ATTEMPTS


def test_the_pause_before_another_attempt_grows(s3, sync):
    put(s3, dags__a=b"x" * 1000)
    s3.faults = [Fault("dags/a", "break", 3)]
    began = time.monotonic()
    sync(AWS_MAX_ATTEMPTS="4")
    assert time.monotonic() - began >= 0.1 + 0.2 + 0.4


def test_an_object_of_another_size_than_was_listed_is_refused(s3, dags, environ, monkeypatch):
    """Where a store has no ETags, its size is all that tells."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    put(s3, dags__a=b"123")
    listed = RemoteObject("bucket", "dags/a", 4, "", MODIFIED)
    with pytest.raises(ChangedError, match="received 3 bytes, expected 4"):
        S3(environ, 1).download(listed, str(dags.parent / "a"), lambda: False)


def test_a_client_is_made_without_a_look_at_every_service(s3, sync, monkeypatch):
    listed = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path=".": listed.append(path) or listdir(path))
    put(s3, dags__a=b"1")
    sync()
    assert 0 < len(listed) < 40, "the SDK knows four hundred services"


@pytest.mark.parametrize("name", ["parse_time", "remove_expires"])
def test_the_sdk_calls_what_the_client_gives_it(s3, sync, monkeypatch, name):
    """The SDK documents neither hook. A version that ignores one of them fails here."""
    called = []
    original = getattr(s3_module, name)
    monkeypatch.setattr(s3_module, name, lambda *args, **kwargs: called.append(1) or original(*args, **kwargs))
    put(s3, dags__a=b"1")
    sync()
    assert called


def test_clients_that_credentials_need_can_be_made_as_well():
    assert "list_available_services" in vars(botocore.loaders.Loader), "otherwise, nothing is replaced"
    session = botocore.session.get_session()
    list_services_by_folder_names(session.get_component("data_loader"))
    for service in ("sts", "sso", "sso-oidc"):
        assert session.create_client(service, region_name="eu-west-1")
    with pytest.raises(UnknownServiceError):
        session.create_client("no-such-service", region_name="eu-west-1")


def test_no_credentials(sync, tmp_path):
    with pytest.raises(AccessError, match="task role"):
        sync(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "none"))


def test_a_malformed_endpoint_is_a_setting(sync):
    with pytest.raises(SettingsError) as caught:
        sync(AWS_ENDPOINT_URL_S3="hunter2")
    assert "hunter2" not in str(caught.value)


def test_the_region_of_ecs_signs_requests_when_no_default_region_is_given(s3, sync, monkeypatch):
    put(s3, dags__a=b"1")
    sync(AWS_DEFAULT_REGION="", AWS_REGION="ap-south-1")
    assert "/ap-south-1/s3/" in s3.authorizations[0]


@pytest.mark.parametrize("kind, left", [("replace", {"a": b"9", "b": b"2"}), ("delete", {"b": b"2"})])
def test_a_prefix_that_changes_meanwhile_is_listed_again(s3, sync, dags, kind, left):
    put(s3, dags__a=b"1", dags__b=b"2")
    s3.faults = [Fault("dags/a", kind, 1, body=b"9")]  # Of the same size: only the ETag tells.
    sync()
    assert tree(dags) == left
    assert s3.requests[""] == 2


def test_a_prefix_that_never_rests_is_a_temporary_fault(s3, sync, dags):
    put(s3, dags__a=b"1")
    s3.faults = [Fault("dags/a", "error", code="PreconditionFailed", status=412)]
    with pytest.raises(ChangedError, match="s3://bucket/dags/a: it was changed during the sync"):
        sync()
    assert s3.requests[""] == 3
    assert names(dags) == []


def test_the_first_fault_cancels_what_has_not_begun(s3, sync):
    s3.buckets["bucket"] = {f"dags/{number:03}": b"x" for number in range(200)}
    s3.faults = [Fault("dags/000", "error", code="AccessDenied", status=403), Fault(None, "delay", seconds=0.05)]
    with pytest.raises(AccessError):
        sync(DAGS_CONCURRENCY="2")
    asked = sum(s3.requests.values())
    time.sleep(0.3)
    assert sum(s3.requests.values()) == asked <= 5


def test_a_full_disk_names_object_folder_and_remedy(s3, sync, dags, monkeypatch):
    put(s3, dags__a=b"1")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("airflow_ecs_entrypoint.sync.s3.open", full, raising=False)
    with pytest.raises(DagsError, match=r"cannot write s3://bucket/dags/a to .*: no space left: .*ephemeral"):
        sync()
    assert names(dags) == []


def test_a_dag_folder_that_is_a_file_is_a_fault(s3, sync, dags):
    put(s3, dags__a=b"1")
    dags.write_text("a file")
    with pytest.raises(DagsError, match=f"cannot write to {dags}: .*delete it"):
        sync()
    assert dags.read_text() == "a file"


def test_a_failed_replacement_is_taken_back(s3, sync, dags, monkeypatch):
    put(s3, dags__a=b"new a", dags__b=b"new b", dags__c__x=b"new c")
    (dags / "c").mkdir(parents=True)
    (dags / "c" / "y").write_text("old c")
    (dags / "a").write_text("old a")
    (dags / "z").write_text("old z")
    before = tree(dags)
    move = folder_module.move

    def fail_at_b(source, target):
        if target == str(dags / "b"):
            raise OSError(errno.EBUSY, "busy")
        move(source, target)

    monkeypatch.setattr(folder_module, "move", fail_at_b)
    with pytest.raises(DagsError, match="mounted inside"):
        sync()
    assert tree(dags) == before


def test_folders_of_a_lower_image_layer_are_replaced_too(tmp_path):
    source, target = tmp_path / "baked", tmp_path / "aside"
    source.mkdir()
    (source / "a.py").write_text("1")
    (source / "link").symlink_to("a.py")

    def overlayfs(old, new):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    folder_module.move(str(source), str(target), overlayfs)
    assert not source.exists()
    assert (target / "a.py").read_text() == "1" and (target / "link").is_symlink()


def test_what_mkfs_left_on_a_volume_is_not_touched(s3, sync, dags):
    put(s3, dags__a=b"1")
    (dags / "lost+found").mkdir(parents=True)
    sync()
    assert names(dags) == ["a", "lost+found"]
