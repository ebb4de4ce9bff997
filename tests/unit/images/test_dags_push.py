"""`build.py dags push` against an S3 that speaks HTTP, and what the image's entrypoint makes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow_ecs_entrypoint.s3_uri import parse_s3_uri
from airflow_ecs_entrypoint.settings import read
from airflow_ecs_entrypoint.signals import ShutdownHandler
from airflow_ecs_entrypoint.sync.progress import Progress
from airflow_ecs_entrypoint.sync.sync import Sync
from hypothesis import given
from hypothesis import strategies as some

from images.dags import archive
from images.dags import push as pushing
from images.dags.archive import Member, fingerprint, pack
from images.dags.bucket import CONCURRENCY
from images.dags.plan import Stored, check_paths, content_of, destination_of, plan
from images.errors import BuildToolError
from local.fakes import s3 as fake_s3
from local.fakes.s3 import DELETION, LISTING, WRITING, FakeS3, Fault
from tests.aws_environment import AWS_ENVIRONMENT
from tests.paths import ROOT

if TYPE_CHECKING:
    from tests.unit.images.conftest import Run

NOW = datetime(2026, 1, 31, tzinfo=timezone.utc)
PATHS = some.sampled_from(["a.py", "b.py", "pkg/__init__.py", "pkg/c.py", "notes.md"])
TREES = some.dictionaries(PATHS, some.sampled_from([b"", b"1", b"2", b"33"]))


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    fake = FakeS3().start()
    fake.keeps_versions = False  # a pin is a second that has passed, for which each push would wait
    for name, value in {
        **AWS_ENVIRONMENT,
        "AWS_ENDPOINT_URL": fake.url,
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield fake
    fake.close()


@pytest.fixture
def versioned(s3: FakeS3) -> FakeS3:
    """The same S3, which keeps versions."""
    s3.keeps_versions = True
    return s3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """DAGs with what lies around in a working tree."""
    found = tmp_path / "project" / "dags"
    for name, text in {
        "daily.py": "# daily\n",
        "pkg/__init__.py": "",
        "pkg/é.sql": "select 1",
        ".airflowignore": "pkg/\n",
        "pkg/__pycache__/x.pyc": "bytecode",
        ".git/config": "[core]",
    }.items():
        path = found / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return found


def many(tmp_path: Path, count: int) -> Path:
    """A folder of files that differ."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.py").write_text(str(number))
    return folder


DAGS = {"daily.py": b"# daily\n", "pkg/__init__.py": b"", "pkg/é.sql": b"select 1", ".airflowignore": b"pkg/\n"}


def pinned(output: str) -> dict[str, str]:
    """The settings that a push has printed."""
    return dict(line.split("=", 1) for line in output.splitlines())


def loaded(tmp_path: Path, **settings: str) -> dict[str, bytes]:
    """What the entrypoint of an image loads by these settings."""
    home = tmp_path / "airflow"
    home.mkdir(exist_ok=True)
    environ = {**os.environ, "AIRFLOW_HOME": str(home), **settings}
    Sync(read(environ), environ, ShutdownHandler(lambda number: None), Progress()).run()
    dags = home / "dags"
    return {
        path.relative_to(dags).as_posix(): path.read_bytes()
        for path in dags.rglob("*")
        if path.is_file() and ".airflow-ecs" not in path.parts
    }


