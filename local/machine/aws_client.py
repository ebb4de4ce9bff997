"""boto3 clients of local AWS endpoints, and uploads of folders to S3."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.machine.containers import folder_files

REGION = "us-east-1"
_UPLOADS = 8


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Split ``s3://bucket/some/prefix/`` into ``bucket`` and ``some/prefix``."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    return bucket, prefix.strip("/")


def aws_client(service: str, endpoint: str) -> Any:
    """Return a boto3 client of an AWS stand-in."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(s3={"addressing_style": "path"}, max_pool_connections=2 * _UPLOADS, proxies={}),
    )


def put_folder(client: Any, folder: Path, s3_uri: str) -> int:
    """Upload a folder's files under ``s3://bucket/prefix``, a bucket that exists; return how many."""
    bucket, prefix = split_s3_uri(s3_uri)
    files = folder_files(folder)

    def put(name: str) -> None:
        client.put_object(Bucket=bucket, Key=f"{prefix}/{name}" if prefix else name, Body=files[name])

    with ThreadPoolExecutor(_UPLOADS) as pool:
        list(pool.map(put, files))
    return len(files)
