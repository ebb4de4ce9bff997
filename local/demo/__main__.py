"""Command line: ``python -m local.demo up`` starts the demo and leaves it running, ``down`` removes it."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from local.airflow.deployment import copy_examples
from local.airflow.ecs_deployment import LATENCY, LOG_GROUP, EcsDeployment
from local.airflow.rest_api import RestApi, TaskInstance
from local.aws_services.stack import Stack
from local.demo import DAGS, EXAMPLES
from local.demo.image import Timings, add_version_options, build, choose
from local.errors import EngineError, LocalError, TaskFailedError
from local.machine import resources
from local.machine.aws_client import REGION
from local.machine.bases import Base, ensure_base, is_stand_in
from local.machine.client import engine
from local.machine.console import guarded, say

RUN = "demo"
_SHOWN = "demo_fan_out"
_LOOKED_AT = "total"
_LOOKED_FOR = "words in all"
_PORT = 8080
_RUN_TIMEOUT = 300.0


def up(airflow: str, python: str | None, port: int | None) -> int:
    """Start everything, run a DAG, print a task's log, and say where to look.

    A running demo is removed first. If this one fails or is interrupted, nothing is left of it.
    """
    timings = Timings()
    with timings.part("base image"):
        target = choose(airflow, python)
        if resources.remove_run(engine(), RUN):
            say("==> The demo that ran before is removed")
        chosen_port = free_port(port)  # said before minutes have passed
        ensure_base(target.airflow, target.python)
    with timings.part("image, by build.py"):
        build(target)
    with Stack(RUN) as stack, tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder:
        with timings.part("local AWS, and the image of the scheduler's side"):
            copy_examples(stack, target.image, EXAMPLES, Path(folder))  # they are read when Airflow is made
            deployment = EcsDeployment(stack, target.image, dags=[DAGS, Path(folder)], port=chosen_port)
        with timings.part("Airflow and its database"):
            deployment.start()
            deployment.aws.ecs.configure(**LATENCY)
        api = deployment.airflow.api
        with timings.part("DAGs are read"):
            dags = sorted([*(path.stem for path in DAGS.glob("demo_*.py")), *EXAMPLES])
            deployment.airflow.wait_until_ready(dags)
            for dag in dags:
                api.unpause(dag)
        with timings.part(f"a run of {_SHOWN}"):
            run_id = api.trigger(_SHOWN)
            follow_run(api, _SHOWN, run_id)
        print_log(api, _SHOWN, run_id)
        stack.keep()
    for title, seconds in timings.parts:
        print(f"  {seconds:6.1f} s  {title}")
    if is_stand_in(Base(target.airflow, target.python).image):
        print("The base image is a stand-in, not the official one: for local use only.")
    words = closing_words(
        airflow=deployment.airflow.airflow,
        image=target.image,
        address=deployment.airflow.address,
        user=deployment.airflow.user,
        password=deployment.airflow.password,
        ecs=deployment.aws.ecs.url,
        aws=stack.aws_endpoint,
    )
    print(words)
    return 0


def free_port(wanted: int | None) -> int | None:
    """Return the port for the UI: ``wanted``, else the default one, else None for any free one.

    Raises LocalError if ``wanted`` is taken.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", wanted or _PORT))
        except OSError as error:
            if wanted:
                raise LocalError(
                    f"Port {wanted} cannot be used ({error.strerror}): choose another, such as PORT=8090"
                ) from None
            return None
    return wanted or _PORT


def follow_run(api: RestApi, dag_id: str, run_id: str) -> None:
    """Print the progress of a run until its end. Raises TaskFailedError if it does not succeed."""
    say(f"==> {dag_id}, run {run_id}: each task in a container of its own")
    said = ""

    def show(instances: Sequence[TaskInstance]) -> None:
        nonlocal said
        now = summary(instances)
        if now != said:
            say(f"    {now}")
            said = now

    state = api.wait_for_run(dag_id, run_id, _RUN_TIMEOUT, on_look=show)
    if state != "success":
        raise TaskFailedError(f"The run ended as {state}; its tasks: {said}")
    say(f"    the run is a {state}")


