"""The locks of each Airflow of the matrix.

Those of the stand-ins are complete, unambiguous on each Python, and free of any address; those of the executor's test
environments go with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from images.matrix import load_matrix, version_key
from local.machine.bases.locks import lock_file, requirements_data
from tests.executor import environments

RELEASES = load_matrix().releases
# A lock that is missing is named by one test.
PYTHONS = {
    release.version: release.pythons
    for release in RELEASES
    if lock_file(release.version).is_file() and environments.lock_file(release.version).is_file()
}
DEFAULT_PYTHONS = {release.version: release.default_python for release in RELEASES}
PAIRS = [(airflow, python) for airflow, pythons in PYTHONS.items() for python in pythons]
PACKAGES = {
    "amazon": "apache-airflow-providers-amazon",
    "fab": "apache-airflow-providers-fab",
    "postgres": "apache-airflow-providers-postgres",
    "statsd": "statsd",
}
# Airflow's extra is empty on a Python on which this provider does not run yet, as on 3.13 with Airflow 3.1.
LATE = {"apache-airflow-providers-fab"}


@cache
def pins(lock: Path) -> list[Requirement]:
    lines = lock.read_text(encoding="utf-8").splitlines()
    # The hashes of a pin are on lines of their own.
    return [Requirement(line.removesuffix(" \\")) for line in lines if not line.startswith(("#", "    --hash="))]


@cache
def chosen(lock: Path, python: str) -> list[tuple[str, str]]:
    """Package and version of each line that applies on a Python."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.18",
        "implementation_version": f"{python}.18",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "platform_system": "Linux",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    }
    return [
        (canonicalize_name(pin.name), str(pin.specifier).removeprefix("=="))
        for pin in pins(lock)
        if pin.marker is None or pin.marker.evaluate(environment)
    ]


@pytest.mark.parametrize("lock_of", [lock_file, environments.lock_file])
def test_each_airflow_of_the_matrix_has_a_lock_and_no_other(lock_of: Callable[[str], Path]) -> None:
    locked = {path.stem.removeprefix("airflow-") for path in lock_of("").parent.glob("airflow-*.txt")}
    assert locked == {release.version for release in RELEASES}, (
        "make add-airflow writes the locks; remove those of a release that has left"
    )


@pytest.mark.parametrize("airflow", PYTHONS)
def test_an_environment_of_tests_has_the_airflow_and_the_amazon_provider_of_the_stand_in(airflow: str) -> None:
    python = DEFAULT_PYTHONS[airflow]
    tested = dict(chosen(environments.lock_file(airflow), python))
    stand_in = dict(chosen(lock_file(airflow), python))
    for package in ("apache-airflow", PACKAGES["amazon"]):
        assert tested[package] == stand_in[package]


def test_the_reference_executor_is_tested_on_the_newest_airflow() -> None:
    newest = RELEASES[-1]
    locked = dict(chosen(environments.lock_file(environments.REFERENCE), newest.default_python))
    assert locked["apache-airflow"] == newest.version


@pytest.mark.parametrize("airflow", PYTHONS)
def test_every_line_is_an_exact_pin_and_no_line_holds_an_address(airflow: str) -> None:
    lines = lock_file(airflow).read_text(encoding="utf-8").splitlines()
    wrong = [line for line in lines if not re.fullmatch(r"#.*|[a-z0-9._-]+==[\w.!+]+( ; [\w.!<>=*' ]+)?", line)]
    assert not wrong
    assert not re.search(r"://|\bwww\.|\d+\.\d+\.\d+\.\d+:|localhost|--\w", "\n".join(lines))


@pytest.mark.parametrize(("airflow", "python"), PAIRS)
def test_on_each_python_of_the_matrix_airflow_and_what_a_stand_in_adds_are_pinned(airflow: str, python: str) -> None:
    pinned = chosen(lock_file(airflow), python)
    found = dict(pinned)
    assert len(found) == len(pinned), "a package has two versions"
    assert found["apache-airflow"] == airflow
    if airflow.startswith("2."):
        assert "apache-airflow-core" not in found
    else:
        assert found["apache-airflow-core"] == airflow
    data = requirements_data()
    wanted = {PACKAGES[extra] for extra in data["extras"]["full"]} | set(data["tools"])
    newer_than_default = version_key(python) > version_key(DEFAULT_PYTHONS[airflow])
    assert wanted - set(found) <= (LATE if newer_than_default else set())
