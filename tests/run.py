"""Every check and test of this repository, one after the other, with a summary: what `make test` runs.

A check that cannot run has failed: a missing tool or engine is never a reason to skip.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
OWN_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Check:
    """A command that must exit with 0, run in the repository's root."""

    name: str
    command: Sequence[str]
    quick: bool = True


def tool(name: str) -> str:
    """The path of a tool of the test environment."""
    return str(TOOLS / name)


def pythons_for_the_entrypoint() -> dict[str, str]:
    """Interpreters from 3.8 on by version: this one, those on PATH, and those of a pyenv."""
    found = {OWN_PYTHON: sys.executable}
    for minor in range(8, 16):
        version = f"3.{minor}"
        pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        path = str(pyenv[-1]) if pyenv else shutil.which(f"python{version}")
        if (
            path
            and version not in found
            and subprocess.run([path, "-c", "import venv"], capture_output=True).returncode == 0
        ):
            found[version] = path
    return dict(sorted(found.items(), key=lambda item: int(item[0].split(".")[1])))


def entrypoint_check(version: str, interpreter: str) -> Check:
    """The entrypoint's unit tests on one Python, in an environment of its own made by uv."""
    folder = TOOLS.parent / f"entrypoint-py{version}"
    script = (
        f'"{tool("uv")}" venv --quiet --clear --python "{interpreter}" "{folder}" && '
        f'"{tool("uv")}" pip sync --quiet --require-hashes --python "{folder}" requirements/entrypoint-tests.txt && '
        f'"{folder}/bin/python" -m pytest -q -p no:cacheprovider tests/unit/entrypoint'
    )
    return Check(f"unit tests of the entrypoint, Python {version}", ["bash", "-c", script])


def checks() -> list[Check]:
    """All checks, the quick ones first."""
    python_sources = ["build.py", "images", "local", "tests"]
    shell_sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("local/**/*.sh"))
    found = [
        Check("format (ruff)", [tool("ruff"), "format", "--check", "."]),
        Check("lint (ruff)", [tool("ruff"), "check", "."]),
        Check("types (mypy)", [tool("mypy"), *python_sources]),
        Check(
            "types of the entrypoint (mypy)", [tool("mypy"), "--config-file", "entrypoint/pyproject.toml", "entrypoint"]
        ),
        Check("shell scripts (shellcheck)", [tool("shellcheck"), "--external-sources", ".ci/run", *shell_sources]),
        Check("unit tests", [sys.executable, "-m", "pytest", "-q", "tests/unit/images"]),
    ]
    found += [entrypoint_check(*item) for item in pythons_for_the_entrypoint().items()]
    found.append(
        Check(
            "tests on built images",
            [sys.executable, "-m", "pytest", "-v", "--durations=15", "tests/images"],
            quick=False,
        )
    )
    return found


def main() -> int:
    """Run the checks and print the summary; 1 when one failed."""
    parser = argparse.ArgumentParser(description="Run every check and test of this repository.")
    parser.add_argument("--quick", action="store_true", help="only what needs no Docker")
    quick = parser.parse_args().quick
    results = []
    for check in checks():
        if quick and not check.quick:
            continue
        print(f"\n=== {check.name}", flush=True)
        started = time.monotonic()
        code = subprocess.run(check.command, cwd=ROOT).returncode
        results.append((check.name, code, time.monotonic() - started))
    print("\n=== summary")
    for name, code, seconds in results:
        print(f"{'ok    ' if code == 0 else 'FAILED'}  {seconds:6.1f} s  {name}")
    failed = sum(code != 0 for _, code, _ in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
