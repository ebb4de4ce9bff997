"""The locks of the stand-ins: complete, unambiguous on each Python, and free of any address."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from images.matrix import load_matrix, version_key
from local.bases.locks import lock_file
from local.bases.standin import requirements_data

FOLDER = lock_file("").parent
# A new release is a change of matrix.yaml alone: until it has a lock, its stand-in is resolved when it is built.
LOCKED = {path.stem.removeprefix("airflow-") for path in FOLDER.glob("airflow-*.txt")}
PYTHONS = {release.version: release.pythons for release in load_matrix().releases if release.version in LOCKED}
PAIRS = [(airflow, python) for airflow, pythons in PYTHONS.items() for python in pythons]
PACKAGES = {
    "amazon": "apache-airflow-providers-amazon",
    "fab": "apache-airflow-providers-fab",
    "postgres": "apache-airflow-providers-postgres",
    "statsd": "statsd",
}
# Airflow 3.1's extra fab is empty on Python 3.13: the provider did not run there yet.
ABSENT = {("3.1.8", "3.13"): {"apache-airflow-providers-fab"}}


@cache
def pins(lock: Path) -> list[Requirement]:
    lines = lock.read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


@cache
def chosen(airflow: str, python: str, machine: str = "x86_64") -> list[tuple[str, str]]:
    """Package and version of each line that applies in an image."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.18",
        "implementation_version": f"{python}.18",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "platform_system": "Linux",
        "sys_platform": "linux",
        "platform_machine": machine,
    }
    return [
        (canonicalize_name(pin.name), str(pin.specifier).removeprefix("=="))
        for pin in pins(lock_file(airflow))
        if pin.marker is None or pin.marker.evaluate(environment)
    ]


def test_no_airflow_has_a_lock_that_the_matrix_does_not_know() -> None:
    assert set(PYTHONS) >= LOCKED, "remove the lock of a release that has left matrix.yaml"
    assert LOCKED, "where are the locks?"


@pytest.mark.parametrize("airflow", PYTHONS)
def test_a_lock_says_which_pythons_it_is_for_and_the_day_it_stands_for(airflow: str) -> None:
    lowest = min(PYTHONS[airflow], key=version_key)
    day = requirements_data()["released"][airflow] + datetime.timedelta(days=3)
    first = lock_file(airflow).read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(f"# Airflow {airflow} on Python {lowest} and up,")
    assert first.endswith(f"as of {day}.")


@pytest.mark.parametrize("airflow", PYTHONS)
def test_every_line_is_an_exact_pin_and_no_line_holds_an_address(airflow: str) -> None:
    lines = lock_file(airflow).read_text(encoding="utf-8").splitlines()
    wrong = [line for line in lines if not re.fullmatch(r"#.*|[a-z0-9._-]+==[\w.!+]+( ; [\w.!<>=*' ]+)?", line)]
    assert not wrong
    assert not re.search(r"://|\bwww\.|\d+\.\d+\.\d+\.\d+:|localhost|--\w", "\n".join(lines))


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(("airflow", "python"), PAIRS)
def test_on_each_python_of_the_matrix_a_package_has_one_version(airflow: str, python: str, machine: str) -> None:
    names = Counter(name for name, _ in chosen(airflow, python, machine))
    assert {name: count for name, count in names.items() if count > 1} == {}


@pytest.mark.parametrize(("airflow", "python"), PAIRS)
def test_on_each_python_of_the_matrix_airflow_and_what_a_stand_in_adds_are_pinned(airflow: str, python: str) -> None:
    found = dict(chosen(airflow, python))
    assert found["apache-airflow"] == airflow
    if airflow.startswith("2."):
        assert "apache-airflow-core" not in found
    else:
        assert found["apache-airflow-core"] == airflow
    data = requirements_data()
    wanted = {PACKAGES[extra] for extra in data["extras"]["full"]} | set(data["tools"])
    assert wanted - set(found) == ABSENT.get((airflow, python), set())
