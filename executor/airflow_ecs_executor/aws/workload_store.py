"""Arguments of commands, kept in S3 until their container has read them.

For commands that are longer than ECS takes, or whose token should not be readable in the task's overrides. The command
in the request then keeps its first three words, which say what program it is, and a pointer to the rest; the image's
entrypoint reads it, once, and removes it (docs/image-contract.md).
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
"""Of the stored arguments: what the entrypoint reads at most."""
_PROGRAM = 3
"""Words that name the program: ``airflow tasks run``, ``python -m MODULE``."""


@dataclass(frozen=True)
class StoredArguments:
    """A command that points to its arguments, the place they go to, and what is written there."""

    command: tuple[str, ...]
    bucket: str
    key: str
    body: bytes

    @property
    def uri(self) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"


class WorkloadStore:
    """The place in S3 for the arguments of one deployment. Methods that talk to S3 raise what botocore raises."""

    def __init__(self, connect: Callable[[], Any], uri: str, deployment: str, kms_key: str | None) -> None:
        """``connect`` makes a client of S3; ``uri`` is ``s3://bucket`` or ``s3://bucket/prefix``.

        Without ``kms_key`` (an ID, ARN or alias), the bucket's own encryption holds, which Amazon S3 applies to every
        object: docs.aws.amazon.com/AmazonS3/latest/userguide/default-encryption-faq.html
        """
        self._client = ProcessClient(connect)
        self.bucket, _, prefix = uri[len("s3://") :].partition("/")
        self._prefix = "/".join(part for part in (prefix.strip("/"), deployment) if part)
        self._encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        self._warned = False

    def prepare(self, identity: str, command: Sequence[str]) -> StoredArguments:
        """Make the command that points to the arguments of ``command``; nothing is written yet."""
        key = f"{self._prefix}/{identity}-{uuid.uuid4().hex}.json"
        body = json.dumps({"arguments": list(command[_PROGRAM:])}).encode()
        pointing = (*command[:_PROGRAM], POINTER, f"s3://{self.bucket}/{key}")
        return StoredArguments(pointing, self.bucket, key, body)

    def put(self, stored: StoredArguments) -> None:
        """Write arguments, before the request that points to them goes out."""
        answer = self._client.get().put_object(
            Bucket=stored.bucket,
            Key=stored.key,
            Body=stored.body,
            ContentType="application/json",
            **self._encryption,
        )
        if not answer.get("ServerSideEncryption") and not self._warned:
            self._warned = True
            log.warning("s3://%s does not encrypt what is stored there: turn on its encryption", self.bucket)

    def remove(self, uri: str) -> None:
        """Remove what a container did not come to read. Removing what is gone is no error."""
        bucket, _, key = uri[len("s3://") :].partition("/")
        self._client.get().delete_object(Bucket=bucket, Key=key)

    def renew(self) -> None:
        """Make the client anew with the next call: the credentials of this one have expired."""
        self._client.renew()

    def try_out(self) -> None:
        """Write an empty object and remove it."""
        key = f"{self._prefix}/health-check-{uuid.uuid4().hex}"
        self._client.get().put_object(Bucket=self.bucket, Key=key, Body=b"", **self._encryption)
        self._client.get().delete_object(Bucket=self.bucket, Key=key)
