"""Edits of the files that list Airflow releases. Comments and order stay unchanged. No I/O."""

from __future__ import annotations

import datetime
import json
import re

from images.matrix import AirflowRelease, Matrix, version_key

_ENTRY = re.compile(r"^  - version: (\d+\.\d+\.\d+)\n(?:    .*\n)+", re.MULTILINE)
_DAY = re.compile(r"^  (\d+\.\d+\.\d+): \d{4}-\d\d-\d\d\n", re.MULTILINE)
_LISTED = re.compile(r"(?<=<!-- releases -->).*?(?=<!-- /releases -->)", re.DOTALL)


def with_release(matrix: str, release: AirflowRelease) -> str:
    """Return the text of `matrix.yaml` with the entry of a release, sorted by version."""
    pythons = ", ".join(json.dumps(python) for python in release.pythons)
    entry = (
        f"  - version: {release.version}\n    python: [{pythons}]\n"
        f"    default-python: {json.dumps(release.default_python)}\n"
    )
    return _inserted(matrix, _ENTRY, release.version, entry)


def with_day(requirements: str, version: str, day: datetime.date) -> str:
    """Return the text of `local/machine/bases/requirements.yaml` with the date of a release."""
    return _inserted(requirements, _DAY, version, f"  {version}: {day}\n")


def with_list(page: str, matrix: Matrix) -> str:
    """Return a page of the documentation whose marked lists contain the releases of the matrix."""
    return _LISTED.sub(releases_in_words(matrix), page)


def releases_in_words(matrix: Matrix) -> str:
    """Return the releases as text: ``2.10.5, 2.11.2 and 3.0.6 on Python 3.8 to 3.12``."""
    *others, last = (release.version for release in matrix.releases)
    versions = f"{', '.join(others)} and {last}" if others else last
    return f"{versions} on Python {matrix.pythons[0]} to {matrix.pythons[-1]}"


def _inserted(text: str, pattern: re.Pattern[str], version: str, entry: str) -> str:
    """Insert an entry before the first one of a newer version, or after the last one."""
    place = len(text)
    for match in pattern.finditer(text):
        place = match.end()
        if version_key(match[1]) > version_key(version):
            place = match.start()
            break
    return text[:place] + entry + text[place:]
