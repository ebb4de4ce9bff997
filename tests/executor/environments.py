"""The executor's test environments: Airflow, its providers and the test tools, locked, and the executor itself.

    python -m tests.executor.environments 3.3.2 [--python 3.11] [--without-amazon]
    python -m tests.executor.environments reference
    python -m tests.executor.environments lock [AIRFLOW… reference]

makes an environment in `.venv/` when what it is made of has changed, and prints its interpreter's path; `lock` resolves
the locked versions anew.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # also run by its path

from images.matrix import AirflowRelease, load_matrix
from local.errors import LocalError
from local.machine.console import guarded
from tests.interpreters import OWN, interpreters
from tests.paths import EXECUTOR, ROOT

REFERENCE = "reference"
LOCKS = Path(__file__).parent / "locks"

_AMAZON = "apache-airflow-providers-amazon"
_RECIPE = 1  # another number makes every environment anew
_REFERENCE_OLDEST_PYTHON = "3.11"  # of the reference's Amazon provider
_BASE_LOCKS = ROOT / "local" / "machine" / "bases" / "locks"
_UV = str(Path(sys.executable).with_name("uv"))
_VENV = Path(sys.executable).parent.parent
# uv takes a bare 3.8 as 3.8.0, which some wheels of Airflow's dependencies exclude.
_FULL_VERSIONS = {"3.8": "3.8.18"}
_EDITABLE_WHEEL = "import sys; from hatchling.build import build_editable; build_editable(sys.argv[1])"


class EnvironmentProblem(LocalError):
    """An environment that cannot be made; the message says why."""


@dataclass(frozen=True)
class TestEnvironment:
    """One environment: an Airflow of the matrix, or the reference executor's, on one Python."""

    __test__ = False  # no test class

    airflow: str
    python: str
    without_amazon: bool = False

    @property
    def lock(self) -> Path:
        """The locked requirements."""
        return lock_file(self.airflow)

    @property
    def folder(self) -> Path:
        """Where the environment is."""
        name = REFERENCE if self.airflow == REFERENCE else f"airflow-{self.airflow}"
        return _VENV / f"executor-{name}-py{self.python}{'-without-amazon' if self.without_amazon else ''}"

    @property
    def interpreter(self) -> Path:
        """The environment's Python."""
        return self.folder / "bin" / "python"


def release_of(name: str) -> AirflowRelease:
    """The release behind the name of an environment: an Airflow version, or `reference` for the newest."""
    releases = load_matrix().releases
    if name == REFERENCE:
        return releases[-1]
    for release in releases:
        if release.version == name:
            return release
    known = ", ".join(release.version for release in releases)
    raise EnvironmentProblem(f"No environment for {name!r}: choose one of {known}, {REFERENCE}")


def lock_file(name: str) -> Path:
    """The locked requirements of an Airflow version, or of the reference."""
    return LOCKS / (f"{REFERENCE}.txt" if name == REFERENCE else f"airflow-{name}.txt")


def pythons_of(name: str, release: AirflowRelease | None = None) -> list[str]:
    """The Pythons that an environment can be made on, oldest first; by default with the release of the matrix."""
    pythons = list((release or release_of(name)).pythons)
    return pythons[pythons.index(_REFERENCE_OLDEST_PYTHON) :] if name == REFERENCE else pythons


def environment(name: str, python: str | None = None, *, without_amazon: bool = False) -> TestEnvironment:
    """An environment by name; its Python is this one where Airflow runs on it, else the default of the images."""
    pythons = pythons_of(name)
    chosen = python or (OWN if OWN in pythons else release_of(name).default_python)
    if chosen not in pythons:
        raise EnvironmentProblem(f"{name} does not run on Python {chosen}: choose one of {', '.join(pythons)}")
    if name == REFERENCE and without_amazon:
        raise EnvironmentProblem("The reference executor is part of the Amazon provider")
    return TestEnvironment(name, chosen, without_amazon)


