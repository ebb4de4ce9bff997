"""`make image`: build an image on a base image, and run real tasks in it."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.airflow.control_plane import Dags
from local.airflow.deployment import Deployment, copy_examples
from local.airflow.task_run import TaskResult, run_task
from local.aws_services.stack import Stack
from local.errors import BuildError
from local.machine.bases import Base, ensure_base, is_stand_in, usable_python
from local.machine.console import guarded, run_visibly, say
from local.machine.image_build import trust

_ROOT = Path(__file__).parents[2]
_PROJECT = _ROOT / "tests" / "dags" / "project"
_S3_URI = "s3://airflow-ecs-demo/dags"
_EXAMPLE = "example_bash_operator"
_TASKS = ((_EXAMPLE, "runme_0"), ("project_report", "load"))


@dataclass(frozen=True)
class Target:
    """An image as the build tool resolves it."""

    airflow: str
    python: str
    image: str


class Timings:
    """How long each part took."""

    def __init__(self) -> None:
        """Start with none."""
        self.parts: list[tuple[str, float]] = []
        self._start = time.monotonic()

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """Measure a block."""
        start = time.monotonic()
        yield
        self.parts.append((title, time.monotonic() - start))

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start


def _build_tool(*arguments: str) -> list[str]:
    """Return a command line of the build tool."""
    return [sys.executable, str(_ROOT / "build.py"), *arguments]


def _ask(*arguments: str) -> Any:
    """Return the JSON answer of the build tool; its own message when it refuses."""
    done = subprocess.run(_build_tool(*arguments), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError((done.stderr or done.stdout).strip())
    return json.loads(done.stdout)


def _explain(airflow: str, python: str | None) -> Target:
    """Return the image that the build tool resolves the two options to."""
    chosen = ["--python", python] if python else []
    (found,) = _ask("explain", "--json", "--dags", "s3", "--airflow", airflow, *chosen)
    return Target(found["airflow"], found["python"], found["tags"][0])


def choose(airflow: str, python: str | None) -> Target:
    """Return the image to build. Without ``python``, its base image is one that is available here."""
    target = _explain(airflow, python)
    if python:
        return target
    matrix = _ask("matrix", "--json")["include"]
    pythons = list(dict.fromkeys(row["python"] for row in matrix if row["airflow"] == target.airflow))
    usable = usable_python(target.airflow, target.python, pythons)
    return target if usable == target.python else _explain(target.airflow, usable)


def build(target: Target) -> None:
    """Have the build tool build the image, with the company's certificates where there are any."""
    flags = ["--airflow", target.airflow, "--python", target.python, "--dags", "s3", *trust("--ca-bundle")]
    run_visibly(_build_tool(*flags), error=BuildError, failure="python build.py could not build the image", cwd=_ROOT)


def upload_dags(stack: Stack, image: str) -> int:
    """Put a project-like DAG folder and one of Airflow's own examples into S3; return the number of files."""
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder:
        copy_examples(stack, image, [_EXAMPLE], Path(folder))
        return stack.upload_folder(_PROJECT, _S3_URI) + stack.upload_folder(Path(folder), _S3_URI)


def run_tasks(stack: Stack, target: Target, timings: Timings) -> None:
    """Run the tasks in containers of the image, and print their logs."""
    with timings.part("DAGs to S3"):
        count = upload_dags(stack, target.image)
    say(f"==> {count} files are in {_S3_URI}: tests/dags/project and Airflow's own {_EXAMPLE}")
    dags = Dags(s3_uri=_S3_URI)
    with timings.part("database" if target.airflow.startswith("2.") else "database and API server"):
        deployment = Deployment(stack, target.image)
    with timings.part("DAG runs, as a scheduler makes them"):
        prepared = deployment.prepare(_TASKS, dags=dags)
    for task in prepared:
        title = f"{task.dag_id}.{task.task_id}"
        say(f"==> Running {title} in a container of {target.image}")
        with timings.part(f"task {title}"):
            result = run_task(deployment, task, dags=dags)
        result.require_success()
        _show(title, result)


def _show(title: str, result: TaskResult) -> None:
    """Print a task's log."""
    print(f"--- log of {title}", *result.readable_log.splitlines(), sep="\n  ", flush=True)
    print(f"--- {title}: {result.state}, {result.seconds:.1f} s", flush=True)


def summarise(target: Target, timings: Timings) -> None:
    """Print what was done, how long it took, and what to try next."""
    print(f"\n{target.image}: Airflow {target.airflow} on Python {target.python}, {len(_TASKS)} tasks succeeded")
    for title, seconds in timings.parts:
        print(f"  {seconds:6.1f} s  {title}")
    print(f"  {timings.total:6.1f} s  in all")
    base = Base(target.airflow, target.python)
    if is_stand_in(base.image):
        print(f"The base image is a stand-in, not the official {base.image}: for local use only.")
    print(f"Next: docker run --rm {target.image} version\n      python build.py --help")


def add_version_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the image, whose defaults are variables of the environment."""
    parser.add_argument(
        "--airflow",
        metavar="VERSION",
        default=os.environ.get("AIRFLOW") or "2",
        help="a version or the beginning of one, such as 3 or 2.10.5; default: AIRFLOW, or 2",
    )
    parser.add_argument(
        "--python",
        metavar="VERSION",
        default=os.environ.get("PYTHON") or None,
        help="such as 3.12; default: PYTHON, or the newest one available here",
    )


def main() -> int:
    """Build an image and run tasks in it."""
    parser = argparse.ArgumentParser(prog="python -m local.demo.image", description=__doc__)
    add_version_options(parser)
    options = parser.parse_args()
    timings = Timings()
    with timings.part("base image"):
        target = choose(options.airflow, options.python)
        ensure_base(target.airflow, target.python)
    with timings.part("image, by build.py"):
        build(target)
    with Stack() as stack:
        run_tasks(stack, target, timings)
    summarise(target, timings)
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
