"""Take the screenshots of the docs: ``python -m tools.screenshots [--airflow VERSION]``.

For each Airflow a deployment of its own is started, some of the demo's DAGs run in it, and a browser takes the pictures
of `pictures`. The worker images are those of `make image`, built where they are not there yet.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from docker.errors import ImageNotFound

from local.airflow.ecs_deployment import EcsDeployment
from local.aws_services.stack import Stack
from local.demo import DAGS
from local.demo.image import Target, build, choose
from local.errors import LocalError, TaskFailedError
from local.machine.bases import ensure_base
from local.machine.client import engine
from local.machine.console import guarded, run, say, step
from tools.screenshots.pictures import AWAITED, DAG_IDS, pictures

_ROOT = Path(__file__).parents[2]
_FOLDER = _ROOT / "docs" / "images"
_AIRFLOWS = ("2", "3")
_LOCK = _ROOT / "requirements" / "screenshots.txt"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_BROWSER_TIMEOUT = 300.0  # seconds for all pictures of one Airflow


def chromium() -> str:
    """The path of a Chromium, installed first on Debian as root. Raises LocalError where there is none."""
    for _ in range(2):
        for name in _BROWSERS:
            found = shutil.which(name)
            if found:
                return found
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            break
        with step("Chromium, by apt-get"):
            for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"]):
                run(["apt-get", "-qq", *command], error=LocalError, failure=f"apt-get {command[0]} failed")
    raise LocalError(f"No browser: install Chromium, so that {' or '.join(_BROWSERS)} is on PATH")


def playwright_python() -> Path:
    """The interpreter with Playwright, in an environment of its own, which is made when it is not there or is old."""
    tools = Path(sys.executable).parent
    folder = tools.parent / "screenshots"
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists() or ready.stat().st_mtime < _LOCK.stat().st_mtime:
        with step(f"Playwright, by {_LOCK.relative_to(_ROOT)}"):
            failure = "Playwright could not be installed"
            uv = str(tools / "uv")
            new = ["venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
            sync = ["pip", "sync", "--quiet", "--require-hashes", "--python", str(folder), str(_LOCK)]
            for arguments in (new, sync):
                run([uv, *arguments], error=LocalError, failure=failure)
            ready.touch()
    return python


def worker_image(airflow: str) -> Target:
    """The worker image of an Airflow, built when it is not there."""
    target = choose(airflow, None)
    try:
        engine().images.get(target.image)
    except ImageNotFound:
        ensure_base(target.airflow, target.python)
        build(target)
    return target


def take(airflow: str, python: Path, browser: str) -> None:
    """Start an Airflow, run DAGs, and take its pictures. Raises LocalError when one cannot be taken."""
    target = worker_image(airflow)
    with Stack() as stack:
        deployment = EcsDeployment(stack, target.image, dags=[DAGS])
        deployment.start()
        take_pictures(deployment, run_dags(deployment), python, browser)


def run_dags(deployment: EcsDeployment) -> dict[str, str]:
    """Run the DAGs of the pictures, and return their runs' ids. Raises TaskFailedError when one is no success."""
    api = deployment.airflow.api
    deployment.airflow.wait_until_ready(DAG_IDS)
    for path in DAGS.glob("demo_*.py"):
        api.unpause(path.stem)
    with step(f"Runs of {', '.join(DAG_IDS)}"):
        runs = {dag_id: api.trigger(dag_id, run_id=f"run_of_{dag_id}") for dag_id in DAG_IDS}
        for dag_id, run_id in runs.items():
            state = api.wait_for_run(dag_id, run_id)
            if state != "success":
                raise TaskFailedError(f"The run of {dag_id} ended as {state}")
        for dag_id, task_id, try_number, words in AWAITED:
            api.wait_for_log(dag_id, runs[dag_id], task_id, words, try_number=try_number)
    return runs


def take_pictures(deployment: EcsDeployment, runs: dict[str, str], python: Path, browser: str) -> None:
    """Have the browser take the pictures, into the docs' folder."""
    _FOLDER.mkdir(exist_ok=True)
    airflow = deployment.airflow
    wanted = pictures(airflow.airflow, runs)
    command = [str(python), str(Path(__file__).with_name("browser.py")), airflow.address, airflow.user, browser]
    said = {"password": airflow.password, "pictures": [asdict(picture) for picture in wanted]}
    with step(f"{len(wanted)} pictures of Airflow {airflow.airflow}"):
        try:
            done = subprocess.run(
                [*command, str(_FOLDER)], input=json.dumps(said), text=True, timeout=_BROWSER_TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            raise LocalError(f"The browser did not take its pictures within {_BROWSER_TIMEOUT:.0f} s") from None
    if done.returncode != 0:
        raise LocalError("A picture could not be taken: the browser's message is above")


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the pictures of the Airflows asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.screenshots", description="Take the screenshots of the docs."
    )
    parser.add_argument("--airflow", action="append", metavar="VERSION",
                        help="a version or the beginning of one, may be repeated; default: 2 and 3")  # fmt: skip
    options = parser.parse_args(arguments)
    browser, python = chromium(), playwright_python()
    for airflow in options.airflow or _AIRFLOWS:
        take(airflow, python, browser)
    say(f"The pictures are in {_FOLDER.relative_to(_ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
