"""S3 addresses, and folders written to an S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.fakes.s3 import FakeS3
from local.machine.aws_client import aws_client, put_folder


@pytest.mark.parametrize(("uri", "prefix"), [("s3://bucket", ""), ("s3://bucket/some/prefix/", "some/prefix/")])
def test_a_folder_is_written_without_what_no_one_wants(uri: str, prefix: str, fake: FakeS3, tmp_path: Path) -> None:
    (tmp_path / "pkg" / "__pycache__").mkdir(parents=True)
    (tmp_path / "pkg" / "__pycache__" / "a.pyc").write_bytes(b"x")
    (tmp_path / "pkg" / "a.py").write_bytes(b"a")
    (tmp_path / "b.py").write_bytes(b"b")
    client = aws_client("s3", fake.url)
    assert put_folder(client, tmp_path, uri) == 2
    client.close()
    assert fake.buckets["bucket"] == {f"{prefix}pkg/a.py": b"a", f"{prefix}b.py": b"b"}
