"""Add an Airflow release to matrix.yaml, to the locks and to the lists in the documentation.

    make add-airflow VERSION=3.3.1
    make add-airflow VERSION=3.4.0 PYTHON="3.11 3.12 3.13 3.14"

The default Pythons are those of the newest release of the same minor version, or of the preceding release, as far as
the metadata of the new release allow them. Everything is resolved before the first file is written, so an error changes
no file.

    python -m tools.add_airflow --new

prints the releases that can be added: the newest of each minor version, unless the matrix contains it.
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml
from packaging.specifiers import SpecifierSet

from images.errors import MatrixError
from images.matrix import PYTHON, RELEASE, AirflowRelease, Matrix, load_matrix, parse_matrix, version_key
from local.machine.bases import locks
from local.machine.console import guarded, say, step
from tests.executor import environments
from tools.edits import with_day, with_list, with_release
from tools.pypi import Published, ReleaseError, published

ROOT = Path(__file__).resolve().parent.parent
MATRIX, DAYS = Path("matrix.yaml"), Path("local/machine/bases/requirements.yaml")
Index = Mapping[str, Published]
Resolve = Callable[[AirflowRelease, datetime.date, bool], Mapping[Path, str]]
"""Returns the locks of a release by path. Its arguments are the release, its date, and whether it is the newest one."""


def add(version: str, pythons: Sequence[str], index: Index, resolve: Resolve, root: Path = ROOT) -> list[Path]:
    """Add a release to the project in a folder, and return the changed files.

    Raises LocalError before the first file is changed.
    """
    try:
        matrix = load_matrix(root / MATRIX)
        release = new_release(version, pythons, matrix, index, supported(root))
        texts = edited(root, release, index[version].day)
    except MatrixError as error:
        raise ReleaseError(str(error)) from error
    newest = version_key(version) > version_key(matrix.releases[-1].version)
    texts.update(resolve(release, index[version].day, newest))
    for path, text in texts.items():
        (root / path).write_text(text, encoding="utf-8")
    return sorted(texts)


def new_release(
    version: str, pythons: Sequence[str], matrix: Matrix, index: Index, bounds: SpecifierSet
) -> AirflowRelease:
    """Return the matrix entry of a version. Raises ReleaseError if it cannot be added."""
    _check_version(version, matrix, index, bounds)
    like, allowed = _like(version, matrix), index[version].pythons
    chosen = _valid(pythons) if pythons else [python for python in like.pythons if python in allowed]
    if not chosen:
        raise ReleaseError(
            f"Airflow {version} requires Python {allowed}, and Airflow {like.version} runs on none of these. "
            'Name its Pythons, such as PYTHON="3.15".'
        )
    return AirflowRelease(version, tuple(chosen), like.default_python if like.default_python in chosen else chosen[-1])


def _check_version(version: str, matrix: Matrix, index: Index, bounds: SpecifierSet) -> None:
    if not RELEASE.fullmatch(version):
        raise ReleaseError(f"{version!r} is not a valid release. Expected three numbers, such as VERSION=3.3.1.")
    if matrix.matching(version):
        raise ReleaseError(f"Airflow {version} is in matrix.yaml already.")
    if version not in bounds:
        raise ReleaseError(f"The executor does not run on Airflow {version}. It requires apache-airflow{bounds}.")
    if version not in index:
        minor = version.rpartition(".")[0]
        known = sorted((other for other in index if other.startswith(f"{minor}.")), key=version_key)
        others = ", ".join(known) or "none"
        raise ReleaseError(f"The index has no Airflow {version}. Its releases of {minor}: {others}.")


def _like(version: str, matrix: Matrix) -> AirflowRelease:
    """Return the newest release of the same minor version, or the preceding release."""
    same = matrix.matching(version.rpartition(".")[0])
    before = [release for release in matrix.releases if version_key(release.version) < version_key(version)]
    return (same or before or matrix.releases)[-1]


def _valid(pythons: Sequence[str]) -> list[str]:
    wrong = [python for python in pythons if not PYTHON.fullmatch(python)]
    if wrong:
        raise ReleaseError(
            f'{wrong[0]!r} is not a valid Python. Expected two numbers each, such as PYTHON="3.12 3.13".'
        )
    return sorted(set(pythons), key=version_key)


def supported(root: Path = ROOT) -> SpecifierSet:
    """Return the Airflow versions that the executor supports."""
    project = (root / "executor" / "pyproject.toml").read_text(encoding="utf-8")
    (bounds,) = re.findall(r'"apache-airflow([<>=][^"]*)"', project)
    return SpecifierSet(bounds)


def edited(root: Path, release: AirflowRelease, day: datetime.date) -> dict[Path, str]:
    """Return the new content of the files that list the releases, by path."""
    pages = (path.relative_to(root) for path in (root / "README.md", *root.glob("docs/*.md")))
    texts = {path: (root / path).read_text(encoding="utf-8") for path in (MATRIX, DAYS, *pages)}
    matrix = with_release(texts[MATRIX], release)
    parsed = parse_matrix(yaml.safe_load(matrix))
    changed = {path: with_list(text, parsed) for path, text in texts.items()}
    changed |= {MATRIX: matrix, DAYS: with_day(texts[DAYS], release.version, day)}
    return {path: text for path, text in changed.items() if text != texts[path]}


def resolve_locks(release: AirflowRelease, day: datetime.date, newest: bool) -> dict[Path, str]:
    """Resolve the locks of the stand-in image and the test environments. Only the newest has one of the reference."""
    version, lowest = release.version, release.pythons[0]
    with step(f"Locks of Airflow {version}, Python {lowest} and up"):
        stand_in = locks.lock(version, lowest, day)
        found = {locks.lock_file(version): stand_in}
        for name in (version, environments.REFERENCE) if newest else (version,):
            found[environments.lock_file(name)] = environments.lock(name, release, stand_in)
    return {path.relative_to(ROOT): text for path, text in found.items()}


def new_releases(matrix: Matrix, index: Index, bounds: SpecifierSet, today: datetime.date) -> list[str]:
    """Return the newest release of each minor version that is some days old, unless the matrix contains it."""
    known = [release.version for release in matrix.releases]
    settled = [version for version, found in index.items() if today - found.day > locks.SETTLED and version in bounds]
    newest: dict[str, str] = {}
    for version in sorted({*known, *settled}, key=version_key):
        newest[version.rpartition(".")[0]] = version
    return [version for version in newest.values() if version not in known]


def main(arguments: Sequence[str] | None = None) -> int:
    """Add the release of the command line, or print the releases that can be added."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", metavar="VERSION", nargs="?", default="", help="such as 3.3.1")
    parser.add_argument("--python", metavar="PYTHONS", default="", help='such as "3.12 3.13"; default: see above')
    parser.add_argument("--new", action="store_true", help="print the releases that can be added, one on each line")
    options = parser.parse_args(arguments)
    if options.new:
        print("".join(f"{version}\n" for version in _new()), end="")
        return 0
    written = add(options.version, options.python.split(), published(), resolve_locks)
    say(f"Added Airflow {options.version}. Changed files: {', '.join(map(str, written))}\nNext: git diff; make test")
    return 0


def _new() -> list[str]:
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return new_releases(load_matrix(), published(), supported(), today)


if __name__ == "__main__":
    sys.exit(guarded(main))
