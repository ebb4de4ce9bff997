"""Every check and test of this repository, one after the other, with a summary: what `make test` runs.

A check that cannot run has failed: a missing tool or engine is never a reason to skip.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run by its path

from images.matrix import load_matrix
from tests.interpreters import OWN, interpreters

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent


@dataclass(frozen=True)
class Check:
    """A command that must exit with 0, run in the repository's root."""

    name: str
    command: Sequence[str]


def tool(name: str) -> str:
    """The path of a tool of the test environment."""
    return str(TOOLS / name)


def unit_check(version: str, interpreter: str) -> Check:
    """The unit tests of what runs beside Airflow on one Python, in an environment of its own made by uv."""
    folder = TOOLS.parent / f"unit-py{version}"
    script = (
        f'"{tool("uv")}" venv --quiet --clear --python "{interpreter}" "{folder}" && '
        f'"{tool("uv")}" pip sync --quiet --require-hashes --python "{folder}" requirements/unit-tests.txt && '
        f'"{folder}/bin/python" -m pytest -q -p no:cacheprovider tests/unit/entrypoint tests/unit/executor'
    )
    return Check(f"unit tests of entrypoint and executor, Python {version}", ["bash", "-c", script])


def unit_checks(*, every_python: bool) -> list[Check]:
    """The unit tests of what runs beside Airflow, on the oldest and the newest Python that are here, or on all."""
    found = list(interpreters().items())
    return [unit_check(*item) for item in (found if every_python else dict((found[0], found[-1])).items())]


def executor_checks(*, every_airflow: bool) -> list[Check]:
    """The executor's tests inside Airflow: the oldest of the matrix, on its oldest Python if that is here; the newest.

    With ``every_airflow`` all of them, the oldest on this Python as well.
    """
    releases = load_matrix().releases
    lowest = releases[0].pythons[0]
    checks = []
    for release in releases if every_airflow else (releases[0], releases[-1]):
        command = [sys.executable, "-m", "tests.executor.run", release.version]
        old = release is releases[0] and lowest in interpreters() and lowest != OWN
        if old:
            checks.append(
                Check(f"executor with Airflow {release.version}, Python {lowest}", [*command, "--python", lowest])
            )
        if every_airflow or not old:
            checks.append(Check(f"executor with Airflow {release.version}", command))
    return checks


# Strict: a link or an anchor that leads nowhere, and a page that no menu has, fail.
SITE = (
    "export NO_MKDOCS_2_WARNING=1; folder=$(mktemp -d) && trap 'rm -rf \"$folder\"' EXIT && "
    f'"{tool("mkdocs")}" build --strict --site-dir "$folder"'
)


_UNIT = ("deploy", "github", "images", "local")


def static_checks() -> list[Check]:
    """What reads the sources, and the unit tests of what runs on this Python."""
    shell_sources = sorted(
        str(path.relative_to(ROOT))
        for folder in (".github", "local", "tests")
        for path in ROOT.glob(f"{folder}/**/*.sh")
    )
    return [
        Check("format (ruff)", [tool("ruff"), "format", "--check", "."]),
        Check("lint (ruff)", [tool("ruff"), "check", "."]),
        Check("types (mypy)", [tool("mypy"), "build.py", "images", "local", "tests", "docs/site_hooks.py"]),
        Check(
            "types of the entrypoint (mypy)", [tool("mypy"), "--config-file", "entrypoint/pyproject.toml", "entrypoint"]
        ),
        Check("types of the executor (mypy)", [tool("mypy"), "--config-file", "executor/pyproject.toml", "executor"]),
        Check("shell scripts (shellcheck)", [tool("shellcheck"), "--external-sources", ".ci/run", *shell_sources]),
        Check("CloudFormation template (cfn-lint)", [tool("cfn-lint"), "deploy/template.yaml"]),
        Check("workflows (zizmor)", [tool("zizmor"), "--offline", "--persona", "pedantic", ".github"]),
        Check("docs (mkdocs)", ["bash", "-c", SITE]),
        Check("docs are true", [sys.executable, "-m", "pytest", "-q", "tests/docs"]),
        Check(
            "unit tests",
            [sys.executable, "-m", "pytest", "-q", *(f"tests/unit/{part}" for part in _UNIT)],
        ),
    ]


