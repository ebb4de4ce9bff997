"""Command line: ``python -m local.demo up`` starts the demo and leaves it running, ``down`` removes it."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from local import resources, scheduler_image
from local.bases import Base, ensure_base, is_stand_in
from local.client import engine
from local.console import guarded, say
from local.demo import DAGS, EXAMPLES
from local.deployment import copy_examples
from local.ecs_deployment import CONTAINER, LOG_GROUP, EcsDeployment
from local.errors import LocalError, TaskFailedError
from local.image_demo import Timings, build, choose
from local.rest_api import RestApi, TaskInstance
from local.stack import Stack

RUN = "demo"
_SHOWN = "demo_fan_out"
_LOOKED_AT = "total"
_PORT = 8080
_LATENCY = {"placement_seconds": 1.0, "pull_seconds": 1.0}
_PAUSE = 0.5
_RUN_TIMEOUT = 300.0


def up(airflow: str, python: str | None, port: int | None) -> int:
    """Start everything, run a DAG, show its end and a task's log, and say where to look."""
    timings = Timings()
    with timings.part("base image"):
        target = choose(airflow, python)
        ensure_base(target.airflow, target.python)
    with timings.part("image, by build.py"):
        build(target)
    down(quietly=True)
    with Stack(RUN) as stack, tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder:
        with timings.part("Airflow, its database and the local AWS"):
            copy_examples(stack, target.image, EXAMPLES, Path(folder))
            deployment = EcsDeployment(stack, target.image, dags=[DAGS, Path(folder)], port=free_port(port))
            deployment.start()
            deployment.aws.ecs.configure(**_LATENCY)
        api = deployment.airflow.api
        with timings.part("DAGs are read"):
            dags = sorted([*(path.stem for path in DAGS.glob("demo_*.py")), *EXAMPLES])
            api.wait_for_dags(dags)
            for dag in dags:
                api.unpause(dag)
        with timings.part(f"a run of {_SHOWN}"):
            run_id = api.trigger(_SHOWN)
            follow_run(api, _SHOWN, run_id)
        print_log(api, _SHOWN, run_id, _LOOKED_AT)
        stack.keep()
    for title, seconds in timings.parts:
        print(f"  {seconds:6.1f} s  {title}")
    if is_stand_in(Base(target.airflow, target.python).image):
        print("The base image is a stand-in, not the official one: for local use only.")
    print(closing_words(deployment, target.image))
    return 0


def free_port(wanted: int | None) -> int | None:
    """The port for the UI: the one asked for; else the usual one, or (None) any, if that is taken."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", wanted or _PORT))
        except OSError as error:
            if wanted:
                raise LocalError(
                    f"Port {wanted} is taken ({error.strerror}): choose another, such as PORT=8090"
                ) from None
            return None
    return wanted or _PORT


def follow_run(api: RestApi, dag_id: str, run_id: str) -> None:
    """Say how a run goes on until it has ended. Raises TaskFailedError when it is no success."""
    say(f"==> {dag_id}, run {run_id}: each task in a container of its own")
    before = ""
    deadline = time.monotonic() + _RUN_TIMEOUT
    while True:
        state = api.run_state(dag_id, run_id)
        now = summary(api.task_instances(dag_id, run_id))
        if now != before:
            say(f"    {now}")
            before = now
        if state in ("success", "failed"):
            break
        if time.monotonic() > deadline:
            raise TaskFailedError(f"The run did not end within {_RUN_TIMEOUT:.0f} s; its tasks: {now}")
        time.sleep(_PAUSE)
    if state != "success":
        raise TaskFailedError(f"The run ended as {state}; its tasks: {now}")
    say(f"    the run is a {state}")


def summary(instances: Sequence[TaskInstance]) -> str:
    """How many task instances are in which state, such as ``3 running, 5 queued``."""
    counts = Counter(instance.state or "waiting" for instance in instances)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def print_log(api: RestApi, dag_id: str, run_id: str, task_id: str) -> None:
    """Print a task's log, as the UI has it."""
    text = api.log(dag_id, run_id, task_id, 1)
    print(f"--- log of {dag_id}.{task_id}, by the UI's own API", *text.splitlines(), sep="\n  ", flush=True)
    print("---", flush=True)


def closing_words(deployment: EcsDeployment, image: str) -> str:
    """Where to look and what to try."""
    airflow = deployment.airflow
    return f"""
Airflow {airflow.airflow} runs, and its tasks run in containers of {image}.

  {airflow.address}
  user {airflow.user}, password {airflow.password}

Trigger any DAG there, for example:
  demo_retries   each try has a container and a log of its own
  demo_sensors   one sensor waits in the triggerer, one comes back again and again: no container while they wait
  demo_sizes     a task with more cpu and memory than the task definition has
  demo_long      mark its task as failed, and see on_kill in its log

The local ECS is {deployment.aws.ecs.url} (any credentials, AWS_DEFAULT_REGION=us-east-1); everything else of AWS is
{deployment.stack.aws_endpoint}:
  aws ecs list-tasks --cluster airflow --endpoint-url {deployment.aws.ecs.url}
  aws logs tail {LOG_GROUP} --endpoint-url {deployment.stack.aws_endpoint}
  docker ps --filter label={resources.RUN_LABEL}={RUN}    # a running task has a container named …-{CONTAINER}

make demo-down removes all of it."""


def down(*, quietly: bool = False) -> int:
    """Remove the demo: its containers, network and volumes, and the images that were made for it alone."""
    client = engine()
    count = resources.remove_run(client, RUN) + scheduler_image.remove()
    if count and quietly:
        say("==> The demo that ran before is removed")
    elif not quietly:
        say(f"Removed {count} containers, networks, volumes and images of the demo" if count else "No demo runs")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Start or remove the demo."""
    parser = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("up", help="start the demo and leave it running")
    starting.add_argument("--airflow", default=os.environ.get("AIRFLOW") or "2", help="a version or a prefix of one")
    starting.add_argument("--python", default=os.environ.get("PYTHON") or None, help="such as 3.12")
    starting.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 0) or None,
                          help=f"of the UI on 127.0.0.1 (default: {_PORT}, or a free one)")  # fmt: skip
    commands.add_parser("down", help="remove it")
    options = parser.parse_args(arguments)
    if options.command == "down":
        return down()
    return up(options.airflow, options.python, options.port)


if __name__ == "__main__":
    sys.exit(guarded(main))
