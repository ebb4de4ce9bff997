"""Archives against an S3 that speaks HTTP, and what must not come out of one."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from airflow_ecs_entrypoint.errors import AccessError, DagsError, SettingsError, UnavailableError
from airflow_ecs_entrypoint.sync import archive as archive_module

from local.fakes.s3 import Fault
from tests.unit.entrypoint.container import names, staging, tree

FILES = {"a.py": b"print(1)\n", "pkg/__init__.py": b"", "pkg/deep/é.sql": b"select 1", "run.sh": b"#!/bin/sh\n"}


def member(name, content=b"", kind=tarfile.REGTYPE, link="", mode=0o644):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mode, info.mtime = len(content), kind, link, mode, 1_700_000_000
    return info, io.BytesIO(content)


def tar_gz(*members, **options):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", **options) as archive:
        for info, content in members:
            archive.addfile(info, content)
    return buffer.getvalue()


def zipped(files, **attributes):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (2024, 5, 6, 7, 8, 10))
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return buffer.getvalue()


PLAIN = tar_gz(*(member(name, content) for name, content in FILES.items()))


@pytest.fixture
def unpacked(s3, sync, dags):
    """Sync an archive with the given content; returns the files."""

    def call(content, name="dags.tar.gz", **changes):
        s3.put("bucket", name, content)
        sync(f"s3://bucket/{name}", **changes)
        return tree(dags)

    return call


@pytest.mark.parametrize(
    "name, content",
    [
        ("dags.tar.gz", PLAIN),
        ("dags.tgz", tar_gz(*(member(f"./{name}", content) for name, content in FILES.items()))),
        ("dags.tar.gz", tar_gz(member("pkg", kind=tarfile.DIRTYPE), *(member(*item) for item in FILES.items()))),
        ("dags.tar.gz", tar_gz(*(member(*item) for item in FILES.items()), format=tarfile.GNU_FORMAT)),
        ("dags.zip", zipped({"pkg/": b"", **FILES})),
    ],
    ids=["tar.gz", "tgz with ./", "with a folder", "of GNU", "zip"],
)
def test_the_folder_holds_exactly_the_archive(unpacked, dags, name, content):
    dags.mkdir()
    (dags / "deleted.py").write_text("old")
    assert unpacked(content, name) == FILES
    assert names(dags) == ["a.py", "pkg", "run.sh"]


def test_one_object_is_asked_for_twice_and_nothing_is_listed(s3, unpacked):
    unpacked(PLAIN)
    assert dict(s3.requests) == {"dags.tar.gz": 2}  # what it is, and its content


@pytest.mark.parametrize("text", ["0", "-1", "2026-01-31T08:00:00+01:00", "yesterday", ""])
def test_the_header_expires_may_hold_anything(s3, unpacked, caplog, text):
    """S3 gives back whatever was stored for it: neither HEAD nor GET fails, nor is there a warning."""
    s3.metadata["dags.tar.gz"] = {"Expires": text}
    assert unpacked(PLAIN) == FILES
    assert "Expires" not in caplog.text


def test_times_and_executable_bits_are_the_archives(unpacked, dags):
    unpacked(tar_gz(member("run.sh", b"x", mode=0o4755), member("a.py", b"y")))
    status = (dags / "run.sh").stat()
    assert status.st_mtime == 1_700_000_000
    assert status.st_mode & stat.S_IXUSR and not status.st_mode & stat.S_ISUID
    assert not (dags / "a.py").stat().st_mode & stat.S_IXUSR


def test_a_zip_knows_executable_files_too(unpacked, dags):
    unpacked(zipped({"run.sh": b"x"}, external_attr=(stat.S_IFREG | 0o755) << 16), "dags.zip")
    assert (dags / "run.sh").stat().st_mode & stat.S_IXUSR
    unpacked(zipped({"run.sh": b"x"}, external_attr=(stat.S_IFREG | 0o644) << 16), "dags.zip")
    assert not (dags / "run.sh").stat().st_mode & stat.S_IXUSR


def test_patterns_leave_members_out(unpacked):
    assert set(unpacked(PLAIN, DAGS_EXCLUDE="*.sql,run.sh")) == {"a.py", "pkg/__init__.py"}
    with pytest.raises(DagsError, match="but 4 that DAGS_EXCLUDE leaves out"):
        unpacked(PLAIN, DAGS_EXCLUDE="*")


@pytest.mark.parametrize(
    "members, says",
    [
        ([member("../evil.py", b"x")], "not a safe file name"),
        ([member("a/../../evil.py", b"x")], "not a safe file name"),
        ([member("/etc/cron.d/evil", b"x")], "not a safe file name"),
        ([member("a\\..\\evil", b"x")], "not a safe file name"),
        ([member(".airflow-ecs/manifest.json", b"x")], "reserved name"),
        ([member("link", kind=tarfile.SYMTYPE, link="/etc")], "'link' in s3://bucket/dags.tar.gz is a link"),
        ([member("a", b"x"), member("hard", kind=tarfile.LNKTYPE, link="a")], "is a link"),
        ([member("pipe", kind=tarfile.FIFOTYPE)], "special file"),
        ([member("null", kind=tarfile.CHRTYPE)], "special file"),
        ([member("a", b"x"), member("a/b", b"x")], "both a file and a folder"),
        ([member("a/b", b"x"), member("a", b"x")], "both a file and a folder"),
        ([member("a", b"x"), member("a", b"y")], "appears twice"),
        ([], "holds no files"),
    ],
)
def test_what_must_not_come_out_of_an_archive(unpacked, dags, members, says):
    dags.mkdir()
    (dags / "kept.py").write_text("old")
    with pytest.raises(DagsError, match=says):
        unpacked(tar_gz(*members))
    assert tree(dags) == {"kept.py": b"old"}
    assert staging(dags) == []
    assert not (dags.parent / "evil.py").exists()


def test_links_devices_and_passwords_in_a_zip_are_refused(unpacked, s3, sync):
    with pytest.raises(DagsError, match="link or special file"):
        unpacked(zipped({"link": b"/etc"}, external_attr=(stat.S_IFLNK | 0o777) << 16), "dags.zip")
    encrypted = bytearray(zipped({"a.py": b"x"}))
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 0x1  # the flag in the central directory
    with pytest.raises(DagsError, match="encrypted"):
        unpacked(bytes(encrypted), "dags.zip")


@pytest.mark.parametrize(
    "name, content",
    [
        pytest.param("dags.tar.gz", b"no archive at all", id="text"),
        pytest.param("dags.tar.gz", b"", id="empty"),
        pytest.param("dags.tar.gz", PLAIN[: len(PLAIN) // 2], id="half"),
        pytest.param("dags.tar.gz", PLAIN[:-20] + b"\0" * 20, id="zeros at the end"),
        pytest.param("dags.tar.gz", gzip.compress(b"a text, and no tar" * 100), id="gzip of a text"),
        pytest.param("dags.tar.gz", zipped(FILES), id="zip called tar"),
        pytest.param("dags.zip", PLAIN, id="tar called zip"),
        pytest.param("dags.zip", zipped(FILES)[:-10], id="zip without its end"),
        pytest.param("dags.zip", zipped({"a.py": b"x" * 100}).replace(b"PK\x03\x04", b"PK\x03\x05"), id="bad header"),
    ],
)
def test_a_broken_archive_says_so(unpacked, dags, name, content):
    with pytest.raises(DagsError, match=f"s3://bucket/{name} (is damaged|holds no files)"):
        unpacked(content, name)
    assert tree(dags) == {} and staging(dags) == []


def test_a_member_with_a_wrong_checksum_is_broken(unpacked):
    content = bytearray(zipped({"a.py": b"x" * 100}))
    content[14] ^= 1  # CRC-32 in the local header ...
    content[content.index(b"PK\x01\x02") + 16] ^= 1  # ... and in the central directory
    with pytest.raises(DagsError, match="is damaged"):
        unpacked(bytes(content), "dags.zip")


def test_the_size_is_bounded_before_and_while_unpacking(unpacked, s3, sync):
    bomb = tar_gz(member("zeros", b"\0" * (3 * 1024 * 1024)))
    assert len(bomb) < 10_000
    with pytest.raises(DagsError, match="more than 2 MiB"):
        unpacked(bomb, DAGS_MAX_MB="2")
    with pytest.raises(DagsError, match=r"has 3145\d+ bytes: .*DAGS_MAX_MB"):
        unpacked(os.urandom(3_145_800), DAGS_MAX_MB="2")


def test_a_header_that_would_fill_the_memory_is_refused(unpacked):
    info, _ = member("a.py", b"x")
    info.pax_headers = {"comment": "x" * (2 * 1024 * 1024)}
    with pytest.raises(DagsError, match="header"):
        unpacked(tar_gz((info, io.BytesIO(b"x")), format=tarfile.PAX_FORMAT))


def cut(position):
    """A .tar.gz of three files, whose tar was cut before it was compressed."""
    plain = gzip.decompress(tar_gz(*(member(f"{name}.py", b"x" * 600) for name in "abc"), format=tarfile.GNU_FORMAT))
    return gzip.compress(plain[:position])


@pytest.mark.parametrize("position", [512, 1536, 1800, 3072, 4608], ids=lambda n: f"after {n} bytes")
def test_a_tar_that_was_cut_before_it_was_compressed_is_broken(unpacked, dags, position):
    """Tarfile takes that for its end."""
    with pytest.raises(DagsError, match="is damaged"):
        unpacked(cut(position))
    assert tree(dags) == {}


def test_a_tar_with_a_damaged_header_is_broken(unpacked):
    plain = bytearray(gzip.decompress(cut(None)))
    plain[1536 + 20] ^= 1
    with pytest.raises(DagsError, match="is damaged"):
        unpacked(gzip.compress(bytes(plain)))


@pytest.mark.parametrize("headers", [{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}, {"GNU.sparse.map": "0,1"}])
def test_sparse_files_are_refused(unpacked, headers):
    info, content = member("a.py", b"1\n0\n1\n" + b"\0" * 506 + b"x")
    info.pax_headers = {**headers, "GNU.sparse.size": "1", "GNU.sparse.name": "a.py", "GNU.sparse.realsize": "1"}
    with pytest.raises(DagsError, match="sparse"):
        unpacked(tar_gz((info, content), format=tarfile.PAX_FORMAT))


def test_a_name_without_end_is_refused(unpacked):
    with pytest.raises(DagsError, match="more than 1024 bytes"):
        unpacked(tar_gz(member("a/" * 50_000 + "b", b"x")))


def test_times_that_no_file_system_knows_are_bent(unpacked, dags):
    info, content = member("a.py", b"x")
    info.pax_headers = {"mtime": "1e30"}
    unpacked(tar_gz((info, content), format=tarfile.PAX_FORMAT))
    packed = bytearray(zipped({"b.py": b"x"}))
    start = packed.index(b"PK\x01\x02") + 12
    packed[start : start + 4] = b"\0" * 4  # DOS time and date
    assert unpacked(bytes(packed), "dags.zip") == {"b.py": b"x"}


def test_zstd_where_a_library_is_there(unpacked, monkeypatch):
    tar = gzip.decompress(PLAIN)

    class Reader(io.BytesIO):
        pass

    class Decompressor:
        def stream_reader(self, packed, read_across_frames):
            assert packed.read() == b"zstd" + tar and read_across_frames
            return Reader(tar)

    module = type(sys)("zstandard")
    module.ZstdDecompressor = Decompressor
    monkeypatch.setitem(sys.modules, "compression", None)
    monkeypatch.setitem(sys.modules, "zstandard", module)
    assert unpacked(b"zstd" + tar, "dags.tar.zst") == FILES


def test_zstd_without_a_library_names_the_remedy(unpacked, monkeypatch):
    monkeypatch.setitem(sys.modules, "compression", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(SettingsError, match=r"add zstandard to the image's requirements, or pack as \.tar\.gz"):
        unpacked(b"x", "dags.tar.zst")


def test_a_full_disk_while_unpacking_names_the_remedy(unpacked, monkeypatch, dags):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive_module, "open", full, raising=False)
    with pytest.raises(DagsError, match="no space left: give the task more ephemeral storage"):
        unpacked(PLAIN)
    assert staging(dags) == []


def test_a_missing_archive(s3, sync):
    with pytest.raises(DagsError, match=r"cannot access s3://bucket/dags\.zip: no such object: check the S3 URI"):
        sync("s3://bucket/dags.zip")


def test_an_archive_that_may_not_be_read_names_the_action(s3, sync):
    s3.put("bucket", "dags.zip", zipped({"a.py": b"1"}))
    s3.faults = [Fault("dags.zip", "error", code="AccessDenied", status=403)]
    with pytest.raises(AccessError, match=r"allow s3:GetObject on arn:aws:s3:::bucket/dags\.zip "):
        sync("s3://bucket/dags.zip")


def test_an_archive_that_breaks_off_is_asked_for_again(s3, sync, dags):
    s3.put("bucket", "dags.tar.gz", PLAIN)
    s3.faults = [Fault("dags.tar.gz", "break", 1)]
    sync("s3://bucket/dags.tar.gz")
    assert tree(dags) == FILES
    s3.put("bucket", "dags.tar.gz", PLAIN + b"\0")
    s3.faults = [Fault("dags.tar.gz", "break")]
    with pytest.raises(UnavailableError):
        sync("s3://bucket/dags.tar.gz")
    assert tree(dags) == FILES


def test_plugins_may_be_an_archive_while_dags_are_a_prefix(s3, sync, airflow_home: Path):
    s3.put("bucket", "d/a.py", b"1")
    s3.put("bucket", "plugins.zip", zipped({"p.py": b"2"}))
    sync("s3://bucket/d", PLUGINS_S3_URI="s3://bucket/plugins.zip")
    assert tree(airflow_home) == {"dags/a.py": b"1", "plugins/p.py": b"2"}
