"""Files into and out of containers, and their output line by line."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from docker.errors import NotFound
from docker.models.containers import Container

from local.machine.containers import folder_files, lines_of, put_files


class Recorder:
    """A container's two archive calls, on one archive in memory."""

    def __init__(self) -> None:
        self.archives: dict[str, bytes] = {}

    def put_archive(self, path: str, data: bytes) -> None:
        self.archives[path] = data

    def get_archive(self, path: str) -> tuple[Iterator[bytes], dict[str, object]]:
        if path not in self.archives:
            raise NotFound("no such path")
        data = self.archives[path]
        return iter([data[:700], data[700:]]), {}


def test_a_folders_files_are_taken_without_caches(tmp_path: Path) -> None:
    for name in ("a.py", "sub/b.csv", "sub/__pycache__/b.pyc", ".git/HEAD", ".airflowignore", ".DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    assert folder_files(tmp_path) == {name: name.encode() for name in (".airflowignore", "a.py", "sub/b.csv")}


def test_files_in_a_container_belong_to_the_images_user_and_their_folders_too() -> None:
    recorder = Recorder()
    put_files(cast(Container, recorder), {"/opt/airflow/dags": {"a.py": b"1", "x/y/b.py": b"2"}})
    with tarfile.open(fileobj=io.BytesIO(recorder.archives["/opt/airflow/dags"])) as archive:
        members = [(item.name, item.isdir(), oct(item.mode), item.uid, item.gid) for item in archive]
    assert members == [
        ("x", True, "0o775", 50000, 0),
        ("x/y", True, "0o775", 50000, 0),
        ("a.py", False, "0o664", 50000, 0),
        ("x/y/b.py", False, "0o664", 50000, 0),
    ]


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([], []),
        ([b"one\ntw", b"o\nthree"], ["one", "two", "three"]),
        ([b"a\r\n\r\nb\n"], ["a", "", "b"]),
        (["ü\n".encode()[:1], "ü\n".encode()[1:]], ["ü"]),
        ([b"\xff\n"], ["\ufffd"]),
    ],
)
def test_lines_are_whole_however_they_arrive(chunks: list[bytes], lines: list[str]) -> None:
    assert list(lines_of(chunks)) == lines
