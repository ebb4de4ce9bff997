"""Arguments of commands, stored in S3 until the container has read them.

This is for commands that are too long for ECS, or whose token must not be readable in the overrides of the ECS task.
The command in the request keeps its first three words, which are the program, and gets a pointer to the arguments. The
entrypoint of the image reads them once, and deletes the object (docs/image-contract.md).
"""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import dataclass
from typing import Any, Callable, Sequence

from airflow_ecs_executor.aws.connection import ProcessClient

log = logging.getLogger("airflow_ecs_executor")

POINTER = "--arguments-from"
MAX_BYTES = 1024 * 1024
"""The maximum size of stored arguments that the entrypoint reads."""
_PROGRAM = 3
"""Number of words of the program: ``airflow tasks run``, ``python -m MODULE``."""


@dataclass(frozen=True)
class StoredArguments:
    """A command with a pointer to its arguments, and the object that has them."""

    command: tuple[str, ...]
    bucket: str
    key: str
    body: bytes

    @property
    def uri(self) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"


class WorkloadStore:
    """The location in S3 for the arguments of one deployment. Methods that call S3 raise what botocore raises."""

    def __init__(self, connect: Callable[[], Any], uri: str, deployment: str, kms_key: str | None) -> None:
        """Call nothing yet. Without ``kms_key`` (ID, ARN or alias), the encryption of the bucket applies.

        Every object has it: docs.aws.amazon.com/AmazonS3/latest/userguide/default-encryption-faq.html
        """
        self._client = ProcessClient(connect)
        self.bucket, _, prefix = uri[len("s3://") :].partition("/")
        self._prefix = "/".join(part for part in (prefix.strip("/"), deployment) if part)
        self._encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        self._warned = False

    def prepare(self, identity: str, command: Sequence[str]) -> StoredArguments:
        """Return the command with a pointer to the arguments of ``command``; nothing is written yet."""
        key = f"{self._prefix}/{identity}-{uuid.uuid4().hex}.json"
        body = json.dumps({"arguments": list(command[_PROGRAM:])}).encode()
        pointing = (*command[:_PROGRAM], POINTER, f"s3://{self.bucket}/{key}")
        return StoredArguments(pointing, self.bucket, key, body)

    def put(self, stored: StoredArguments) -> None:
        """Write arguments, before the request that points to them is sent."""
        answer = self._client.get().put_object(
            Bucket=stored.bucket,
            Key=stored.key,
            Body=stored.body,
            ContentType="application/json",
            **self._encryption,
        )
        if not answer.get("ServerSideEncryption") and not self._warned:
            self._warned = True
            log.warning("s3://%s does not encrypt objects: turn on its default encryption", self.bucket)

    def remove(self, uri: str) -> None:
        """Delete arguments that no container has read. Deleting an object that does not exist is not an error."""
        bucket, _, key = uri[len("s3://") :].partition("/")
        self._client.get().delete_object(Bucket=bucket, Key=key)

    def renew(self) -> None:
        """Create a new client with the next call, because the credentials of this one have expired."""
        self._client.renew()

    def try_out(self) -> None:
        """Write an empty object and delete it."""
        key = f"{self._prefix}/health-check-{uuid.uuid4().hex}"
        self._client.get().put_object(Bucket=self.bucket, Key=key, Body=b"", **self._encryption)
        self._client.get().delete_object(Bucket=self.bucket, Key=key)
