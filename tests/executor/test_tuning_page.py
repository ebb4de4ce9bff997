"""The defaults of Airflow's settings in docs/tuning.md are those of this Airflow."""

from __future__ import annotations

import re

import pytest
from airflow.configuration import conf
from airflow.version import version

from tests.paths import DOCS

PAGE = DOCS / "tuning.md"
ROW = re.compile(r"^\| `\[(\w+)\] (\w+)` \|(.*)$", re.MULTILINE)
HEADER = re.compile(r"^\| Setting \|(.*)$", re.MULTILINE)


def documented():
    """Setting to default, in the column of this Airflow; none for an Airflow that has no column."""
    text = PAGE.read_text(encoding="utf-8")
    columns = [cell.strip() for cell in HEADER.search(text)[1].split("|")]
    own = "Airflow " + ".".join(version.split(".")[:2])
    if own not in columns:
        return {}
    return {(row[1], row[2]): row[3].split("|")[columns.index(own)].strip() for row in ROW.finditer(text)}


@pytest.mark.oldest
def test_the_defaults_are_airflow_s():
    defaults = documented()
    actual = {setting: conf.get_default_value(*setting) for setting in defaults}
    assert defaults == {setting: "–" if value is None else str(value) for setting, value in actual.items()}
