"""The checks and tests of this repository as nox sessions: `nox --list` lists them, `nox -s NAME` runs one.

`make test` runs the sessions tagged `test`. `make test-all` runs those tagged `all`, with `--full`, which includes the
tests that are marked `full`. Arguments after `--` are passed to pytest: `nox -s images -- -k signals`. If a tool, an
interpreter or the Docker engine is missing, a session fails; nothing is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from tests.interpreters import OWN, interpreters  # noqa: E402

nox.needs_version = ">=2026.10"
nox.options.tags = ["test"]
nox.options.error_on_missing_interpreters = True

# The environment that `make` installs comes first. The folders of the interpreters let nox find each of them by name.
PATHS = [
    str(Path(sys.executable).parent),
    os.environ["PATH"],
    *(str(Path(path).parent) for path in interpreters().values()),
]
os.environ["PATH"] = os.pathsep.join(PATHS)
os.environ["NO_MKDOCS_2_WARNING"] = "1"
# Hundreds of tests start Python, which must be able to reuse bytecode.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

TEST = ["test", "all"]
ONLY_ALL = ["all"]
ENGINE = ["bash", "local/machine/engine.sh", "run"]
"""Runs a command with a Docker engine, which is started and stopped unless one is running."""
PYTEST = [sys.executable, "-m", "pytest"]
PARALLEL = ["-n6", "--dist", "worksteal"]

LINT = (
    "ruff format --check .",
    "ruff check .",
    "mypy build.py noxfile.py images local tests tools docs/site_hooks.py",
    "mypy --config-file entrypoint/pyproject.toml entrypoint",
    "mypy --config-file executor/pyproject.toml executor",
    "cfn-lint deploy/template.yaml",
    "zizmor --offline --persona pedantic .github",
)


def run(session: nox.Session, *command: str) -> None:
    """Run a test command with the arguments of the session."""
    session.run(*command, *session.posargs, external=True)


@nox.session(python=False, tags=TEST)
def lint(session: nox.Session) -> None:
    """Format, lint, types, shell scripts, CloudFormation template, workflows."""
    scripts = subprocess.run(
        ["git", "ls-files", "*.sh", ".ci/run"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    commands = [*(command.split() for command in LINT), ["shellcheck", "--external-sources", *scripts]]

    def succeeds(command: list[str]) -> bool:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print(f"$ {' '.join(command)}\n{done.stdout}", end="", flush=True)
        return done.returncode == 0

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failed = [command[0] for command, good in zip(commands, pool.map(succeeds, commands), strict=True) if not good]
    if failed:
        session.error(f"Failed: {', '.join(failed)}")


@nox.session(python=False, tags=TEST)
def unit(session: nox.Session) -> None:
    """Unit tests on this Python, without Docker and Airflow."""
    run(session, *PYTEST, "-q", *PARALLEL, "tests/unit")


OTHER_PYTHONS = [version for version in interpreters() if version != OWN]


@nox.session(venv_backend="uv")
@nox.parametrize(
    "python",
    [nox.param(version, id=version, tags=ONLY_ALL if number else TEST) for number, version in enumerate(OTHER_PYTHONS)],
)
def unit_on(session: nox.Session) -> None:
    """Unit tests of entrypoint and executor on another Python; `make test` takes the oldest that is installed."""
    session.install("--require-hashes", "-r", "requirements/unit-tests.txt")
    run(
        session,
        "python",
        "-m",
        "pytest",
        "-q",
        *PARALLEL,
        "-p",
        "no:cacheprovider",
        "tests/unit/entrypoint",
        "tests/unit/executor",
    )


@nox.session(python=False, tags=TEST)
def docs(session: nox.Session) -> None:
    """Build of the site without broken links; commands, flags and messages that the pages quote."""
    # --strict: broken links and anchors, and pages that are in no menu, are errors.
    session.run("mkdocs", "build", "--strict", "--quiet", "--site-dir", session.create_tmp(), external=True)
    run(session, *PYTEST, "-q", *PARALLEL, "tests/docs")


@nox.session(python=False, tags=TEST)
def bases(session: nox.Session) -> None:
    """Base images for the following sessions: pulled, or built as stand-ins."""
    from local.machine.bases import Base
    from tests.images.product import PRODUCTS

    images = dict.fromkeys(Base(*product.base).image for product in PRODUCTS)
    session.run(*ENGINE, sys.executable, "-m", "local.machine.bases", "ensure", *images, external=True)


@nox.session(python=False, tags=TEST)
def deploy(session: nox.Session) -> None:
    """Deployment of the CloudFormation template to moto."""
    run(session, *ENGINE, *PYTEST, "-q", "tests/deploy")


@nox.session(python=False, tags=TEST)
def local(session: nox.Session) -> None:
    """The local ECS with containers."""
    run(session, *ENGINE, *PYTEST, "-q", "-n3", "--durations=5", "tests/local")


@nox.session(python=False, tags=TEST)
def executor(session: nox.Session) -> None:
    """The executor inside Airflow, with real schedulers on PostgreSQL."""
    run(session, *ENGINE, sys.executable, "-m", "tests.executor.run", "-q", "-n2", "--durations=5")


@nox.session(python=False, tags=TEST)
def benchmarks(session: nox.Session) -> None:
    """The benchmarks with a few tasks each."""
    run(session, *ENGINE, *PYTEST, "-q", "tests/bench")


@nox.session(python=False, tags=TEST)
def images(session: nox.Session) -> None:
    """Built images, and Airflow tasks in their containers."""
    run(session, *ENGINE, *PYTEST, "-v", "-n3", "--durations=15", "tests/images")


@nox.session(python=False, tags=ONLY_ALL)
def real(session: nox.Session) -> None:
    """Requirements files as teams have them: built, or refused with a remedy that works."""
    run(session, *ENGINE, *PYTEST, "-v", "-n2", "tests/real")


@nox.session(python=False, tags=TEST)
def e2e(session: nox.Session) -> None:
    """Complete Airflow deployments on the local ECS, and the documentation's commands that require Docker."""
    at_once = "-n1" if "--full" in session.posargs else "-n2"  # 200 tasks of one Airflow use both processors
    run(session, *ENGINE, *PYTEST, "-v", at_once, "--durations=15", "tests/e2e", "tests/walkthrough")


@nox.session(python=False)
def coverage(session: nox.Session) -> None:
    """Line and branch coverage of the three packages by the unit tests, including subprocesses."""
    session.run("coverage", "erase", external=True)
    run(session, "coverage", "run", "-m", "pytest", "-q", *PARALLEL, "tests/unit")
    session.run("coverage", "combine", "--quiet", external=True)
    session.run("coverage", "report", "--skip-covered", external=True)
