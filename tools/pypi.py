"""Which releases of Airflow there are, as the package index has them."""

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
    """A release that cannot be added; the message says why."""

    exit_code = 48


@dataclass(frozen=True)
class Published:
    """A release of Airflow on the index: the day it was uploaded, and the Pythons that its metadata allow."""

    day: datetime.date
    pythons: SpecifierSet


def published(index: str | None = None) -> dict[str, Published]:
    """The final releases by version, without those that were yanked.

    Raises:
        ReleaseError: when the index cannot be asked.
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
