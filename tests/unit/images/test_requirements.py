"""Requirements files, as pip reads them, and lines that an image cannot have."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.errors import BuildToolError, InputError, RequirementsError, SecretError
from images.requirements import Requirements, check_airflow, read_requirements, remark_on_constraints


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def requirements(folder: Path, text: str) -> Requirements:
    (folder / "requirements.txt").write_text(text, encoding="utf-8")
    return read_requirements(folder / "requirements.txt")


def read(folder: Path, text: str) -> list[str]:
    return [line.text for line in requirements(folder, text).lines]


class TestReading:
    @pytest.mark.parametrize(
        "text, lines",
        [
            ("", []),
            ("# nothing\n\n   \n", []),
            ("pandas==2.2.3  # for reports\nboto3\n", ["pandas==2.2.3", "boto3"]),
            ("pandas\r\nboto3\r\n", ["pandas", "boto3"]),
            ("\ufeffpandas\n", ["pandas"]),
            ("pandas \\\n  >=2 \\\n  --hash=sha256:00\nboto3", ["pandas   >=2   --hash=sha256:00", "boto3"]),
            ("pandas \\\n# a comment ends the line\nboto3", ["pandas", "boto3"]),
            ("pandas\\\n# a comment ends the line\nboto3", ["pandas", "boto3"]),
            ("# a comment does not go on \\\npandas", ["pandas"]),
            ("apache-airflow==1.10.15 \\", ["apache-airflow==1.10.15"]),
            ("x @ git+https://github.com/a/b@v1#egg=x", ["x @ git+https://github.com/a/b@v1#egg=x"]),
            ("--index-url https://pypi.example.com/simple\nx", ["--index-url https://pypi.example.com/simple", "x"]),
            ("x @ https://example.com/x-1-py3-none-any.whl", ["x @ https://example.com/x-1-py3-none-any.whl"]),
            ("https://example.com/x-1-py3-none-any.whl", ["https://example.com/x-1-py3-none-any.whl"]),
            ("git+ssh://git@github.com/a/b@v1", ["git+ssh://git@github.com/a/b@v1"]),
            ("x @ git+https://${TOKEN}@github.com/a/b", ["x @ git+https://${TOKEN}@github.com/a/b"]),
            ("--find-links https://example.com/wheels/", ["--find-links https://example.com/wheels/"]),
        ],
    )
    def test_lines_are_pips_logical_lines(self, folder: Path, text: str, lines: list[str]) -> None:
        assert read(folder, text) == lines

    def test_nested_files_are_read_in_their_place_and_relative_to_their_own(self, folder: Path) -> None:
        (folder / "more").mkdir()
        (folder / "more" / "a.txt").write_text("a\n-r b.txt\n", encoding="utf-8")
        (folder / "more" / "b.txt").write_text("b\n", encoding="utf-8")
        (folder / "c.txt").write_text("c\n", encoding="utf-8")
        found = requirements(folder, "first\n-r more/a.txt\n--requirement=c.txt\n-rc.txt\nlast\n")
        assert found.text == "first\na\nb\nc\nc\nlast\n"
        assert not found.has_files

    def test_a_line_knows_where_it_stands(self, folder: Path) -> None:
        (folder / "nested.txt").write_text("\npandas \\\n ==2\nboto3\n", encoding="utf-8")
        (folder / "top.txt").write_text("-r nested.txt\n", encoding="utf-8")
        places = [line.place for line in read_requirements(folder / "top.txt").lines]
        assert places == [f"{folder}/nested.txt:2", f"{folder}/nested.txt:4"]

    @pytest.mark.parametrize("circle", ["-r requirements.txt", "-r ../{name}/requirements.txt", "-r other.txt"])
    def test_circles_are_refused(self, folder: Path, circle: str) -> None:
        (folder / "other.txt").write_text("-r requirements.txt", encoding="utf-8")
        with pytest.raises(InputError, match="includes itself"):
            read(folder, circle.format(name=folder.name))

    def test_the_same_file_twice_is_no_circle(self, folder: Path) -> None:
        (folder / "other.txt").write_text("x", encoding="utf-8")
        assert read(folder, "-r other.txt\n-r other.txt") == ["x", "x"]

    @pytest.mark.parametrize("name, reason", [("missing.txt", "No such file"), (".", "Is a directory")])
    def test_a_file_that_cannot_be_read_is_named(self, folder: Path, name: str, reason: str) -> None:
        with pytest.raises(InputError, match=f"{folder}.*{reason}"):
            read_requirements(folder / name)
        with pytest.raises(InputError, match=f"{folder}.*{reason}"):
            read(folder, f"-r {name}")

    def test_a_binary_file_is_no_requirements_file(self, folder: Path) -> None:
        (folder / "x.whl").write_bytes(b"PK\x03\x04\xff\xfe")
        with pytest.raises(InputError, match="not a text file"):
            read_requirements(folder / "x.whl")


@pytest.mark.parametrize(
    "line, error, message",
    [
        ("./wheels/x-1-py3-none-any.whl", RequirementsError, "there is no "),
        ("/srv/x", RequirementsError, "there is no /srv/x"),
        ("x-1.0.tar.gz", RequirementsError, "there is no "),
        ("x-1-py3-none-any.whl --hash=sha256:00", RequirementsError, "there is no "),
        ("x @ file:///srv/x", RequirementsError, "there is no /srv/x"),
        ("C:\\wheels\\x", RequirementsError, "there is no "),
        ("--find-links wheels", RequirementsError, "there is no "),
        (".", RequirementsError, "pip wheel --no-deps --wheel-dir wheels "),
        ("../", RequirementsError, "pip wheel --no-deps --wheel-dir wheels "),
        ("./requirements.txt", RequirementsError, "Name a wheel"),
        ("-e .", RequirementsError, "an editable install"),
        ("-e git+https://github.com/a/b#egg=b", RequirementsError, "an editable install"),
        ("--editable=./x", RequirementsError, "an editable install"),
        (
            "--constraint=https://example.com/c.txt",
            RequirementsError,
            "`curl -fsSLo constraints.txt https://example.com/c",
        ),
        ("-r https://example.com/more.txt", RequirementsError, "requirements at a URL"),
        ("--index-url https://user:hunter2@pypi.example.com/simple", SecretError, "--pip-config"),
        ("-c https://user:hunter2@example.com/c.txt", SecretError, "--pip-config"),
        ("-r https://user:hunter2@example.com/more.txt", SecretError, "--pip-config"),
        ("-e git+https://user:hunter2@github.com/a/b", SecretError, "--pip-config"),
        ("x @ git+https://hunter2@github.com/a/b", SecretError, "--pip-config"),
        ("apache-airflow @ https://user:hunter2@example.com/a.whl", SecretError, "--pip-config"),
    ],
)
def test_a_line_that_no_image_can_have_is_named(
    folder: Path, line: str, error: type[BuildToolError], message: str
) -> None:
    with pytest.raises(error) as raised:
        read(folder, f"pandas\n{line}\n")
    assert f"{folder}/requirements.txt:2: " in str(raised.value)
    assert message in str(raised.value)
    assert "hunter2" not in str(raised.value)


class TestConstraintsInTheFile:
    def test_a_file_beside_it_goes_with_it(self, folder: Path) -> None:
        (folder / "more").mkdir()
        (folder / "more" / "team.txt").write_text("-r base.txt\nb==2\n", encoding="utf-8")
        (folder / "more" / "base.txt").write_text("a==1\n", encoding="utf-8")
        found = requirements(folder, "-c more/team.txt\nb\n")
        assert found.text == "--constraint /requirement-files/constraints.txt\nb\n"
        found.write_files(folder / "files")
        assert (folder / "files" / "constraints.txt").read_text(encoding="utf-8") == "a==1\nb==2\n"

    @pytest.mark.parametrize(
        "address",
        [
            "https://raw.githubusercontent.com/apache/airflow/constraints-2.10.3/constraints-3.11.txt",
            "https://raw.githubusercontent.com/apache/airflow/constraints-2.10.3/constraints-no-providers-3.11.txt",
            "https://raw.githubusercontent.com/apache/airflow/refs/tags/constraints-2.10.3/constraints-3.11.txt",
            "https://github.com/apache/airflow/raw/constraints-2.10.3/constraints-3.11.txt",
        ],
    )
    @pytest.mark.parametrize("line", ["-c {}", '--constraint "{}"'])
    def test_those_of_airflow_are_left_out_for_the_image_s_own(self, folder: Path, line: str, address: str) -> None:
        found = requirements(folder, f"{line.format(address)}\npandas\n")
        assert found.text == "pandas\n"
        assert found.airflow_constraints == [address]
        assert remark_on_constraints(address, "2.10.3", "3.11").startswith("note: ")
        for other in (("2.10.5", "3.11"), ("2.10.3", "3.12")):
            said = remark_on_constraints(address, *other)
            assert said.startswith(f"WARNING: {address} is for Airflow 2.10.3 and Python 3.11")
            assert f"of Airflow {other[0]} for Python {other[1]}" in said


class TestPackagesBesideTheFile:
    @pytest.mark.parametrize(
        ("line", "text"),
        [
            ("./wheels/x-1-py3-none-any.whl", "/requirement-files/0/x-1-py3-none-any.whl"),
            (
                "wheels/x-1-py3-none-any.whl --hash=sha256:00",
                "/requirement-files/0/x-1-py3-none-any.whl --hash=sha256:00",
            ),
            ("wheels/x-1-py3-none-any.whl[extra]", "/requirement-files/0/x-1-py3-none-any.whl[extra]"),
            ("file:wheels/x-1-py3-none-any.whl", "/requirement-files/0/x-1-py3-none-any.whl"),
            ("x @ file:./wheels/x-1-py3-none-any.whl", "x @ file:///requirement-files/0/x-1-py3-none-any.whl"),
            ("{folder}/wheels/x-1-py3-none-any.whl", "/requirement-files/0/x-1-py3-none-any.whl"),
            ("--find-links ./wheels", "--find-links /requirement-files/0/wheels"),
            ("-f wheels", "--find-links /requirement-files/0/wheels"),
            ("--find-links=file://{folder}/wheels", "--find-links /requirement-files/0/wheels"),
        ],
    )
    def test_a_path_becomes_the_one_in_the_build(self, folder: Path, line: str, text: str) -> None:
        (folder / "wheels").mkdir()
        for name in ("x-1-py3-none-any.whl", "notes.txt"):
            (folder / "wheels" / name).write_bytes(b"")
        found = requirements(folder, f"{line.format(folder=folder)}\n")
        assert found.text == f"{text}\n"
        found.write_files(folder / "files")
        (wheel,) = (path for path in (folder / "files").rglob("*") if path.is_file())
        assert text.endswith("wheels") == (wheel.parent.name == "wheels")

    def test_the_same_path_is_taken_once(self, folder: Path) -> None:
        (folder / "x-1-py3-none-any.whl").write_bytes(b"")
        found = requirements(folder, "./x-1-py3-none-any.whl\nx-1-py3-none-any.whl\n")
        assert len(set(found.text.split())) == len(found.files) == 1


class TestLinesOnAirflow:
    @pytest.mark.parametrize(
        "line",
        [
            "apache-airflow==2.9.3",
            "apache-airflow>=3",
            "apache-airflow<2.10",
            "apache-airflow!=2.10.5",
            "apache-airflow===2.10.4",
            "Apache_Airflow==2.9.3",
            "APACHE.AIRFLOW == 2.9.3",
            "apache-airflow[amazon,postgres]==2.9.3",
            "apache-airflow-core==3.0.0",
            "apache-airflow==2.9.3 --hash=sha256:00",
            'apache-airflow==2.9.3; python_version >= "3.8"',
            'apache-airflow==2.9.3 ; sys_platform == "linux"',
            "apache-airflow @ https://example.com/apache_airflow-2.10.5-py3-none-any.whl",
            "https://example.com/apache_airflow-2.9.3-py3-none-any.whl",
            "git+https://github.com/apache/airflow@main#egg=apache-airflow",
            "git+https://github.com/apache/airflow@main#egg=apache_airflow[amazon]&subdirectory=x",
        ],
    )
    def test_a_line_that_would_change_airflow_is_named(self, folder: Path, line: str) -> None:
        read(folder, f"pandas\n{line}\n")
        with pytest.raises(RequirementsError) as raised:
            check_airflow(read_requirements(folder / "requirements.txt").lines, "2.10.5", "3.8")
        assert f"requirements.txt:2: `{line}` would change the image's Airflow 2.10.5" in str(raised.value)

    @pytest.mark.parametrize(
        "line",
        [
            "apache-airflow",
            "apache-airflow[amazon]",
            "apache-airflow==2.10.5",
            "apache-airflow==2.10.*",
            "apache-airflow>=2.8,<3",
            "apache-airflow~=2.10",
            'apache-airflow==2.9.3; python_version >= "3.9"',
            'apache-airflow==2.9.3; sys_platform == "darwin"',
            "apache-airflow-providers-amazon==9.39.0",
            "apache-airflow-client==2.9.0",
            "https://example.com/apache_airflow_providers_amazon-9.39.0-py3-none-any.whl",
            "git+https://github.com/a/b#egg=apache-airflow-providers-x",
            "--index-url https://pypi.example.com/apache-airflow/simple",
            "not a requirement",
        ],
    )
    def test_other_lines_pass(self, folder: Path, line: str) -> None:
        read(folder, line)
        check_airflow(read_requirements(folder / "requirements.txt").lines, "2.10.5", "3.8")
