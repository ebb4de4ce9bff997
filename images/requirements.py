"""Requirements files, read before Docker is: nested files in one, and no line that would change Airflow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from images.errors import InputError, RequirementsError, SecretError
from images.secrets import url_with_password

_AIRFLOW = {"apache-airflow", "apache-airflow-core"}
"""Distributions whose version is Airflow's own."""

_NESTED = re.compile(r"(?:-r\s*|--requirement(?:\s+|=))(\S.*)")
_CONSTRAINT = re.compile(r"(?:-c\s*|--constraint(?:\s+|=))")
_LOCAL = re.compile(r"-e\b|--editable\b|\.{0,2}/|[A-Za-z]:\\|file:|.*@\s*file:|\S+\.(whl|tar\.gz|zip)$")
_COMMENT = re.compile(r"(^|\s)#.*$")


@dataclass(frozen=True)
class Line:
    """One logical line of a requirements file and where it stands."""

    text: str
    file: Path
    number: int

    @property
    def place(self) -> str:
        """``requirements.txt:3``."""
        return f"{self.file}:{self.number}"


def read_requirements(path: Path) -> tuple[Line, ...]:
    """All lines of a requirements file, those of nested ``-r`` files in their place, comments left out.

    :raises InputError: a file is missing, unreadable, not text, or includes itself.
    :raises RequirementsError: a line installs from a folder or file, which the image's build cannot see, or names
        constraints.
    :raises SecretError: an index address holds a password.
    """
    return tuple(_read(path, ()))


def _read(path: Path, parents: tuple[Path, ...]) -> list[Line]:
    resolved = path.resolve()
    if resolved in parents:
        raise InputError(f"{path} includes itself.", "Remove the circle of -r lines.")
    lines: list[Line] = []
    for number, text in _logical_lines(_read_text(path)):
        line = Line(text, path, number)
        nested = _NESTED.fullmatch(text)
        if nested:
            lines += _read(path.parent / nested[1], (*parents, resolved))
        else:
            _check_line(line)
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
    """Lines as pip joins them: a backslash continues, comments and empty lines are dropped."""
    found: list[tuple[int, str]] = []
    joined, start = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        start = start or number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            joined += raw[:-1]
            continue
        content = _COMMENT.sub("", joined + raw).strip()
        if content:
            found.append((start, content))
        joined, start = "", 0
    return found


def _check_line(line: Line) -> None:
    if _CONSTRAINT.match(line.text):
        raise RequirementsError(
            f"{line.place}: constraints inside requirements are not read: {line.text}",
            "Give them as --constraints FILE.",
        )
    if _LOCAL.match(line.text):
        raise RequirementsError(
            f"{line.place}: installs from this machine's files, which the build cannot see: {line.text}",
            "Publish the package to an index (--pip-config names a private one), or put its code beside the DAGs.",
        )
    if url_with_password(line.text):
        raise SecretError(
            f"{line.place}: an address with a password would be readable in the image.",
            "Put it in a pip.conf and give that as --pip-config FILE: it is mounted as a build secret only.",
        )


def check_airflow(lines: tuple[Line, ...], airflow: str) -> None:
    """Refuse requirements that ask for another Airflow than the image's.

    :raises RequirementsError: names the line.
    """
    for line in lines:
        try:
            requirement = Requirement(re.split(r"\s--?\w", line.text)[0])
        except InvalidRequirement:
            continue  # an option such as --index-url, or pip's to judge
        if canonicalize_name(requirement.name) not in _AIRFLOW:
            continue
        if requirement.url or not requirement.specifier.contains(airflow, prereleases=True):
            raise RequirementsError(
                f"{line.place}: `{line.text}` would change the image's Airflow {airflow}.",
                "Remove the line (the image brings Airflow), or choose the image that has it: --airflow VERSION",
            )


def flattened(lines: tuple[Line, ...]) -> str:
    """One requirements file with the content of all nested ones."""
    return "".join(f"{line.text}\n" for line in lines)
