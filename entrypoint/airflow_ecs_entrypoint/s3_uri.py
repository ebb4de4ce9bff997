"""S3 URIs of DAGs: parsing and validation. No I/O.

The build tool reads S3 URIs with this module, so that it accepts what the container accepts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_ecs_entrypoint.errors import SettingsError

# General purpose buckets, those from before 2018 (upper case, underscore, up to 255 characters) and
# access point aliases: docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
# The suffixes of archives, and how they are packed.
_ARCHIVES = {".tar.gz": "tar.gz", ".tgz": "tar.gz", ".tar.zst": "tar.zst", ".zip": "zip"}


@dataclass(frozen=True)
class S3Location:
    """A location in a bucket: a prefix or one object, such as an archive."""

    bucket: str
    path: str
    """A prefix, which is empty or ends in ``/`` so that ``dags`` does not match ``dags-old``, or an object's key."""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.path}"

    @property
    def archive(self) -> str:
        """The format of the archive: ``tar.gz``, ``tar.zst`` or ``zip``; empty for a prefix."""
        return next((kind for ending, kind in _ARCHIVES.items() if self.path.lower().endswith(ending)), "")


def parse_s3_uri(setting: str, value: str) -> S3Location:
    """Parse ``s3://bucket/prefix`` (the prefix is optional) or ``s3://bucket/archive.tar.gz``.

    A prefix that ends like an archive requires a trailing ``/``. The message of the SettingsError of an invalid URI
    names ``setting`` and the reason, but not the value: a URL that was pasted with a signature or a password must not
    be logged.
    """

    def refuse(reason: str) -> SettingsError:
        return SettingsError(f"{setting} {reason}: give it as s3://bucket/prefix or s3://bucket/archive.tar.gz")

    scheme, separator, rest = value.strip().partition("://")
    if not separator or scheme.lower() != "s3":
        raise refuse("does not begin with s3://")
    bucket, _, path = rest.partition("/")
    if "?" in rest or "#" in rest:
        raise refuse("has a query string or a fragment")
    if "@" in bucket:
        raise refuse("has a user or password before the bucket")
    if bucket.startswith("arn:"):
        raise refuse("names an ARN, but requires a bucket or an access point alias")
    if not BUCKET.fullmatch(bucket):
        raise refuse("does not have a valid bucket name")
    if not path.isprintable() or "\\" in path:
        raise refuse("has a control character or a backslash in its prefix")
    if not path.rstrip("/") and len(path) <= 1:
        return S3Location(bucket, "")
    if any(part in ("", ".", "..") for part in (path[:-1] if path.endswith("/") else path).split("/")):
        raise refuse("has an empty, '.' or '..' part in its prefix")
    location = S3Location(bucket, path)
    return location if location.archive or path.endswith("/") else S3Location(bucket, path + "/")
