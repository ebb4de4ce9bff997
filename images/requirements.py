"""Requirements files, checked before Docker starts: nested files become one, and no line may change Airflow.

Constraints files and packages beside a requirements file go with it into the build.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from images.errors import InputError, RequirementsError, SecretError
from images.secrets import url_with_login

_AIRFLOW = {"apache-airflow", "apache-airflow-core"}
"""Distributions whose version is Airflow's own."""

FILES_FOLDER = "/requirement-files"
"""Where a build has the files that requirements name."""
CONSTRAINTS_FILE = "constraints.txt"
"""The constraints among them."""

_NESTED = re.compile(r"(?:-r\s*|--requirement(?:\s+|=))(\S.*)")
_CONSTRAINT = re.compile(r"(?:-c\s*|--constraint(?:\s+|=))(\S.*)")
_EDITABLE = re.compile(r"(?:-e|--editable)[\s=]*")
_LOCAL = re.compile(
    r"(?P<before>(?:-f|--find-links)[\s=]*|[^\s@]+\s*@\s*(?=file:)|)(?P<scheme>file:(?://)?|)"
    r"(?P<path>[A-Za-z]:\\\S*|[^\s;@:\[]+)(?P<after>.*)"
)
_PACKAGE_FILE = (".whl", ".tar.gz", ".zip")
# Airflow's published constraints. Source: the Airflow documentation, "Installation from PyPI", "Constraints files".
_AIRFLOW_CONSTRAINTS = re.compile(
    r"https?://(?:raw\.githubusercontent\.com/apache/airflow|github\.com/apache/airflow/(?:raw|blob))/(?:refs/\w+/)?"
    r"constraints-(?P<airflow>[^/]+)/constraints(?:-no-providers|-source-providers)?-(?P<python>[^/]+)\.txt"
)
_AIRFLOW_ADDRESS = re.compile(
    r"[#&]egg=apache[-_.]airflow([-_.]core)?(?![-_.\w])|/apache[-_.]airflow([-_.]core)?-\d", re.IGNORECASE
)
_COMMENT = re.compile(r"(^|\s)#.*$")


@dataclass(frozen=True)
class Line:
    """One logical line of a requirements file, and its place."""

    text: str
    file: Path
    number: int

    @property
    def place(self) -> str:
        """Return the file and the line's number, as in ``requirements.txt:3``."""
        return f"{self.file}:{self.number}"


@dataclass
class Requirements:
    """A requirements file with what it names.

    ``lines`` are those of the file and of all nested ``-r`` files, in their order, and ``constraints`` those of its
    ``-c`` files. ``files`` are the packages and the folders of packages that lines name, by their path below
    `FILES_FOLDER`. ``airflow_constraints`` are addresses of Airflow's published constraints in ``-c`` lines, which are
    left out, because the image has its own.
    """

    lines: list[Line] = field(default_factory=list)
    constraints: list[Line] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    airflow_constraints: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return one requirements file of all lines, which name files as the build has them."""
        first = f"--constraint {FILES_FOLDER}/{CONSTRAINTS_FILE}\n" if self.constraints else ""
        return first + "".join(f"{line.text}\n" for line in self.lines)

    @property
    def has_files(self) -> bool:
        """Return whether the build requires `FILES_FOLDER`."""
        return bool(self.files or self.constraints)

    def write_files(self, folder: Path) -> None:
        """Write the content of `FILES_FOLDER`. Of a folder, this is the packages in it."""
        folder.mkdir()
        if self.constraints:
            text = "".join(f"{line.text}\n" for line in self.constraints)
            (folder / CONSTRAINTS_FILE).write_text(text, encoding="utf-8")
        for name, path in self.files.items():
            target = folder / name
            target.parent.mkdir()
            if path.is_file():
                shutil.copy(path, target)
                continue
            target.mkdir()
            for file in path.iterdir():
                if file.name.endswith(_PACKAGE_FILE):
                    shutil.copy(file, target)


def read_requirements(path: Path) -> Requirements:
    """Return a requirements file, without comments, with all nested files in their place.

    Raises InputError for a file, and RequirementsError or SecretError for a line, that cannot be used.
    """
    found = Requirements()
    _read(path, (), found, found.lines)
    return found


def _read(path: Path, parents: tuple[Path, ...], found: Requirements, lines: list[Line]) -> None:
    """Add a file's lines to ``lines``, which are the requirements or the constraints of ``found``."""
    resolved = path.resolve()
    if resolved in parents:
        raise InputError(f"{path} includes itself.", "Remove one of the -r lines that include each other.")
    for number, text in _logical_lines(_read_text(path)):
        line = Line(text, path, number)
        _check_line(line)
        if nested := _NESTED.fullmatch(text):
            _read(path.parent / nested[1].strip("'\""), (*parents, resolved), found, lines)
        elif constraint := _CONSTRAINT.fullmatch(text):
            named = constraint[1].strip("'\"")
            if airflows_constraints(named):
                found.airflow_constraints.append(named)
            else:
                _read(path.parent / named, (*parents, resolved), found, found.constraints)
        else:
            lines.append(_with_local_file(line, found.files))


def airflows_constraints(address: str) -> tuple[str, str] | None:
    """Return the Airflow and the Python of an address of Airflow's published constraints; None for any other."""
    found = _AIRFLOW_CONSTRAINTS.fullmatch(address)
    return (found["airflow"], found["python"]) if found else None