LOCAL = Check(
    "tests of the local ECS, with containers",
    [sys.executable, "-m", "pytest", "-q", "--durations=5", "tests/local"],
)
DEPLOY = Check(
    "the CloudFormation stack, on moto",
    [sys.executable, "-m", "pytest", "-q", "--durations=5", "tests/deploy"],
)
BENCHMARKS = Check("benchmarks, a few tasks each", [sys.executable, "-m", "pytest", "-q", "tests/bench"])
IMAGES = Check("tests on built images", [sys.executable, "-m", "pytest", "-v", "--durations=15", "tests/images"])


def walkthrough_check(*, every_airflow: bool) -> Check:
    """The documentation's commands; the way to production for the newest Airflow, or for 2 as well."""
    command = [sys.executable, "-m", "pytest", "-v", "--durations=5", "tests/walkthrough"]
    some = [] if every_airflow else ["-k", "not 2.11.2"]
    return Check("the documentation's commands, with Docker and a local AWS", [*command, *some])


def end_to_end_checks(*, full: bool) -> list[Check]:
    """Airflow, executor and images on the local ECS: an Airflow 2 and the newest 3; what takes minutes if ``full``."""
    newest: dict[str, str] = {}
    for release in load_matrix().releases:
        newest[release.version.partition(".")[0]] = release.version
    command = [sys.executable, "-m", "pytest", "-v", "--durations=10", "tests/e2e"]
    last = list(newest.values())[-1]

    def which(version: str) -> list[str]:
        if full:
            return ["--full"]
        # What the documentation has to try is the same on each Airflow.
        return [] if version == last else ["--ignore", "tests/e2e/test_what_to_try.py"]

    return [
        Check(f"end to end, Airflow {version}", [*command, "--airflow", version, *which(version)])
        for version in newest.values()
    ]


@dataclass(frozen=True)
class Result:
    """How a check ended: its exit code, and the seconds it took."""

    check: Check
    code: int
    seconds: float


def run(check: Check) -> Result:
    """Run a check, its output going where ours goes."""
    print(f"\n=== {check.name}", flush=True)
    started = time.monotonic()
    code = subprocess.run(check.command, cwd=ROOT).returncode
    return Result(check, code, time.monotonic() - started)


def run_quietly(check: Check) -> Result:
    """Run a check beside others, and show its output when it has ended."""
    started = time.monotonic()
    done = subprocess.run(check.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(f"\n=== {check.name}\n{done.stdout}", end="", flush=True)
    return Result(check, done.returncode, time.monotonic() - started)


def main() -> int:
    """Run the checks and print the summary; 1 when one failed."""
    parser = argparse.ArgumentParser(description="Run every check and test of this repository.")
    parser.add_argument("--quick", action="store_true", help="only what needs no Docker")
    parser.add_argument("--all", action="store_true", help="also every Airflow and Python, and what takes long")
    options = parser.parse_args()
    results = [run(check) for check in static_checks()]
    # Mostly waiting, for retries and signals: three at a time take a third as long.
    with ThreadPoolExecutor(3) as pool:
        results += pool.map(run_quietly, unit_checks(every_python=options.all))
    if not options.quick:
        results += [run(LOCAL), run(DEPLOY)]
        # Mostly waiting as well, for schedulers' loops and heartbeats.
        with ThreadPoolExecutor(2) as pool:
            results += pool.map(run_quietly, executor_checks(every_airflow=options.all))
        results += [run(BENCHMARKS), run(IMAGES), run(walkthrough_check(every_airflow=options.all))]
        results += [run(check) for check in end_to_end_checks(full=options.all)]
    print("\n=== summary")
    for result in results:
        print(f"{'ok    ' if result.code == 0 else 'FAILED'}  {result.seconds:6.1f} s  {result.check.name}")
    failed = sum(result.code != 0 for result in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
