"""Client of the fake S3 in a container."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from local.machine.aws_client import aws_client, put_folder, split_s3_uri

NAME = "fake-s3"
PORT = 9000
_TIMEOUT = 30


class FakeS3Service:
    """A running fake S3. ``endpoint`` is its address for this machine, ``container_endpoint`` for containers."""

    container_endpoint = f"http://{NAME}:{PORT}"

    def __init__(self, endpoint: str) -> None:
        """Use the one that listens there."""
        self.endpoint = endpoint
        self._s3 = aws_client("s3", endpoint)
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def put(self, s3_uri: str, body: bytes) -> None:
        """Write one object, in a bucket that is made if need be; an older version stays."""
        bucket, key = split_s3_uri(s3_uri)
        self._s3.create_bucket(Bucket=bucket)
        self._s3.put_object(Bucket=bucket, Key=key, Body=body)

    def put_folder(self, folder: Path, s3_uri: str) -> int:
        """Write a folder's files under ``s3://bucket/prefix``; return how many."""
        self._s3.create_bucket(Bucket=split_s3_uri(s3_uri)[0])
        return put_folder(self._s3, folder, s3_uri)

    def set_faults(self, faults: Iterable[Mapping[str, Any]]) -> None:
        """Replace the faults: the arguments of ``s3.Fault`` by name."""
        self._control("faults", json.dumps([dict(fault) for fault in faults]).encode())

    def requests(self) -> dict[str, int]:
        """Return how often each key was read; ``s3.LISTING`` and ``s3.VERSIONS`` are the listings."""
        return {str(name): int(count) for name, count in json.loads(self._control("requests")).items()}

    def close(self) -> None:
        """Close the client's connections; the service stays."""
        self._s3.close()

    def _control(self, what: str, body: bytes | None = None) -> bytes:
        with self._direct.open(f"{self.endpoint}/-/{what}", body, timeout=_TIMEOUT) as answer:
            content: bytes = answer.read()
        return content
