"""Interpreters for stand-ins: which ones are found, and which are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.machine.bases.pythons import Interpreter, available_pythons, version_key

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """A pyenv of its own, and a function that puts a pretended CPython into it."""
    root = tmp_path / "pyenv"
    monkeypatch.setenv("PYENV_ROOT", str(root))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RUNNER_TOOL_CACHE", str(tmp_path / "tools"))

    def write(
        version: str, says: str = "{version} {prefix} CPython 0", folder: str = "", complete: bool = True
    ) -> Path:
        prefix = root / "versions" / (folder or version)
        minor = ".".join(version.split(".")[:2])
        library = prefix / "lib" / f"python{minor}"
        library.mkdir(parents=True)
        if complete:
            (library / "os.py").touch()
        executable = prefix / "bin" / f"python{minor}"
        executable.parent.mkdir()
        executable.write_text(f"#!/bin/sh\necho {says.format(version=version, prefix=prefix)}\n", encoding="utf-8")
        executable.chmod(0o755)
        return prefix

    available_pythons.cache_clear()
    yield write
    available_pythons.cache_clear()


def test_the_newest_patch_release_of_each_minor_is_found_by_number(install: Install) -> None:
    install("3.77.9")
    newest = install("3.77.10")
    other = install("3.78.0", folder="mine")
    found = available_pythons()
    assert found["3.77"] == Interpreter("3.77.10", newest)
    assert found["3.78"] == Interpreter("3.78.0", other)
    assert found["3.77"].executable == "/usr/local/bin/python3.77"
    assert list(found) == sorted(found, key=version_key)


def test_what_could_not_run_airflow_in_an_image_is_left_out(install: Install) -> None:
    install("3.71.0", says="{version} {prefix} PyPy 0")
    install("3.72.0", says="{version} {prefix} CPython 1")  # free-threaded
    install("3.73.0", complete=False)
    install("3.74.0", says="broken; exit 1")
    install("3.75.0", says="{version} /usr CPython 0")  # a distribution's own
    install("3.7.99")
    (install("3.76.0") / "bin" / "python3.76").chmod(0o644)
    install("3.79.0")
    assert set(available_pythons()) & {"3.7", *(f"3.7{number}" for number in range(1, 10))} == {"3.79"}
