"""The fake S3, asked as an S3 client asks: objects and their versions, listings, conditions, latency, faults."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.fakes.s3 import DELETION, LISTING, MODIFIED, VERSIONS, FakeS3, Fault, etag

NOON = datetime(2025, 1, 2, 12, tzinfo=timezone.utc)


def s3_client(url: str) -> Any:
    """A client that asks once, in the addressing style that a container's client finds by itself."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=5, proxies={}),
    )


@pytest.fixture
def fake() -> Iterator[FakeS3]:
    """A fake S3 with an empty bucket of that name."""
    with FakeS3() as service:
        yield service


@pytest.fixture
def s3(fake: FakeS3) -> Iterator[Any]:
    client = s3_client(fake.url)
    yield client
    client.close()


def read(s3: Any, key: str, **options: Any) -> bytes:
    body: bytes = s3.get_object(Bucket="bucket", Key=key, **options)["Body"].read()
    return body


def status_and_code(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


class TestObjects:
    def test_a_part_of_one(self, fake: FakeS3, s3: Any) -> None:
        fake.buckets["bucket"]["a"] = b"0123456789"
        got = s3.get_object(Bucket="bucket", Key="a", Range="bytes=3-5")
        assert (got["Body"].read(), got["ContentRange"]) == (b"345", "bytes 3-5/10")
        assert read(s3, "a", Range="bytes=8-") == b"89"
        with pytest.raises(ClientError) as error:
            read(s3, "a", Range="bytes=10-")
        assert status_and_code(error) == (416, "InvalidRange")

    def test_conditions(self, fake: FakeS3, s3: Any) -> None:
        fake.buckets["bucket"]["a"] = b"text"
        assert read(s3, "a", IfMatch=etag(b"text"), IfNoneMatch=etag(b"another")) == b"text"
        with pytest.raises(ClientError) as error:
            read(s3, "a", IfMatch=etag(b"another"))
        assert status_and_code(error) == (412, "PreconditionFailed")
        with pytest.raises(ClientError) as error:
            read(s3, "a", IfNoneMatch=etag(b"text"))
        assert status_and_code(error)[0] == 304
        assert read(s3, "a") == b"text"


class TestVersions:
    def test_each_is_read_by_its_id(self, fake: FakeS3, s3: Any) -> None:
        first = fake.put("bucket", "a", b"old", NOON)
        second = fake.put("bucket", "a", b"new", NOON + timedelta(hours=1))
        assert fake.versions["bucket"]["a"] == [(first, NOON, b"old"), (second, NOON + timedelta(hours=1), b"new")]
        old, new = (s3.get_object(Bucket="bucket", Key="a", **ask) for ask in ({"VersionId": first}, {}))
        assert (old["Body"].read(), old["VersionId"], old["LastModified"]) == (b"old", first, NOON)
        assert (new["Body"].read(), new["VersionId"]) == (b"new", second)
        with pytest.raises(ClientError) as error:
            read(s3, "a", VersionId="another")
        assert status_and_code(error) == (404, "NoSuchVersion")

    def test_of_a_deleted_object_all_but_the_marker_are_read(self, fake: FakeS3, s3: Any) -> None:
        first = fake.put("bucket", "a", b"old")
        s3.delete_object(Bucket="bucket", Key="a")
        with pytest.raises(ClientError) as error:
            read(s3, "a")
        assert status_and_code(error) == (404, "NoSuchKey")
        with pytest.raises(ClientError) as error:
            read(s3, "a", VersionId=fake.versions["bucket"]["a"][-1].version_id)
        assert status_and_code(error) == (405, "MethodNotAllowed")
        assert read(s3, "a", VersionId=first) == b"old"

    def test_a_listing_has_the_newest_of_each_key_first(self, fake: FakeS3, s3: Any) -> None:
        fake.put("bucket", "dags/b é", b"12", NOON)
        fake.put("bucket", "dags/b é", b"123", NOON + timedelta(hours=1))
        fake.put("bucket", "dags/a", b"", NOON)
        fake.delete("bucket", "dags/a", NOON + timedelta(hours=2))
        fake.buckets["bucket"]["dags/c"] = b"without"
        fake.put("bucket", "other", b"")
        found = s3.list_object_versions(Bucket="bucket", Prefix="dags/")
        assert [(item["Key"], item["IsLatest"], item["Size"], item["LastModified"]) for item in found["Versions"]] == [
            ("dags/a", False, 0, NOON),
            ("dags/b é", True, 3, NOON + timedelta(hours=1)),
            ("dags/b é", False, 2, NOON),
            ("dags/c", True, 7, MODIFIED),
        ]
        assert found["Versions"][1]["ETag"] == etag(b"123")
        assert found["Versions"][3]["VersionId"] == "null"
        (marker,) = found["DeleteMarkers"]
        assert (marker["Key"], marker["IsLatest"], marker["LastModified"]) == (
            "dags/a",
            True,
            NOON + timedelta(hours=2),
        )
        assert fake.requests == {VERSIONS: 1}

    @pytest.mark.parametrize("size", [1, 2, 3, 100])
    def test_all_pages_of_a_listing(self, fake: FakeS3, s3: Any, size: int) -> None:
        ids = [fake.put("bucket", f"{key} &é", b"") for key in "abc" for _ in range(3)]
        fake.page_size = size
        pages = [*s3.get_paginator("list_object_versions").paginate(Bucket="bucket")]
        found = [(item["Key"], item["VersionId"]) for page in pages for item in page["Versions"]]
        assert found == [
            (f"{key} &é", ids[3 * place + number]) for place, key in enumerate("abc") for number in (2, 1, 0)
        ]
        assert len(pages) == -(-9 // size)


def test_all_pages_of_the_objects(fake: FakeS3, s3: Any) -> None:
    fake.buckets["bucket"] = {f"dags/é &{number}": b"12" for number in range(7)} | {"dags2": b""}
    fake.page_size = 3
    pages = [*s3.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix="dags/")]
    assert [item["Key"] for page in pages for item in page["Contents"]] == [f"dags/é &{n}" for n in range(7)]
    assert {(item["Size"], item["ETag"], item["LastModified"]) for page in pages for item in page["Contents"]} == {
        (2, etag(b"12"), MODIFIED)
    }
    assert fake.requests == {LISTING: 3}


class TestFaults:
    def test_a_deletion_has_faults_of_its_own(self, fake: FakeS3, s3: Any) -> None:
        fake.buckets["bucket"]["a"] = b"text"
        fake.faults = [Fault(DELETION + "a", "error", 1, code="AccessDenied", status=403)]
        assert read(s3, "a") == b"text"
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.delete_object(Bucket="bucket", Key="a")
        assert read(s3, "a") == b"text"
        s3.delete_object(Bucket="bucket", Key="a")
        with pytest.raises(ClientError, match="NoSuchKey"):
            read(s3, "a")
        assert fake.requests == {"a": 3, DELETION + "a": 2}

    def test_an_object_changes_before_it_is_read(self, fake: FakeS3, s3: Any) -> None:
        fake.buckets["bucket"]["a"] = b"text"
        first = fake.put("bucket", "b", b"text")
        fake.faults = [Fault(None, "replace", 2, body=b"new")]
        assert read(s3, "a") == read(s3, "b") == b"new"
        assert "a" not in fake.versions["bucket"]
        assert [version.body for version in fake.versions["bucket"]["b"]] == [b"text", b"new"]
        fake.faults = [Fault(None, "delete", 2)]
        for key in "ab":
            with pytest.raises(ClientError, match="NoSuchKey"):
                read(s3, key)
        assert read(s3, "b", VersionId=first) == b"text"