def summary(instances: Sequence[TaskInstance]) -> str:
    """Return how many task instances are in which state, such as ``5 queued, 3 running``."""
    counts = Counter(instance.state or "waiting" for instance in instances)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def print_log(api: RestApi, dag_id: str, run_id: str) -> None:
    """Print the log of the run's last task as the UI has it. Raises ServiceError when it does not come."""
    text = api.wait_for_log(dag_id, run_id, _LOOKED_AT, _LOOKED_FOR)
    print(f"--- log of {dag_id}.{_LOOKED_AT}, by the UI's own API", *text.splitlines(), sep="\n  ", flush=True)
    print("---", flush=True)


def closing_words(*, airflow: str, image: str, address: str, user: str, password: str, ecs: str, aws: str) -> str:
    """Return the closing message: where to look and what to try.

    ``airflow``: its version. ``address``: of the UI. ``ecs``, ``aws``: the endpoints of ECS and of everything else.
    """
    return f"""
Airflow {airflow} runs, and each of its tasks runs in a container of {image}.

  {address}
  user {user}, password {password}

Trigger any DAG there, for example:
  demo_retries   each try has a container and a log of its own
  demo_sensors   one sensor waits in the triggerer, one comes back again and again: no container while they wait
  demo_sizes     a task with more cpu and memory than the task definition has
  demo_memory    a container without enough memory: the reason is in the task's event log
  demo_long      mark its task as failed, and see on_kill in its log

Look at it as on AWS:
  export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_DEFAULT_REGION={REGION}
  export AWS_ENDPOINT_URL={aws} AWS_ENDPOINT_URL_ECS={ecs}
  aws ecs list-tasks --cluster airflow --desired-status STOPPED
  aws logs filter-log-events --log-group-name {LOG_GROUP} --query 'events[].message' --output text
  docker ps --filter label={resources.RUN_LABEL}={RUN}

More to try, such as killing the scheduler or a Spot interruption: docs/local-ecs.md
make demo-down removes all of it. If make demo had to start the Docker engine, make engine-stop stops it."""


def down() -> None:
    """Remove the demo's containers, networks and volumes, and the images that were built for it.

    The worker image stays, as that of `make image` does.
    """
    count = resources.remove_run(engine(), RUN)
    say(f"Removed {count} containers, networks, volumes and images of the demo" if count else "No demo is running")
    say("The Docker engine keeps running. If make demo started it: make engine-stop")


def is_absent(error: EngineError) -> bool:
    """Return whether no engine runs. An engine that hangs or refuses this user may have a demo."""
    return any(reason in str(error) for reason in ("No such file or directory", "Connection refused"))


def port_number(text: str) -> int:
    """Return a port from its text, for argparse: 1 to 65535."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid port: use a number from 1 to 65535")
    return int(text)


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line, or else of the environment. Invalid ones end the program with 2."""
    parser = argparse.ArgumentParser(prog="python -m local.demo", description="An Airflow on the local ECS.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="up|down")
    starting = commands.add_parser("up", help="start the demo and leave it running; one that runs already is replaced")
    add_version_options(starting)
    port_help = f"of the UI on 127.0.0.1; default: PORT, or {_PORT}, or a free one"
    starting.add_argument("--port", type=port_number, default=os.environ.get("PORT") or None, help=port_help)
    commands.add_parser("down", help="remove it")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Start or remove the demo."""
    options = options_of(arguments)
    if options.command == "down":
        try:
            down()
        except EngineError as error:
            if not is_absent(error):
                raise
            say("No Docker engine is running. The next make demo removes what a stopped engine still holds")
        return 0
    return up(options.airflow, options.python, options.port)


if __name__ == "__main__":
    sys.exit(guarded(main))
