"""The Airflow releases on the package index."""

from __future__ import annotations

import datetime
import os
import re
from dataclasses import dataclass
from typing import Any

import requests
from packaging.specifiers import SpecifierSet

from local.errors import LocalError

PYPI = "https://pypi.org/simple"
_SECONDS = 30
_WHEEL = re.compile(r"apache_airflow-(\d+\.\d+\.\d+)-py3-none-any\.whl")


class ReleaseError(LocalError):
    """A release cannot be added."""

    exit_code = 48


@dataclass(frozen=True)
class Published:
    """A release on the index: the date of its upload, and the Python versions that its metadata allow."""

    day: datetime.date
    pythons: SpecifierSet


def published(index: str | None = None) -> dict[str, Published]:
    """Return the final releases by version, without yanked ones.

    Raises:
        ReleaseError: The index did not return a list of releases.
    """
    address = f"{(index or os.environ.get('UV_DEFAULT_INDEX') or PYPI).rstrip('/')}/apache-airflow/"
    try:
        answer = requests.get(address, headers={"Accept": "application/vnd.pypi.simple.v1+json"}, timeout=_SECONDS)
        answer.raise_for_status()
        return _releases(answer.json()["files"])
    except (requests.exceptions.RequestException, KeyError) as error:
        raise ReleaseError(
            f"{address} did not list the releases of Airflow: {error!r}.\n"
            "The index must answer in JSON, with upload times (PEP 691 and 700); UV_DEFAULT_INDEX names another one."
        ) from error


def _releases(files: list[dict[str, Any]]) -> dict[str, Published]:
    found = {}
    for file in files:
        wheel = _WHEEL.fullmatch(file["filename"])
        if wheel and not file.get("yanked"):
            day = datetime.date.fromisoformat(file["upload-time"][:10])
            found[wheel[1]] = Published(day, SpecifierSet(file.get("requires-python") or ""))
    return found
