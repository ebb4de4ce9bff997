"""S3 fails in a real container: the task does not start, and one line says why and what to do."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.control_plane import Dags
from local.deployment import Deployment, PreparedTask
from local.fake_s3_service import FakeS3Service
from local.task_run import run_task
from tests.images.conftest import S3_URI
from tests.images.product import PRODUCTS, Product


def archive(*members: tuple[str, bytes, str]) -> bytes:
    """A .tar.gz of (name, content, target of a link)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, content, link in members:
            info = tarfile.TarInfo(name)
            info.size, info.linkname = len(content), link
            info.type = tarfile.SYMTYPE if link else tarfile.REGTYPE
            packed.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVES = {
    "broken": archive(("a.py", b"x" * 5000, ""))[:-30],
    "text": gzip.compress(b"no tar, but a text\n" * 100),
    "outside": archive(("../../home/airflow/evil.py", b"x", "")),
    "link": archive(("a.py", b"x", ""), ("link.py", b"", "/etc/passwd")),
    "bomb": archive(("zeros", b"\0" * 3 * 1024 * 1024, "")),
}


@dataclass(frozen=True)
class Case:
    """What is wrong, and what the container must say and end with."""

    code: int
    said: tuple[str, ...]
    environment: Mapping[str, str | None] = field(default_factory=dict)
    faults: tuple[Mapping[str, Any], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def error(code: str, status: int, key: str | None = "", **details: Any) -> tuple[Mapping[str, Any], ...]:
    """A fault: S3 answers with an error, always; the key is that of the listing unless given."""
    return ({"key": key, "kind": "error", "code": code, "status": status, **details},)


DAG = "project/project_report.py"
REGION = {"x-amz-bucket-region": "us-west-2"}
TINY = {"tmpfs": {"/opt/airflow/dags": "size=16k,uid=50000,gid=0,mode=0775"}}
READ_ONLY = {"tmpfs": {"/opt/airflow/dags": "ro,size=1m"}}
CASES = {
    "no S3_URI": Case(80, ("S3_URI is not set",), {"S3_URI": None}),
    "malformed S3_URI": Case(80, ("S3_URI does not begin with s3://",), {"S3_URI": "https://example.com/dags"}),
    "malformed limit": Case(80, ("DAGS_TIMEOUT must be a whole number",), {"DAGS_TIMEOUT": "5m"}),
    "a version ID for a prefix": Case(80, ("S3_VERSION must be a time in UTC",), {"S3_VERSION": "3L4kqt"}),
    "zstd without a library": Case(
        80, ("add zstandard to the image's requirements",), {"S3_URI": "s3://archives/broken.tar.zst"}
    ),
    "no credentials": Case(
        81,
        ("no usable AWS credentials", "task role"),
        {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"},
    ),
    "may not list": Case(81, ("allow s3:ListBucket on arn:aws:s3:::dags ",), faults=error("AccessDenied", 403)),
    "may not read": Case(
        81, (f"allow s3:GetObject on arn:aws:s3:::dags/{DAG} ",), faults=error("AccessDenied", 403, DAG)
    ),
    "may not read the archive": Case(
        81,
        ("allow s3:GetObject on arn:aws:s3:::dags/x.tar.gz ",),
        {"S3_URI": "s3://dags/x.tar.gz"},
        error("AccessDenied", 403, "x.tar.gz"),
    ),
    "may not list versions": Case(
        81,
        ("allow s3:ListBucketVersions on arn:aws:s3:::dags ",),
        {"S3_VERSION": "2026-01-01T00:00:00Z"},
        error("AccessDenied", 403, "?versions"),
    ),
    "expired credentials": Case(
        81, ("did not accept the credentials (ExpiredToken)",), faults=error("ExpiredToken", 400)
    ),
    "no such bucket": Case(82, ("s3://no-such-bucket/dags/: no such bucket",), {"S3_URI": "s3://no-such-bucket/dags"}),
    "empty prefix": Case(82, ("s3://dags/no-such-prefix/ holds no files",), {"S3_URI": "s3://dags/no-such-prefix"}),
    "everything left out": Case(82, ("that DAGS_EXCLUDE leaves out",), {"DAGS_EXCLUDE": "*"}),
    "before the first version": Case(82, ("held no files at that time",), {"S3_VERSION": "2001-01-01T00:00:00Z"}),
    "no such archive": Case(82, ("no such object: check the S3 URI",), {"S3_URI": "s3://dags/none.tar.gz"}),
    "wrong region": Case(
        82, ("set AWS_DEFAULT_REGION=us-west-2",), faults=error("AuthorizationHeaderMalformed", 400, headers=REGION)
    ),
    "full disk": Case(82, ("no space left", "ephemeral storage"), {"DAGS_CONCURRENCY": "1"}, options=TINY),
    "read-only folder": Case(82, ("the file system is read-only",), options=READ_ONLY),
    "too much": Case(
        82,
        ("bomb.tar.gz holds more than 2 MiB", "DAGS_MAX_MB"),
        {"S3_URI": "s3://archives/bomb.tar.gz", "DAGS_MAX_MB": "2"},
    ),
    "broken archive": Case(
        82, ("broken.tar.gz is broken", "upload it again"), {"S3_URI": "s3://archives/broken.tar.gz"}
    ),
    "no archive": Case(82, ("text.tar.gz is broken or no such archive",), {"S3_URI": "s3://archives/text.tar.gz"}),
    "archive that leads outside": Case(82, ("is no safe file name",), {"S3_URI": "s3://archives/outside.tar.gz"}),
    "archive with a link": Case(
        82, ("'link.py' in s3://archives/link.tar.gz is a link",), {"S3_URI": "s3://archives/link.tar.gz"}
    ),
    "S3 unreachable": Case(
        84,
        ("no complete answer from fake-s3", "route"),
        {"AWS_ENDPOINT_URL": "http://fake-s3:9", "AWS_MAX_ATTEMPTS": "2"},
    ),
    "S3 throttles": Case(
        84, ("S3 is throttling or has a fault (SlowDown)",), {"AWS_MAX_ATTEMPTS": "2"}, error("SlowDown", 503, None)
    ),
    "S3 dies half-way": Case(
        84,
        (f"cannot download s3://dags/{DAG}: no complete answer",),
        {"AWS_MAX_ATTEMPTS": "2"},
        ({"key": DAG, "kind": "break"},),
    ),
    "a prefix that never rests": Case(84, ("it was changed meanwhile",), faults=error("PreconditionFailed", 412, DAG)),
    "S3 slower than the limit": Case(
        84,
        ("DAGs were not loaded within 2 s, still downloading objects, 11 of 12", "DAGS_TIMEOUT"),
        {"DAGS_TIMEOUT": "2"},
        ({"key": DAG, "kind": "trickle", "bytes_per_second": 20},),
    ),
    "S3 that never answers": Case(
        84,
        ("not loaded within 2 s, still looking at s3://dags/project/",),
        {"DAGS_TIMEOUT": "2"},
        ({"key": "", "kind": "hang"},),
    ),
}


@pytest.fixture(scope="module")
def task(worker: str, deployment_of: Callable[[Product], Deployment]) -> PreparedTask:
    """A task that never starts, so that one is enough."""
    (prepared,) = deployment_of(PRODUCTS[worker]).prepare(
        [("project_report", "load")], image=worker, dags=Dags(s3_uri=S3_URI)
    )
    return prepared


@pytest.fixture
def failing_s3(fake_s3: FakeS3Service) -> Iterator[FakeS3Service]:
    """The fake S3 with the archives in it; well again afterwards."""
    for name, content in ARCHIVES.items():
        fake_s3.put(f"s3://archives/{name}.tar.gz", content)
    fake_s3.put("s3://archives/broken.tar.zst", b"")
    yield fake_s3
    fake_s3.set_faults([])


@pytest.mark.parametrize("name", CASES)
def test_the_task_does_not_start(
    name: str,
    worker: str,
    task: PreparedTask,
    failing_s3: FakeS3Service,
    deployment_of: Callable[[Product], Deployment],
) -> None:
    case = CASES[name]
    failing_s3.set_faults(case.faults)
    environment = {"AWS_ENDPOINT_URL": failing_s3.container_endpoint, **case.environment}
    result = run_task(
        deployment_of(PRODUCTS[worker]),
        task,
        image=worker,
        dags=Dags(s3_uri=S3_URI),
        environment=environment,
        **case.options,
    )
    assert result.exit_code == case.code, result.describe()
    assert result.state == "queued", "Airflow never heard of an attempt"
    (line,) = result.output.splitlines()
    assert line.startswith("airflow-ecs-entrypoint: error: ") and line.endswith("; airflow tasks run was not started")
    for words in case.said:
        assert words in line
    assert task.run_id not in line, "no command arguments in logs"


def test_a_fault_that_passes_is_waited_for(
    worker: str,
    failing_s3: FakeS3Service,
    deployment_of: Callable[[Product], Deployment],
) -> None:
    """Throttled, then broken off, then well: the task runs."""
    deployment = deployment_of(PRODUCTS[worker])
    dags = Dags(s3_uri=S3_URI)
    (one,) = deployment.prepare([("project_report", "load")], image=worker, dags=dags)
    failing_s3.set_faults(
        [
            {"key": "", "kind": "error", "times": 2, "code": "SlowDown", "status": 503},
            {"key": DAG, "kind": "error", "times": 1, "code": "SlowDown", "status": 503},
            {"key": DAG, "kind": "break", "times": 1},
        ]
    )
    environment = {"AWS_ENDPOINT_URL": failing_s3.container_endpoint}
    result = run_task(deployment, one, image=worker, dags=dags, environment=environment)
    assert result.succeeded, result.describe()
