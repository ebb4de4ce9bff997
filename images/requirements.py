"""Requirements files, checked before Docker starts: nested files become one, and no line may change Airflow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from images.errors import InputError, RequirementsError, SecretError
from images.secrets import url_with_login

_AIRFLOW = {"apache-airflow", "apache-airflow-core"}
"""Distributions whose version is Airflow's own."""

_NESTED = re.compile(r"(?:-r\s*|--requirement(?:\s+|=))(\S.*)")
_CONSTRAINT = re.compile(r"(?:-c\s*|--constraint(?:\s+|=))")
_EDITABLE = re.compile(r"(?:-e|--editable)[\s=]*")
_LOCAL = re.compile(
    r"(?!-)[^\s@:;]*/|[A-Za-z]:\\|file:|.*@\s*file:|(?!\S+://)\S+\.(whl|tar\.gz|zip)(\s|$)"
    r"|\.\.?$|(-f|--find-links)(?![\s=]*\w+://)"
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


def read_requirements(path: Path) -> tuple[Line, ...]:
    """Return all lines of a requirements file without comments; nested ``-r`` files are included in their place.

    Raises InputError for a file, and RequirementsError or SecretError for a line, that cannot be used.
    """
    return tuple(_read(path, ()))


def _read(path: Path, parents: tuple[Path, ...]) -> list[Line]:
    resolved = path.resolve()
    if resolved in parents:
        raise InputError(f"{path} includes itself.", "Remove one of the -r lines that include each other.")
    lines: list[Line] = []
    for number, text in _logical_lines(_read_text(path)):
        line = Line(text, path, number)
        _check_line(line)
        nested = _NESTED.fullmatch(text)
        if nested:
            lines += _read(path.parent / nested[1].strip("'\""), (*parents, resolved))
        else:
            lines.append(line)
    return lines


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
    if _CONSTRAINT.match(line.text):
        raise RequirementsError(
            f"{line.place}: constraints inside requirements are not read: {line.text}",
            "Give them as --constraints FILE.",
        )
    if _EDITABLE.match(line.text):
        raise RequirementsError(
            f"{line.place}: an editable install is not for images: {line.text}",
            "Leave -e out, and name a package in an index or a URL such as git+https://...@TAG.",
        )
    if _LOCAL.match(line.text):
        raise RequirementsError(
            f"{line.place}: installs from this machine's files, which the build cannot see: {line.text}",
            "Publish the package to an index (--pip-config names a private one), or put its code beside the DAGs.",
        )


def check_airflow(lines: tuple[Line, ...], airflow: str, python: str) -> None:
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


def flattened(lines: tuple[Line, ...]) -> str:
    """Return one requirements file with the lines of all nested ones."""
    return "".join(f"{line.text}\n" for line in lines)
