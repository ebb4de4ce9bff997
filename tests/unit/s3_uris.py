"""S3 URIs of DAGs that the entrypoint accepts and refuses. What the build tool accepts, the container has to accept."""

from __future__ import annotations

from typing import NamedTuple


class Accepted(NamedTuple):
    uri: str
    bucket: str
    path: str
    """A prefix, empty or with a ``/`` at its end, or the key of an archive."""
    archive: str = ""
    """How the archive is packed; empty for a prefix."""


class Refused(NamedTuple):
    uri: str
    reason: str
    """A part of the message."""


ACCEPTED = [
    Accepted("s3://bucket", "bucket", ""),
    Accepted("s3://bucket/", "bucket", ""),
    Accepted("s3://bucket/dags", "bucket", "dags/"),
    Accepted("s3://bucket/dags/", "bucket", "dags/"),
    Accepted("s3://bucket/team a/dags@v2/x=1", "bucket", "team a/dags@v2/x=1/"),
    Accepted("s3://bucket/%2e%2e/dags", "bucket", "%2e%2e/dags/"),
    Accepted("s3://my.bucket-3/dags", "my.bucket-3", "dags/"),
    Accepted("  S3://My_old.Bucket/dags\n", "My_old.Bucket", "dags/"),
    Accepted("s3://bucket/dags.tar.gz", "bucket", "dags.tar.gz", "tar.gz"),
    Accepted("s3://bucket/team/dags.TGZ", "bucket", "team/dags.TGZ", "tar.gz"),
    Accepted("s3://bucket/dags-1.2.tar.zst", "bucket", "dags-1.2.tar.zst", "tar.zst"),
    Accepted("s3://bucket/dags.zip", "bucket", "dags.zip", "zip"),
    Accepted("s3://bucket/dags.zip/", "bucket", "dags.zip/"),
    Accepted("s3://bucket/dags.tar", "bucket", "dags.tar/"),
]

SECRET = "hunter2"
"""In refused URIs: no message repeats it."""
REFUSED = [
    Refused("bucket/dags", "s3://"),
    Refused("https://bucket.s3.amazonaws.com/dags", "s3://"),
    Refused("s3:/bucket/dags", "s3://"),
    Refused("s3://", "bucket name"),
    Refused("s3:///dags", "bucket name"),
    Refused("s3://ab/dags", "bucket name"),
    Refused("s3://-bucket/dags", "bucket name"),
    Refused("s3://bucket-/dags", "bucket name"),
    Refused("s3://buck et/dags", "bucket name"),
    Refused("s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/dags/x", "access point alias"),
    Refused(f"s3://key:{SECRET}@bucket/dags", "user or password"),
    Refused(f"s3://bucket/dags?X-Amz-Signature={SECRET}", "query string"),
    Refused(f"s3://bucket/dags#{SECRET}", "fragment"),
    Refused("s3://bucket//dags", "empty"),
    Refused("s3://bucket/a//dags", "empty"),
    Refused("s3://bucket/dags//", "empty"),
    Refused("s3://bucket/.", "'.'"),
    Refused(f"s3://bucket/../{SECRET}", "'..'"),
    Refused("s3://bucket/a\\b", "backslash"),
    Refused("s3://bucket/a\nb", "control"),
]
