"""S3 URIs of DAGs: which are valid, and what they name. Pure.

The build tool reads S3 URIs with this module, so that it accepts what the container accepts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_ecs_entrypoint.errors import SettingsError

# General purpose buckets, those from before 2018 (upper case, underscore, up to 255 characters) and
# access point aliases: docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
# What an archive's key ends in, and how it is packed.
_ARCHIVES = {".tar.gz": "tar.gz", ".tgz": "tar.gz", ".tar.zst": "tar.zst", ".zip": "zip"}


@dataclass(frozen=True)
class S3Location:
    """A place in a bucket: a prefix, which is empty or ends in ``/`` (``dags`` never means ``dags-old``), or the
    key of one object, such as an archive.
    """

    bucket: str
    path: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.path}"

    @property
    def archive(self) -> str:
        """How the archive is packed: ``tar.gz``, ``tar.zst`` or ``zip``; empty for a prefix."""
        return next((kind for ending, kind in _ARCHIVES.items() if self.path.lower().endswith(ending)), "")


def parse_s3_uri(setting: str, value: str) -> S3Location:
    """``s3://bucket/prefix`` (the prefix may be missing) or ``s3://bucket/archive.tar.gz`` as an `S3Location`.

    A prefix that has an archive's ending is told apart by a ``/`` behind it.

    Raises `SettingsError` naming ``setting`` and the reason. The value itself is not repeated: a URL pasted
    with a signature or a password must not reach a log.
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
        raise refuse("names an ARN, but needs a bucket or an access point alias")
    if not BUCKET.fullmatch(bucket):
        raise refuse("has no valid bucket name")
    if not path.isprintable() or "\\" in path:
        raise refuse("has a control character or a backslash in its prefix")
    if not path.rstrip("/") and len(path) <= 1:
        return S3Location(bucket, "")
    if any(part in ("", ".", "..") for part in (path[:-1] if path.endswith("/") else path).split("/")):
        raise refuse("has an empty, '.' or '..' part in its prefix")
    location = S3Location(bucket, path)
    return location if location.archive or path.endswith("/") else S3Location(bucket, path + "/")