def remark_on_constraints(address: str, airflow: str, python: str) -> str:
    """Return what is said about an address of Airflow's constraints that is left out for the image's own."""
    named, for_python = airflows_constraints(address) or ("", "")
    own = f"the image's own constraints, of Airflow {airflow} for Python {python}, apply"
    if (named, for_python) == (airflow, python):
        return f"note: Airflow's constraints are not downloaded: {own}"
    return f"WARNING: {address} is for Airflow {named} and Python {for_python} and is left out; {own}"


def _with_local_file(line: Line, files: dict[str, Path]) -> Line:
    """Return a line that names a file of this machine with the file's path in the build, and add the file."""
    match = _LOCAL.fullmatch(line.text)
    if match is None or not _is_local(match):
        return line
    path = next(
        (path for path in (line.file.parent / match["path"], Path(match["path"])) if path.exists()),
        line.file.parent / match["path"],
    )
    if not path.exists():
        raise RequirementsError(f"{line.place}: there is no {path}: {line.text}", "Correct the path.")
    if path.is_dir() and not match["before"].startswith("-"):
        raise RequirementsError(
            f"{line.place}: a source folder is not installed: {line.text}",
            f"Make a wheel of it, `python -m pip wheel --no-deps --wheel-dir wheels {path}`, and name the wheel.",
        )
    if path.is_file() and not path.name.endswith(_PACKAGE_FILE):
        raise RequirementsError(
            f"{line.place}: {path.name} is not a package: {line.text}", "Name a wheel, or a .tar.gz or .zip file."
        )
    # The name of a wheel says what is in it, so it is kept, in a folder of its own.
    name = next((name for name, known in files.items() if known == path), f"{len(files)}/{path.resolve().name}")
    files[name] = path
    before = "" if match["before"].startswith("-") else match["before"]
    option = "--find-links " if match["before"].startswith("-") else ""
    scheme = "file://" if before else ""
    return replace(line, text=f"{option}{before}{scheme}{FILES_FOLDER}/{name}{match['after']}")


def _is_local(line: re.Match[str]) -> bool:
    if line["before"].startswith("-"):
        return not line["after"].startswith("://")
    path = line["path"]
    is_path = "/" in path or "\\" in path or path in (".", "..") or path.endswith(_PACKAGE_FILE)
    return bool(line["scheme"]) or (is_path and not path.startswith("-"))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"Cannot read the requirements {path}: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise InputError(
            f"{path} is not a text file in UTF-8.", "Give a requirements file: --requirements FILE"
        ) from None


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Return lines as pip joins them: a backslash continues a line, comments and empty lines are dropped."""
    found: list[tuple[int, str]] = []
    joined, start = "", 0
    # The empty line at the end: pip, too, reads a last line that ends in a backslash.
    for number, raw in enumerate([*text.splitlines(), ""], 1):
        start = start or number
        if raw.lstrip().startswith("#"):
            raw = " " + raw  # ends the line it continues
        elif raw.endswith("\\"):
            joined += raw[:-1]
            continue
        content = _COMMENT.sub("", joined + raw).strip()
        if content:
            found.append((start, content))
        joined, start = "", 0
    return found


def _check_line(line: Line) -> None:
    if url_with_login(line.text):  # first: the other messages show the line
        raise SecretError(
            f"{line.place}: a URL with a password or token would be readable in the image.",
            "Put it in a pip.conf and give that as --pip-config FILE: it is mounted as a build secret only.",
        )
    nested = _NESTED.fullmatch(line.text)
    if nested:
        if "://" in nested[1]:
            raise RequirementsError(
                f"{line.place}: requirements at a URL are not read: {line.text}",
                "Download that file and name its copy.",
            )
        return
    constraint = _CONSTRAINT.fullmatch(line.text)
    if constraint and "://" in constraint[1] and not airflows_constraints(constraint[1].strip("'\"")):
        raise RequirementsError(
            f"{line.place}: constraints at a URL are not read: {line.text}",
            f"Remove the line, and give a copy: `curl -fsSLo constraints.txt {constraint[1]}`, then "
            "--constraints constraints.txt",
        )
    if _EDITABLE.match(line.text):
        raise RequirementsError(
            f"{line.place}: an editable install is not for images: {line.text}",
            "Leave -e out, and name a package in an index or a URL such as git+https://...@TAG.",
        )


def check_airflow(lines: Iterable[Line], airflow: str, python: str) -> None:
    """Raise RequirementsError for a line that asks, on this Python, for another Airflow than the image's."""
    for line in lines:
        if _changes_airflow(line.text, airflow, python):
            raise RequirementsError(
                f"{line.place}: `{line.text}` would change the image's Airflow {airflow}.",
                "Remove the line (the image brings Airflow), or choose the image that has it: --airflow VERSION",
            )


def _changes_airflow(text: str, airflow: str, python: str) -> bool:
    try:
        requirement = Requirement(re.split(r"\s--?\w", text)[0])
    except InvalidRequirement:  # an option such as --index-url, an address, or pip's to judge
        return bool(_AIRFLOW_ADDRESS.search(text))
    if canonicalize_name(requirement.name) not in _AIRFLOW:
        return False
    if requirement.marker and not requirement.marker.evaluate(_environment(python)):
        return False
    return bool(requirement.url) or not requirement.specifier.contains(airflow, prereleases=True)


def _environment(python: str) -> dict[str, str]:
    """Return what markers are compared with: the image, not the machine that builds it."""
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "os_name": "posix",
        "platform_system": "Linux",
        "sys_platform": "linux",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }
