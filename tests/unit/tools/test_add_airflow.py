"""A new Airflow release: where it is written, what is refused, and which releases are new."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from images.matrix import AirflowRelease, load_matrix
from local.errors import BaseImageError
from tests.paths import DOCS, ROOT
from tools.add_airflow import add, new_releases, supported
from tools.edits import with_list
from tools.pypi import Published, ReleaseError, published

MATRIX = """\
# Written by people.
airflow:
  - version: 2.10.5
    python: ["3.8", "3.12"]
    default-python: "3.12"
  - version: 3.2.2
    python: ["3.9", "3.10"]
    default-python: "3.9"
  # The newest one.
  - version: 3.3.2
    python: ["3.10", "3.12", "3.13"]
    default-python: "3.12"

# What follows has nothing to do with it.
bases:
  full: {image: "apache/airflow:{airflow}-python{python}", install: []}
dags: {s3: synchronised}
platforms: [linux/amd64]
defaults: {base: full, dags: s3, repository: worker, container-dag-path: /opt/airflow/dags}
"""
DAYS = "uv: 1.2.3\n\nreleased:\n  2.10.5: 2025-02-10\n  3.2.2: 2026-05-29\n  3.3.2: 2026-09-17\n"
LISTED = "Airflow <!-- releases -->{}<!-- /releases -->;\nand 3.3.2.\n"
DAY = datetime.date(2026, 11, 2)
LATER = DAY + datetime.timedelta(days=30)
ANY = Published(DAY, SpecifierSet())
INDEX = {
    **dict.fromkeys(("2.9.3", "2.10.4", "2.10.5", "2.10.6", "2.11.0", "3.2.2", "3.3.1", "3.3.2", "3.3.10"), ANY),
    "3.4.0": Published(DAY, SpecifierSet(">=3.11,!=3.15")),
    "3.5.0": Published(DAY, SpecifierSet(">=3.14")),
    "4.0.0": ANY,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files that name releases."""
    for path, text in {
        "matrix.yaml": MATRIX,
        "local/machine/bases/requirements.yaml": DAYS,
        "README.md": LISTED.format("2.10.5, 3.2.2 and 3.3.2 on Python 3.8 to 3.13"),
        "docs/other.md": "2.10.5, 3.2.2 and 3.3.2\n",
        "executor/pyproject.toml": '"apache-airflow>=2.10.5,<4",\n',
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return tmp_path


def content(project: Path) -> dict[str, str]:
    return {str(path.relative_to(project)): path.read_text() for path in project.rglob("*") if path.is_file()}


def resolve(release: AirflowRelease, day: datetime.date, newest: bool) -> Mapping[Path, str]:
    """A lock that says what it was asked for."""
    return {Path("lock.txt"): f"{release.version} on {release.pythons[0]}, {day}{', newest' if newest else ''}"}


def added(project: Path, version: str, *pythons: str) -> list[str]:
    """Add a release; returns the lines that came to the matrix, in which no other has changed."""
    before = (project / "matrix.yaml").read_text().splitlines()
    add(version, pythons, INDEX, resolve, project)
    after = (project / "matrix.yaml").read_text().splitlines()
    start = after.index(f"  - version: {version}")
    more = len(after) - len(before)
    assert after[:start] + after[start + more :] == before
    return after[start + 1 : start + more]


class TestWhatIsWritten:
    def test_a_patch_release_has_the_pythons_of_its_minor(self, project: Path) -> None:
        expected = ['    python: ["3.10", "3.12", "3.13"]', '    default-python: "3.12"']
        assert added(project, "3.3.1") == expected
        assert content(project)["lock.txt"] == f"3.3.1 on 3.10, {DAY}"

    @pytest.mark.parametrize(
        "version, releases",
        [
            ("2.10.6", "2.10.5 2.10.6 3.2.2 3.3.2"),
            ("3.3.1", "2.10.5 3.2.2 3.3.1 3.3.2"),
            ("3.3.10", "2.10.5 3.2.2 3.3.2 3.3.10"),
        ],
    )
    def test_each_file_has_it_between_the_release_before_and_the_one_after(
        self, project: Path, version: str, releases: str
    ) -> None:
        add(version, (), INDEX, resolve, project)
        files = content(project)
        entries = [line.split()[-1] for line in files["matrix.yaml"].splitlines() if "- version" in line]
        days = [
            line.strip()
            for line in files["local/machine/bases/requirements.yaml"].splitlines()
            if line.startswith("  ")
        ]
        assert entries == [day.partition(":")[0] for day in days] == releases.split()
        assert f"{version}: {DAY}" in days
        *others, last = releases.split()
        assert files["README.md"] == LISTED.format(f"{', '.join(others)} and {last} on Python 3.8 to 3.13")
        assert files["docs/other.md"] == "2.10.5, 3.2.2 and 3.3.2\n"

    def test_a_new_minor_has_those_of_the_release_before_which_its_metadata_allow(self, project: Path) -> None:
        assert added(project, "3.4.0") == ['    python: ["3.12", "3.13"]', '    default-python: "3.12"']
        assert content(project)["lock.txt"].endswith(", newest")
        assert added(project, "2.11.0") == ['    python: ["3.8", "3.12"]', '    default-python: "3.12"']

    def test_others_can_be_named(self, project: Path) -> None:
        expected = ['    python: ["3.9", "3.13"]', '    default-python: "3.13"']
        assert added(project, "3.4.0", "3.13", "3.9") == expected


@pytest.mark.parametrize(
    "version, pythons, message",
    [
        ("", "", "'' is not a valid release. Expected three numbers, such as VERSION=3.3.1."),
        ("3.3.2rc1", "", "'3.3.2rc1' is not a valid release."),
        ("3.3.2", "", "Airflow 3.3.2 is in matrix.yaml already."),
        ("3.3.9", "", "The index has no Airflow 3.3.9. Its releases of 3.3: 3.3.1, 3.3.2, 3.3.10."),
        ("2.9.3", "", "The executor does not run on Airflow 2.9.3. It requires apache-airflow<4,>=2.10.5."),
        (
            "3.5.0",
            "",
            "Airflow 3.5.0 requires Python >=3.14, and Airflow 3.3.2 runs on none of these. Name its Pythons",
        ),
        ("3.3.1", "3.10 python3.11", "'python3.11' is not a valid Python."),
    ],
)
def test_what_cannot_be_added_is_refused_and_nothing_is_written(
    project: Path, version: str, pythons: str, message: str
) -> None:
    before = content(project)
    with pytest.raises(ReleaseError) as raised:
        add(version, pythons.split(), INDEX, resolve, project)
    assert message in str(raised.value)
    assert content(project) == before


def test_when_a_lock_cannot_be_resolved_nothing_is_written(project: Path) -> None:
    def unresolvable(release: AirflowRelease, day: datetime.date, newest: bool) -> Mapping[Path, str]:
        raise BaseImageError("no solution")

    before = content(project)
    with pytest.raises(BaseImageError):
        add("3.3.1", (), INDEX, unresolvable, project)
    assert content(project) == before


class TestNewReleases:
    @staticmethod
    def new(project: Path, today: datetime.date = LATER, index: Mapping[str, Published] = INDEX) -> list[str]:
        return new_releases(load_matrix(project / "matrix.yaml"), index, supported(project), today)

    def test_they_are_the_newest_of_each_minor_where_the_matrix_has_none_as_new(self, project: Path) -> None:
        assert self.new(project) == ["2.10.6", "2.11.0", "3.3.10", "3.4.0", "3.5.0"]

    def test_they_have_been_out_for_some_days(self, project: Path) -> None:
        fresh = {**INDEX, "3.3.11": Published(LATER - datetime.timedelta(days=1), SpecifierSet())}
        assert "3.3.10" in self.new(project, index=fresh)
        assert self.new(project, DAY) == []


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The address of an index, for which a test writes the answer."""
    (tmp_path / "apache-airflow").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def answers(tmp_path: Path, *files: Mapping[str, object]) -> None:
    document = {"files": [{"upload-time": "2026-08-12T08:10:18.204405Z", **file} for file in files]}
    (tmp_path / "apache-airflow" / "index.html").write_text(json.dumps(document))


class TestTheIndex:
    def test_final_releases_that_were_not_yanked_are_published(self, index: str, tmp_path: Path) -> None:
        answers(
            tmp_path,
            {"filename": "apache_airflow-3.3.1-py3-none-any.whl", "requires-python": "!=3.15,>=3.10"},
            {"filename": "apache_airflow-3.3.1.tar.gz"},
            {"filename": "apache_airflow-3.3.2rc1-py3-none-any.whl"},
            {"filename": "apache_airflow-3.3.2-py3-none-any.whl", "yanked": "broken"},
            {"filename": "apache_airflow-2.10.5-py3-none-any.whl", "requires-python": None},
        )
        assert published(index) == {
            "3.3.1": Published(datetime.date(2026, 8, 12), SpecifierSet("!=3.15,>=3.10")),
            "2.10.5": Published(datetime.date(2026, 8, 12), SpecifierSet()),
        }

    @pytest.mark.parametrize(
        "answer", ["<html></html>", "{}", '{"files": [{"filename": "apache_airflow-3.3.1-py3-none-any.whl"}]}']
    )
    def test_one_that_does_not_say_what_is_needed_is_named(self, index: str, tmp_path: Path, answer: str) -> None:
        (tmp_path / "apache-airflow" / "index.html").write_text(answer)
        with pytest.raises(ReleaseError, match=rf"^{index}apache-airflow/ did not list the releases of Airflow: "):
            published(index)


class TestTheCommand:
    @staticmethod
    def run(index: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tools.add_airflow", *arguments]
        environment = {**os.environ, "UV_DEFAULT_INDEX": index, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    def test_new_releases_are_a_line_each(self, index: str, tmp_path: Path) -> None:
        versions = ("2.10.98", "3.99.0")
        answers(tmp_path, *({"filename": f"apache_airflow-{version}-py3-none-any.whl"} for version in versions))
        done = self.run(index, "--new")
        assert (done.returncode, done.stdout) == (0, "2.10.98\n3.99.0\n"), done.stderr

    def test_a_refusal_is_one_message_and_an_exit_code(self, index: str, tmp_path: Path) -> None:
        answers(tmp_path)
        done = self.run(index, "3.3.99", "--python", "")
        assert (done.returncode, done.stdout) == (ReleaseError.exit_code, "")
        assert done.stderr == "ERROR: The index has no Airflow 3.3.99. Its releases of 3.3: none.\n"


def test_the_lists_in_prose_are_those_of_the_matrix() -> None:
    matrix = load_matrix()
    pages = [ROOT / "README.md", *DOCS.glob("*.md")]
    listed = [page for page in pages if "<!-- releases -->" in page.read_text(encoding="utf-8")]
    assert listed
    for page in listed:
        text = page.read_text(encoding="utf-8")
        assert with_list(text, matrix) == text, f"{page}: make add-airflow writes it"