class TestFiles:
    def test_a_prefix_holds_what_the_folder_holds(self, s3: FakeS3, folder: Path, run: Run) -> None:
        answer = run("dags", "push", folder, "s3://bucket/dags")
        assert answer.code == 0
        assert s3.buckets["bucket"] == {f"dags/{name}": body for name, body in DAGS.items()}
        assert "build.py: upload daily.py\n" in answer.errors
        assert "s3://bucket/dags: 4 uploaded, 0 deleted, 0 unchanged" in answer.errors
        assert answer.output == "S3_URI=s3://bucket/dags\n", "a bucket without versions has nothing to pin"
        assert "put-bucket-versioning --bucket bucket --versioning-configuration Status=Enabled" in answer.errors

    def test_only_what_has_changed_is_uploaded_and_what_is_gone_is_deleted(
        self, s3: FakeS3, folder: Path, run: Run
    ) -> None:
        run("dags", "push", folder, "s3://bucket/dags")
        (folder / "daily.py").write_text("# weekly\n")
        (folder / "pkg" / "é.sql").unlink()
        answer = run("dags", "push", folder, "s3://bucket/dags", "--json")
        assert json.loads(answer.output) | {"version": ""} == {
            "uri": "s3://bucket/dags",
            "uploaded": ["daily.py"],
            "deleted": ["pkg/é.sql"],
            "unchanged": 2,
            "version": "",
        }
        assert s3.buckets["bucket"]["dags/daily.py"] == b"# weekly\n"
        assert "dags/pkg/é.sql" not in s3.buckets["bucket"]

    def test_a_thousand_unchanged_files_are_one_request_and_two_for_the_version(
        self, versioned: FakeS3, tmp_path: Path, run: Run
    ) -> None:
        versioned.buckets["bucket"] = {f"dags/{number}.py": str(number).encode() for number in range(1000)}
        answer = run("dags", "push", many(tmp_path, 1000), "s3://bucket/dags")
        assert "0 uploaded, 0 deleted, 1000 unchanged" in answer.errors
        assert versioned.requests.keys() == {LISTING}, "no object was asked for"
        assert versioned.requests[LISTING] <= 3, "the listing, whether versions are kept, and perhaps the time"

    def test_where_etags_say_nothing_checksums_do(
        self, s3: FakeS3, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fake_s3, "etag", lambda body: '"0123456789abcdef0123456789abcdef"')
        run("dags", "push", folder, "s3://bucket/dags")
        (folder / "daily.py").write_text("# DAILY\n")
        assert "1 uploaded, 0 deleted, 3 unchanged" in run("dags", "push", folder, "s3://bucket/dags").errors
        assert s3.buckets["bucket"]["dags/daily.py"] == b"# DAILY\n"

    def test_neither_other_prefixes_nor_folder_markers_are_touched(self, s3: FakeS3, folder: Path, run: Run) -> None:
        others = {"dags-old/x.py": b"x", "dags/": b"", "dags/pkg/": b"", "logs/y": b"y"}
        s3.buckets["bucket"] = {**others, "dags/daily.py": b"old"}
        run("dags", "push", folder, "s3://bucket/dags")
        assert {key: s3.buckets["bucket"][key] for key in others} == others

    def test_excluded_files_are_neither_uploaded_nor_deleted(self, s3: FakeS3, folder: Path, run: Run) -> None:
        s3.buckets["bucket"] = {"dags/daily.py": b"", "dags/notes/a.md": b"kept"}
        (folder / "keys.env").write_text("AWS_SECRET_ACCESS_KEY=" + "q" * 40)
        patterns = ("--exclude", "*.md", "--exclude", "keys.env", "--exclude", "pkg/")
        run("dags", "push", folder, "s3://bucket/dags", *patterns)
        assert sorted(s3.buckets["bucket"]) == ["dags/.airflowignore", "dags/daily.py", "dags/notes/a.md"]

    def test_a_dry_run_says_what_would_be_done_and_does_nothing(self, s3: FakeS3, folder: Path, run: Run) -> None:
        s3.buckets["bucket"] = {"dags/gone.py": b"old", "dags/daily.py": DAGS["daily.py"]}
        before = dict(s3.buckets["bucket"])
        answer = run("dags", "push", folder, "s3://bucket/dags", "--dry-run")
        assert s3.buckets["bucket"] == before
        assert "upload pkg/é.sql" in answer.errors and "delete gone.py" in answer.errors
        assert "3 would be uploaded, 1 would be deleted, 1 unchanged" in answer.errors

    def test_a_task_can_pin_what_was_pushed(self, versioned: FakeS3, folder: Path, run: Run, tmp_path: Path) -> None:
        settings = pinned(run("dags", "push", folder, "s3://bucket/dags").output)
        (folder / "daily.py").write_text("# later\n")
        (folder / "pkg" / "__init__.py").unlink()
        run("dags", "push", folder, "s3://bucket/dags")
        assert loaded(tmp_path, **settings) == DAGS
        del settings["S3_VERSION"]
        assert loaded(tmp_path, **settings)["daily.py"] == b"# later\n"

    def test_a_pin_leaves_out_what_was_deleted_a_moment_ago(
        self, versioned: FakeS3, folder: Path, run: Run, tmp_path: Path
    ) -> None:
        before = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(seconds=30)
        for name, body in {**DAGS, "gone.py": b"gone"}.items():
            versioned.put("bucket", f"dags/{name}", body, before)
        time.sleep(1 - time.time() % 1)  # all that follows is in one second
        versioned.delete("bucket", "dags/gone.py")
        answer = run("dags", "push", folder, "s3://bucket/dags")
        assert "0 uploaded, 0 deleted, 4 unchanged" in answer.errors
        assert loaded(tmp_path, **pinned(answer.output)) == DAGS

    def test_who_may_not_ask_for_versioning_is_told_what_to_allow(
        self, versioned: FakeS3, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("images.dags.bucket.Bucket.keeps_versions", lambda bucket: None)
        answer = run("dags", "push", folder, "s3://bucket/dags")
        assert (answer.code, answer.output) == (0, "S3_URI=s3://bucket/dags\n")
        assert "allow s3:GetBucketVersioning on the bucket\n" in answer.errors
        assert "put-bucket-versioning" not in answer.errors


class TestArchives:
    @pytest.mark.parametrize("name", ["dags.tar.gz", "dags.tgz", "releases/dags.zip"])
    def test_the_entrypoint_unpacks_what_was_pushed(
        self, versioned: FakeS3, folder: Path, run: Run, tmp_path: Path, name: str
    ) -> None:
        settings = pinned(run("dags", "push", folder, f"s3://bucket/{name}").output)
        (folder / "daily.py").write_text("# later\n")
        run("dags", "push", folder, f"s3://bucket/{name}")
        assert settings["S3_URI"] == f"s3://bucket/{name}"
        assert loaded(tmp_path, **settings) == DAGS

    def test_an_unchanged_one_keeps_its_version(self, versioned: FakeS3, folder: Path, run: Run) -> None:
        first = run("dags", "push", folder, "s3://bucket/dags.tar.gz")
        (folder / "daily.py").touch()
        again = run("dags", "push", folder, "s3://bucket/dags.tar.gz")
        assert again.output == first.output and "S3_VERSION=" in first.output
        assert "0 uploaded, 0 deleted, 4 unchanged" in again.errors
        assert len(versioned.versions["bucket"]["dags.tar.gz"]) == 1

    @pytest.mark.parametrize("name", ["dags.tar.gz", "dags.zip"])
    def test_another_zlib_does_not_make_it_another(
        self, versioned: FakeS3, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        (folder / "long.py").write_text("\n".join(str(number) for number in range(1000)))
        first = run("dags", "push", folder, f"s3://bucket/{name}")
        monkeypatch.setattr(archive, "_LEVEL", zlib.Z_BEST_SPEED)
        assert run("dags", "push", folder, f"s3://bucket/{name}").output == first.output
        (folder / "daily.py").write_text("# later\n")
        assert run("dags", "push", folder, f"s3://bucket/{name}").output != first.output

    def test_one_that_something_else_has_written_is_known_by_its_bytes(
        self, versioned: FakeS3, folder: Path, run: Run
    ) -> None:
        run("dags", "push", folder, "s3://bucket/dags.zip")
        version = versioned.put("bucket", "dags.zip", versioned.buckets["bucket"]["dags.zip"])
        versioned.metadata.clear()
        assert f"S3_VERSION={version}\n" in run("dags", "push", folder, "s3://bucket/dags.zip").output

    def test_the_version_null_is_no_pin(self, s3: FakeS3, folder: Path, run: Run) -> None:
        s3.suspended = True
        for _ in range(2):  # uploaded, and found unchanged
            answer = run("dags", "push", folder, "s3://bucket/dags.zip")
            assert (answer.code, answer.output) == (0, "S3_URI=s3://bucket/dags.zip\n")
            assert "put-bucket-versioning" in answer.errors

    def test_once_the_bucket_keeps_versions_it_gets_one(self, s3: FakeS3, folder: Path, run: Run) -> None:
        run("dags", "push", folder, "s3://bucket/dags.zip")
        s3.keeps_versions = True
        answer = run("dags", "push", folder, "s3://bucket/dags.zip")
        assert "S3_VERSION=version-1\n" in answer.output and "keeps versions since" in answer.errors
        assert run("dags", "push", folder, "s3://bucket/dags.zip").output == answer.output

    @pytest.mark.parametrize("made", [pack, fingerprint])
    @pytest.mark.parametrize("ending", [".tar.gz", ".zip"])
    def test_it_depends_on_names_contents_and_executable_bits_alone(
        self, ending: str, made: Callable[[Mapping[str, Member], str], object]
    ) -> None:
        members = {"b.py": Member(b"b", False), "a.sh": Member(b"a", True)}
        assert made(members, ending) == made(dict(reversed(members.items())), ending)
        assert made(members, ending) != made({**members, "b.py": Member(b"b", True)}, ending)
        assert made(members, ending) != made({**members, "b.py": Member(b"c", False)}, ending)

    def test_a_dry_run_writes_none(self, s3: FakeS3, folder: Path, run: Run) -> None:
        answer = run("dags", "push", folder, "s3://bucket/dags.tar.gz", "--dry-run")
        assert (answer.code, s3.buckets["bucket"]) == (0, {})
        assert "upload dags.tar.gz, 4 files" in answer.errors


class TestRefusals:
    @pytest.mark.parametrize(
        "arguments, code, message",
        [
            ([], 2, "dags push requires either an S3 URI or --stack."),
            (["s3://bucket/dags", "--stack", "airflow-ecs"], 2, "requires either"),
            (["s3://bucket/dags.tar.zst"], 2, "does not write .tar.zst archives"),
            (["s3://bucket/dags", "--exclude", "*"], 4, "has only files that --exclude leaves out."),
            (["s3://nowhere/dags"], 20, "The bucket nowhere does not exist.\n  Create it: aws s3 mb s3://nowhere"),
            (["s3://nowhere/dags.zip", "--dry-run"], 20, "The bucket nowhere does not exist."),
            (["s3://bucket/a//dags"], 2, "empty, '.' or '..' part"),
        ],
    )
    def test_what_cannot_be_is_told_in_one_message(
        self, s3: FakeS3, folder: Path, run: Run, arguments: list[str], code: int, message: str
    ) -> None:
        answer = run("dags", "push", folder, *arguments)
        assert (answer.code, answer.output) == (code, "")
        assert message in answer.errors

    def test_a_missing_or_an_empty_folder_deletes_nothing(self, s3: FakeS3, tmp_path: Path, run: Run) -> None:
        s3.buckets["bucket"] = {"dags/a.py": b"a"}
        (tmp_path / "empty").mkdir()
        assert run("dags", "push", tmp_path / "missing", "s3://bucket/dags").code == 4
        assert run("dags", "push", tmp_path / "empty", "s3://bucket/dags").code == 4
        assert s3.buckets["bucket"] == {"dags/a.py": b"a"}

    def test_a_prefix_of_other_files_is_replaced_only_on_request(self, s3: FakeS3, folder: Path, run: Run) -> None:
        s3.buckets["bucket"] = {"photos/1.jpg": b"1"}
        answer = run("dags", "push", folder, "s3://bucket/photos")
        assert answer.code == 2 and "is it the right place?" in answer.errors
        assert s3.buckets["bucket"] == {"photos/1.jpg": b"1"}
        assert run("dags", "push", folder, "s3://bucket/photos", "--replace").code == 0
        assert "photos/1.jpg" not in s3.buckets["bucket"]

    def test_a_whole_bucket_is_never_cleared(self, s3: FakeS3, folder: Path, run: Run) -> None:
        s3.buckets["bucket"] = {"daily.py": b"", "logs/1": b"log"}
        for further in ((), ("--replace",)):
            assert "is a whole bucket" in run("dags", "push", folder, "s3://bucket", *further).errors
        assert run("dags", "push", folder, "s3://bucket", "--keep-removed").code == 0
        assert s3.buckets["bucket"]["logs/1"] == b"log"

    def test_a_secret_in_a_file_is_not_uploaded(self, s3: FakeS3, folder: Path, run: Run) -> None:
        (folder / "keys.env").write_text("AWS_SECRET_ACCESS_KEY=" + "q" * 40)
        answer = run("dags", "push", folder, "s3://bucket/dags")
        assert answer.code == 5 and "and would be uploaded." in answer.errors
        assert s3.buckets["bucket"] == {}

    @pytest.mark.parametrize(
        "name", ["back\\slash.py", ".airflow-ecs/x", "line\nbreak.py", "x" * 200 + "/" + "y" * 250]
    )
    def test_names_that_the_entrypoint_would_refuse_are_not_uploaded(
        self, s3: FakeS3, folder: Path, run: Run, name: str
    ) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
        prefix = "s3://bucket/" + "p" * 600
        assert run("dags", "push", folder, prefix).code == 4
        assert s3.buckets["bucket"] == {}

    def test_a_refusal_of_s3_names_the_permission(self, s3: FakeS3, folder: Path, run: Run) -> None:
        s3.faults = [Fault(LISTING, "error", status=403, code="AccessDenied")]
        answer = run("dags", "push", folder, "s3://bucket/dags")
        assert answer.code == 20 and "Allow s3:ListBucket in the IAM policy" in answer.errors

    @pytest.mark.parametrize(
        "status, code, message, says",
        [
            (
                403,
                "AccessDenied",
                "The ciphertext refers to a customer master key that you may not use",
                "kms:GenerateData",
            ),
            (
                403,
                "AccessDenied",
                "not authorized to perform: kms:GenerateDataKey with an explicit deny in a resource-based policy",
                "kms:GenerateDataKey: change the resource-based policy that denies it",
            ),
            (400, "KMS.DisabledException", "arn:aws:kms:eu-west-1:1:key/1 is disabled.", "Enable the KMS key"),
            (400, "KMS.KMSInvalidStateException", "K is pending deletion.", "Cancel the deletion of the KMS key"),
            (400, "KMS.NotFoundException", "Invalid keyId 'x'", "does not exist in the bucket's region"),
            (301, "PermanentRedirect", "Use the specified endpoint.", "give it with --region"),
            (
                400,
                "AuthorizationHeaderMalformed",
                "the region 'a-1' is wrong; expecting 'b-2'",
                "give it with --region",
            ),
        ],
    )
    def test_what_s3_says_of_keys_regions_and_clocks_has_its_own_advice(
        self, s3: FakeS3, folder: Path, run: Run, status: int, code: str, message: str, says: str
    ) -> None:
        s3.faults = [Fault(WRITING, "error", status=status, code=code, message=message)]
        answer = run("dags", "push", folder, "s3://bucket/dags")
        assert answer.code == 20 and f"{code}: " in answer.errors and says in answer.errors

    def test_after_a_failure_the_same_push_completes_it(self, s3: FakeS3, folder: Path, run: Run) -> None:
        s3.buckets["bucket"] = {"dags/gone.py": b"old", "dags/daily.py": b"old"}
        s3.faults = [Fault(WRITING, "error", times=1, status=403, code="AccessDenied")]
        answer = run("dags", "push", folder, "s3://bucket/dags")
        assert answer.code == 20
        assert "Allow s3:PutObject in the IAM policy" in answer.errors
        assert "the same push completes it" in answer.errors
        assert "dags/gone.py" in s3.buckets["bucket"], "nothing is deleted before all is there"
        assert run("dags", "push", folder, "s3://bucket/dags").code == 0
        assert s3.buckets["bucket"] == {f"dags/{name}": body for name, body in DAGS.items()}

    def test_the_first_error_ends_it_and_it_says_what_was_done(self, s3: FakeS3, tmp_path: Path, run: Run) -> None:
        s3.latency = 0.01
        s3.faults = [Fault(WRITING, "error", times=1, status=403, code="AccessDenied")]
        answer = run("dags", "push", many(tmp_path, 20 * CONCURRENCY), "s3://bucket/dags")
        there = len(s3.buckets["bucket"])
        assert answer.code == 20
        assert there < 10 * CONCURRENCY, "nothing new was begun"
        assert f"{there} of {20 * CONCURRENCY} files were uploaded; the same push completes it." in answer.errors

    def test_ctrl_c_ends_it(self, s3: FakeS3, tmp_path: Path) -> None:
        s3.latency = 0.05
        folder = many(tmp_path, 40 * CONCURRENCY)
        command = [sys.executable, "build.py", "dags", "push", str(folder), "s3://bucket/dags"]
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
        try:
            until = time.monotonic() + 30
            while len(s3.buckets["bucket"]) < 4 * CONCURRENCY and time.monotonic() < until:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            errors = process.communicate(timeout=30)[1]
        finally:
            process.kill()
            signal.signal(signal.SIGINT, before)
        assert process.returncode == 130 and b"interrupted" in errors
        assert 0 < len(s3.buckets["bucket"]) < 40 * CONCURRENCY

    def test_a_failed_deletion_names_the_permission(self, s3: FakeS3, folder: Path, run: Run) -> None:
        s3.buckets["bucket"] = {"dags/gone.py": b"old", "dags/daily.py": b"old"}
        s3.faults = [Fault(DELETION + "dags/gone.py", "error", status=403, code="AccessDenied")]
        answer = run("dags", "push", folder, "s3://bucket/dags")
        assert answer.code == 20 and "Allow s3:DeleteObject in the IAM policy" in answer.errors
        assert "0 of 1 files were deleted" in answer.errors
        assert s3.buckets["bucket"]["dags/daily.py"] == DAGS["daily.py"]

    def test_a_file_that_changes_while_it_is_pushed_is_not_uploaded(
        self, s3: FakeS3, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        s3.buckets["bucket"] = {"dags/daily.py": b"old", "dags/gone.py": b"gone"}

        def change(*arguments: Any) -> Any:
            (folder / "daily.py").write_text("half of it")
            return plan(*arguments)

        monkeypatch.setattr(pushing, "plan", change)
        answer = run("dags", "push", folder, "s3://bucket/dags")
        assert answer.code == 4 and "was changed while it was pushed" in answer.errors
        assert s3.buckets["bucket"].items() >= {"dags/daily.py": b"old", "dags/gone.py": b"gone"}.items()

    def test_why_an_archive_cannot_be_looked_at_is_said_though_head_does_not_tell(
        self, s3: FakeS3, folder: Path, run: Run
    ) -> None:
        s3.faults = [Fault("dags.zip", "error", status=400, code="ExpiredToken")]
        answer = run("dags", "push", folder, "s3://bucket/dags.zip")
        assert answer.code == 20 and "ExpiredToken" in answer.errors and "credentials are missing" in answer.errors

    @pytest.mark.parametrize(("flags", "code"), [(("--exclude", "odd/*"), 0), (("--keep-removed",), 2)])
    def test_an_odd_name_may_stay_only_if_it_is_left_out(
        self, s3: FakeS3, folder: Path, run: Run, flags: tuple[str, ...], code: int
    ) -> None:
        s3.buckets["bucket"] = {"dags/odd//x": b"x", "dags/.airflowignore": b""}
        assert run("dags", "push", folder, "s3://bucket/dags", *flags).code == code

    @pytest.mark.parametrize("there", ["pkg", "daily.py/old.py"])
    def test_what_stays_must_not_make_a_file_a_folder(self, s3: FakeS3, folder: Path, run: Run, there: str) -> None:
        s3.buckets["bucket"] = {f"dags/{there}": b"x", "dags/.airflowignore": b""}
        answer = run("dags", "push", folder, "s3://bucket/dags", "--keep-removed")
        assert answer.code == 2 and "is both a file and a folder" in answer.errors
        assert len(s3.buckets["bucket"]) == 2
        assert run("dags", "push", folder, "s3://bucket/dags").code == 0

    def test_throttled_requests_are_sent_again(self, s3: FakeS3, folder: Path, run: Run) -> None:
        s3.faults = [Fault(WRITING, "error", times=2, status=503, code="SlowDown")]
        assert run("dags", "push", folder, "s3://bucket/dags").code == 0


class TestPlan:
    @given(TREES, TREES)
    def test_what_is_done_makes_the_prefix_like_the_folder(
        self, here: dict[str, bytes], there: dict[str, bytes]
    ) -> None:
        contents = {path: content_of(body) for path, body in here.items()}
        objects = {path: Stored(len(body), f'"{content_of(body).md5}"', NOW) for path, body in there.items()}
        found = plan(contents, objects, lambda path: False, keep_removed=False)
        after = {path: body for path, body in there.items() if path not in found.delete}
        after |= {path: here[path] for path in (*found.upload, *found.unclear)}
        assert after == here
        assert found.unchanged == sum(there.get(path) == body for path, body in here.items())
        assert not [path for path in found.upload if there.get(path) == here[path]]

    @given(some.text("ab./\\", max_size=12), some.sampled_from(["", ".zip", ".tgz/", ".tar.zst/"]))
    def test_every_address_that_is_taken_means_the_same_to_the_entrypoint(self, path: str, ending: str) -> None:
        try:
            found = destination_of(f"s3://bucket/{path}{ending}")
        except BuildToolError:
            return
        assert parse_s3_uri("S3_URI", str(found)).path == found.path

    @given(TREES.map(set), some.sets(some.sampled_from(["a.py", "a.py/b", "pkg", "pkg/d.py", "x", "x/y"])))
    def test_a_clash_is_refused_where_the_entrypoint_would_refuse_it(self, files: set[str], kept: set[str]) -> None:
        paths = files | kept
        clashes = any(path.startswith(f"{other}/") for path in paths for other in paths)
        try:
            check_paths(destination_of("s3://bucket/dags"), files, kept)
        except BuildToolError:
            assert clashes
        else:
            assert not clashes
