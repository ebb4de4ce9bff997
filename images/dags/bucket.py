"""S3, as a push of DAGs uses it. Every error says what could not be done, and which permission it requires."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from airflow_ecs_executor.aws.errors import ApiError, classify
from airflow_ecs_executor.aws.wording import policy_to_change
from botocore.config import Config

from images import aws
from images.dags.plan import Content, Destination, Stored
from images.errors import AwsError

CONCURRENCY = 16
"""Number of concurrent requests."""
_OTHER_REGION = frozenset(
    {"301", "307", "IllegalLocationConstraintException", "PermanentRedirect", "TemporaryRedirect"}
)
_OF_KEY = re.compile(r"\bkms:[A-Z]|(?i:customer master key|KMS key)")
_KEY_HINTS = {
    "KMS.DisabledException": "Enable the KMS key, or encrypt the bucket with another one.",
    "KMS.KMSInvalidStateException": "Cancel the deletion of the KMS key, or encrypt the bucket with another one.",
    "KMS.NotFoundException": "The KMS key does not exist in the bucket's region: encrypt the bucket with another one.",
}
_FINGERPRINT = "airflow-ecs-content"
"""The metadata key of an archive's fingerprint."""


@dataclass(frozen=True)
class Found:
    """An object in the bucket.

    ``sha256`` (base64) and ``fingerprint`` are empty if the object was written without them, ``version`` is empty if
    the bucket does not keep versions.
    """

    stored: Stored
    sha256: str
    fingerprint: str
    version: str


class Bucket:
    """The bucket of a destination. Safe to use from several threads."""

    def __init__(self, destination: Destination, region: str | None = None) -> None:
        """Create the client. Raises AwsError if there is no region, or the profile does not exist."""
        self.destination = destination
        self.clock = datetime.fromtimestamp(0, timezone.utc)
        """The time of S3's latest answer, by S3's clock, in whole seconds."""
        config = Config(max_pool_connections=CONCURRENCY, retries={"mode": "standard", "total_max_attempts": 5})
        self._client = aws.client("s3", region, config)

    def __str__(self) -> str:
        return f"bucket {self.destination.bucket}"

    def objects(self) -> dict[str, Stored]:
        """Return the objects below the prefix, by their path there. One request for each 1,000 objects."""
        found: dict[str, Stored] = {}
        prefix = self.destination.path
        with self._asking(f"The {self} could not be listed", "s3:ListBucket"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.destination.bucket, Prefix=prefix
            )
            for page in pages:
                self._read_clock(page)
                for item in page.get("Contents", ()):
                    path = item["Key"][len(prefix) :]
                    found[path] = Stored(item["Size"], item.get("ETag", ""), item["LastModified"])
        return found

    def look(self, path: str = "") -> Found | None:
        """Return one object, or None if it does not exist."""
        with self._asking(f"{path or 'The archive'} could not be read from the {self}", "s3:GetObject"):
            try:
                found = self._client.head_object(**self._place(path), ChecksumMode="ENABLED")
            except self._client.exceptions.ClientError:
                # The answer to HEAD has no body, and so no reason: GET has one.
                try:
                    self._client.get_object(**self._place(path))["Body"].close()
                except self._client.exceptions.NoSuchKey:
                    return None
                raise
        self._read_clock(found)
        stored = Stored(found["ContentLength"], found.get("ETag", ""), found["LastModified"])
        fingerprint = found.get("Metadata", {}).get(_FINGERPRINT, "")
        return Found(stored, found.get("ChecksumSHA256", ""), fingerprint, _version(found))

    def put(self, path: str, body: bytes, content: Content, fingerprint: str = "") -> str:
        """Write an object and return its version ID, which is empty if the bucket keeps no versions.

        S3 compares the checksum.
        """
        metadata = {_FINGERPRINT: fingerprint} if fingerprint else {}
        with self._asking(f"{path or 'The archive'} could not be uploaded to the {self}", "s3:PutObject"):
            answer = self._client.put_object(
                **self._place(path), Body=body, ChecksumSHA256=content.sha256, Metadata=metadata
            )
        self._read_clock(answer)
        return _version(answer)

    def delete(self, path: str) -> None:
        """Delete an object."""
        with self._asking(f"{path} could not be deleted from the {self}", "s3:DeleteObject"):
            self._read_clock(self._client.delete_object(**self._place(path)))

    def keeps_versions(self) -> bool | None:
        """Return whether the bucket keeps replaced objects; None if the caller may not ask."""
        with self._asking(f"The versioning of the {self} could not be read", "s3:GetBucketVersioning"):
            try:
                answer = self._client.get_bucket_versioning(Bucket=self.destination.bucket)
            except aws.CALL_ERRORS as error:
                if classify(error).denied:
                    return None
                raise
        self._read_clock(answer)
        return bool(answer.get("Status") == "Enabled")

    def _place(self, path: str) -> dict[str, str]:
        return {"Bucket": self.destination.bucket, "Key": f"{self.destination.path}{path}"}

    def _read_clock(self, answer: Mapping[str, Any]) -> None:
        told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        now = parsedate_to_datetime(told) if told else datetime.now(timezone.utc).replace(microsecond=0)
        self.clock = max(self.clock, now)

    @contextmanager
    def _asking(self, what: str, permission: str) -> Iterator[None]:
        """Turn what a call raises into an AwsError; ``what`` could not be done, as the beginning of a sentence."""
        try:
            yield
        except aws.CALL_ERRORS as error:
            name, found = self.destination.bucket, classify(error)
            if found.code == "NoSuchBucket":
                raise AwsError(f"The bucket {name} does not exist.", f"Create it: aws s3 mb s3://{name}") from error
            failure = aws.failed(what, error, permission)
            failure.hint = _hint(found, permission) or failure.hint
            raise failure from error


def _hint(found: ApiError, permission: str) -> str:
    """Return what to do about errors that only S3 has (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html)."""
    if found.code in _OTHER_REGION or "the region '" in found.reason:
        return "The bucket is in another region: give it with --region."
    if found.denied and _OF_KEY.search(found.reason) and not policy_to_change(found.reason):
        usual = "kms:GenerateDataKey" if permission == "s3:PutObject" else "kms:Decrypt"
        action = found.action if found.action.startswith("kms:") else usual
        return (
            f"Allow {action} on the KMS key in the IAM policy of whoever runs this, and in the key policy for a key of "
            "another account."
        )
    return _KEY_HINTS.get(found.code, "")


def _version(answer: Mapping[str, Any]) -> str:
    """Return the version ID in an answer; empty for "null", which the next upload may overwrite.

    Source: Amazon S3 User Guide, "Adding objects to versioning-suspended buckets".
    """
    version = str(answer.get("VersionId", ""))
    return "" if version == "null" else version
