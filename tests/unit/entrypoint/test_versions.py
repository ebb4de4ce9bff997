"""Pins: every task of a run can see the same DAGs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from airflow_ecs_entrypoint.errors import AccessError, DagsError

from local.fakes.s3 import Fault
from tests.unit.entrypoint.container import tree
from tests.unit.entrypoint.sync.test_archive import member, tar_gz

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=timezone.utc)


def at(minutes=0, seconds=0):
    return (NOON + timedelta(minutes=minutes, seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def history(s3):
    """A prefix with a history: a.py was changed and then deleted, b.py came late, c.py never changed."""
    for key, minutes, body in [
        ("dags/a.py", 0, b"a1"),
        ("dags/c.py", 0, b"c1"),
        ("dags/a.py", 10, b"a2"),
        ("dags/b.py", 20, b"b1"),
    ]:
        s3.put("bucket", key, body, modified=NOON + timedelta(minutes=minutes))
    s3.delete("bucket", "dags/a.py", modified=NOON + timedelta(minutes=30))


@pytest.mark.parametrize(
    "moment, files",
    [
        (at(0), {"a.py": b"a1", "c.py": b"c1"}),
        (at(9), {"a.py": b"a1", "c.py": b"c1"}),
        (at(10), {"a.py": b"a2", "c.py": b"c1"}),
        (at(25), {"a.py": b"a2", "b.py": b"b1", "c.py": b"c1"}),
        (at(30), {"b.py": b"b1", "c.py": b"c1"}),
    ],
)
@pytest.mark.parametrize("page_size", [1000, 1, 2])
def test_a_prefix_is_synced_as_it_was(s3, sync, dags, history, moment, files, page_size):
    s3.page_size = page_size
    sync(S3_VERSION=moment)
    assert tree(dags) == files


def test_a_moment_before_everything_is_a_fault(sync, history):
    with pytest.raises(DagsError, match="held no files at that time: check S3_URI and its version"):
        sync(S3_VERSION=at(-1))


def test_the_same_listing_has_the_same_version(s3, sync, history):
    versions = [sync(S3_VERSION=at(minutes))[0].version for minutes in (10, 15, 20)]
    assert versions[0] == versions[1] != versions[2]
    assert sync()[0].version == sync(S3_VERSION=at(40))[0].version


def test_a_refusal_names_the_action(s3, sync, history):
    s3.faults = [Fault("?versions", "error", code="AccessDenied", status=403)]
    with pytest.raises(AccessError, match="allow s3:ListBucketVersions on arn:aws:s3:::bucket "):
        sync(S3_VERSION=at(0))
    s3.faults = [Fault("dags/a.py", "error", code="AccessDenied", status=403)]
    with pytest.raises(AccessError, match=r"allow s3:GetObjectVersion on arn:aws:s3:::bucket/dags/a\.py "):
        sync(S3_VERSION=at(0))


@pytest.fixture
def archives(s3):
    """Two versions of one archive, by their version IDs."""
    for minutes, content in [(0, b"1"), (10, b"2")]:
        s3.put("bucket", "dags.tar.gz", tar_gz(member("a.py", content)), modified=NOON + timedelta(minutes=minutes))
    return [version for version, _, _ in s3.versions["bucket"]["dags.tar.gz"]]


def test_an_archive_is_pinned_by_its_version_id(sync, dags, archives):
    for version, content in zip(archives, (b"1", b"2")):
        (synced,) = sync("s3://bucket/dags.tar.gz", S3_VERSION=version)
        assert tree(dags) == {"a.py": content}
        assert synced.version == version


def test_an_archive_is_pinned_by_a_moment(sync, dags, archives):
    sync("s3://bucket/dags.tar.gz", S3_VERSION=at(9))
    assert tree(dags) == {"a.py": b"1"}
    with pytest.raises(DagsError, match="did not exist at that time"):
        sync("s3://bucket/dags.tar.gz", S3_VERSION=at(-1))


def test_an_archive_without_pin_is_the_newest_and_says_its_version(sync, dags, archives):
    (synced,) = sync("s3://bucket/dags.tar.gz")
    assert (tree(dags), synced.version) == ({"a.py": b"2"}, archives[1])


def test_a_version_that_is_gone_is_a_fault(sync, archives):
    with pytest.raises(DagsError, match="no such version: correct the pin"):
        sync("s3://bucket/dags.tar.gz", S3_VERSION="gone")


def test_a_pin_is_warm_too(s3, sync, history):
    sync(S3_VERSION=at(10))
    s3.requests.clear()
    (synced,) = sync(S3_VERSION=at(15))
    assert synced.fetched == 0 and set(s3.requests) == {"?versions"}


def test_a_file_whose_past_is_not_known_is_no_file_that_was_not_there(s3, sync, monkeypatch):
    """Overwritten while the bucket kept no versions: S3 has only the newest, under the version ID null."""
    s3.put("bucket", "dags/a.py", b"a", modified=NOON)
    s3.put("bucket", "dags/b.py", b"b", modified=NOON + timedelta(minutes=10))
    versions = s3.versions["bucket"]["dags/b.py"]
    versions[-1] = versions[-1]._replace(version_id="null")
    with pytest.raises(DagsError, match=r"s3://bucket/dags/b\.py was written when its bucket kept no versions"):
        sync(S3_VERSION=at(5))


def test_within_one_second_a_deletion_is_the_later(s3, sync, dags):
    s3.put("bucket", "dags/a.py", b"a", modified=NOON)
    s3.put("bucket", "dags/b.py", b"b", modified=NOON)
    s3.delete("bucket", "dags/b.py", modified=NOON)
    s3.put("bucket", "dags/b.py", b"again", modified=NOON + timedelta(minutes=10))
    sync(S3_VERSION=at(5))
    assert tree(dags) == {"a.py": b"a"}