def make(wanted: TestEnvironment) -> Path:
    """Make an environment that is missing or out of date, and return its interpreter."""
    # A version that was not found is left to uv, which knows more places and can download one.
    base = interpreters().get(wanted.python, wanted.python)
    digest = hashlib.sha256()
    for path in (wanted.lock, EXECUTOR / "pyproject.toml", EXECUTOR / "airflow_ecs_executor" / "__init__.py"):
        digest.update(path.read_bytes())
    digest.update(f"{_RECIPE} {base} {wanted.folder}".encode())
    stamp = wanted.folder / "stamp"
    with _locked(wanted.folder):
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest.hexdigest():
            return wanted.interpreter
        python = ["--python", str(wanted.interpreter)]
        _run([_UV, "venv", "--quiet", "--clear", "--no-project", "--python", base, str(wanted.folder)])
        _run([_UV, "pip", "sync", "--quiet", "--require-hashes", *python, str(wanted.lock)])
        if wanted.without_amazon:
            _run([_UV, "pip", "uninstall", "--quiet", *python, _AMAZON])
        with tempfile.TemporaryDirectory() as wheels:
            # By hatchling of this environment: Airflow's own stays free of build tools, and nothing is downloaded.
            _run([sys.executable, "-c", _EDITABLE_WHEEL, wheels], cwd=EXECUTOR)
            _run([_UV, "pip", "install", "--quiet", "--no-deps", "--offline", *python, *_wheels(wheels)])
        stamp.write_text(digest.hexdigest(), encoding="utf-8")
    return wanted.interpreter


def _wheels(folder: str) -> list[str]:
    return [str(path) for path in Path(folder).glob("*.whl")]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time makes an environment."""
    with folder.with_name(f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: Sequence[str], cwd: Path = ROOT) -> None:
    # uv and hatchling print to stderr what went wrong; stdout is this program's answer.
    if subprocess.run(command, cwd=cwd, stdout=sys.stderr).returncode != 0:
        raise EnvironmentProblem(f"Failed: {' '.join(command)}")


def write_lock(name: str) -> None:
    """Resolve the requirements of an environment anew."""
    release = release_of(name)
    stand_in = (_BASE_LOCKS / f"airflow-{release.version}.txt").read_text(encoding="utf-8")
    lock_file(name).write_text(lock(name, release, stand_in), encoding="utf-8")


def lock(name: str, release: AirflowRelease, constraints: str) -> str:
    """The lock of an environment for a release, with the versions that its stand-in image carries."""
    oldest = pythons_of(name, release)[0]
    source = "executor-tests.in"
    if name == REFERENCE:  # a newer Amazon provider needs newer ones beside it
        source = "executor-reference.in"
        kept = [line for line in constraints.splitlines() if not line.startswith("apache-airflow-providers-")]
        constraints = "\n".join([*kept, ""])
    command = [_UV, "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-annotate", "--no-header"]
    command += ["--no-emit-index-url", "--python-version", _FULL_VERSIONS.get(oldest, oldest)]
    with tempfile.TemporaryDirectory() as folder:
        held, target = Path(folder) / "constraints.txt", Path(folder) / "requirements.txt"
        held.write_text(constraints, encoding="utf-8")
        if lock_file(name).is_file():  # uv keeps its versions, where it can
            shutil.copy(lock_file(name), target)
        _run([*command, "--constraints", str(held), f"requirements/{source}", "--output-file", str(target)])
        return target.read_text(encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make one environment and print its interpreter, or write locks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", metavar="AIRFLOW", help="an Airflow version of matrix.yaml, `reference`, or `lock`")
    parser.add_argument("names", nargs="*", metavar="NAME", help="for `lock`: which, default: all")
    parser.add_argument("--python", help="the Python, such as 3.8; default: this one where Airflow runs on it")
    parser.add_argument("--without-amazon", action="store_true", help="without the Amazon provider")
    options = parser.parse_args(arguments)
    if options.name == "lock":
        for name in options.names or [*(release.version for release in load_matrix().releases), REFERENCE]:
            print(f"Lock of {name}", file=sys.stderr)
            write_lock(name)
    else:
        print(make(environment(options.name, options.python, without_amazon=options.without_amazon)))
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
