"""The command that registers a task definition for an image: task-definition."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from pathlib import Path

from images.cli.flags import add_stack, stack_of
from images.cli.parser import Add
from images.console import say
from images.matrix import Matrix
from images.task_definitions.definition import difference, normalised, render
from images.task_definitions.sidecars import CONDITIONS


def add_commands(add: Add, matrix: Matrix) -> None:
    """Add the command to the command line."""
    child = add("task-definition", _task_definition, "register a task definition for an image, if it differs")
    child.add_argument("image", metavar="IMAGE", help="image in a registry, as `push` prints it")
    add_stack(child, "take defaults from this CloudFormation stack (deploy/template.yaml)")
    child.add_argument("--dry-run", action="store_true", help="show it, and what differs from the registered one")
    child.add_argument("--json", action="store_true", help="print JSON")
    group = child.add_argument_group("the task")
    group.add_argument("--family", help="family of the task definition; default: the stack's, or airflow-worker")
    group.add_argument(
        "--cpu", type=int, default=512, metavar="UNITS", help="CPU units, 1024 per vCPU; default: %(default)s"
    )
    group.add_argument(
        "--memory", type=int, default=1024, metavar="MIB", help="memory of the task; default: %(default)s"
    )
    group.add_argument(
        "--ephemeral-storage", type=int, metavar="GIB", help="ephemeral storage, 21 to 200; default: Fargate's 20"
    )
    group.add_argument(
        "--platform", metavar="OS/ARCH",
        help=f"{', '.join(matrix.platforms)}; default: the image's, linux/amd64 for a multi-platform image",
    )  # fmt: skip
    group.add_argument(
        "--task-role", metavar="ARN", help="IAM role of the DAG code (taskRoleArn); default: the stack's"
    )
    group.add_argument(
        "--execution-role", metavar="ARN",
        help="IAM role that ECS uses to pull the image, read secrets and write logs (executionRoleArn); "
        "default: the stack's",
    )  # fmt: skip
    group.add_argument("--tag", action="append", default=[], metavar="K=V", help="tag of the revision; repeatable")
    group = child.add_argument_group("the container")
    group.add_argument("--container", help="name of the container; default: the stack's, or airflow")
    group.add_argument("--env", action="append", default=[], metavar="K=V", help="environment variable; repeatable")
    group.add_argument(
        "--secret", action="append", default=[], metavar="K=ARN",
        help="variable with the value of a secret (ARN or ARN:json-key::) or SSM parameter; repeatable",
    )  # fmt: skip
    group.add_argument(
        "--s3-uri", type=str.strip, default="", metavar="URI",
        help="S3_URI, from which DAGs are loaded; default: the stack's, in mode s3",
    )  # fmt: skip
    group.add_argument(
        "--logs-uri", default="", metavar="URI", help="remote logging (s3:// or cloudwatch://); default: the stack's"
    )
    group.add_argument(
        "--execution-api-url", default="", metavar="URL",
        help="Airflow 3: URL of the API server, http://HOST:8080/execution/",
    )  # fmt: skip
    group.add_argument(
        "--log-group", metavar="NAME", help="CloudWatch log group of the container's output; default: the stack's"
    )
    group.add_argument(
        "--stop-timeout", type=int, default=120, metavar="SECONDS",
        help="from SIGTERM to SIGKILL, 2 to 120; default: %(default)s",
    )  # fmt: skip
    group.add_argument(
        "--sidecar", action="append", default=[], type=Path, metavar="FILE",
        help="JSON file of container definitions to run beside it; repeatable",
    )  # fmt: skip
    group.add_argument(
        "--depends-on", action="append", default=[], metavar="NAME:CONDITION",
        help=f"wait for a sidecar: {', '.join(CONDITIONS)}; repeatable",
    )  # fmt: skip


def _task_definition(matrix: Matrix, parsed: argparse.Namespace) -> None:
    # Here: other commands do not need the AWS SDK.
    from images import aws
    from images.task_definitions import registration
    from images.task_definitions.request import DefinitionRequest

    request = DefinitionRequest(**{field.name: getattr(parsed, field.name) for field in fields(DefinitionRequest)})
    request.check(matrix.platforms)
    outputs = stack_of(request.stack, request.region) if request.stack else None
    client = aws.client("ecs", request.region or (outputs.region if outputs else None))
    definition = request.definition(outputs, str(client.meta.region_name))
    document = render(definition)
    registration.validate(client, document)
    registered = registration.newest(client, definition.family)
    changes = difference(
        registered.document if registered else None, normalised(document), registered.name if registered else "none"
    )
    arn = registered.arn if registered else ""
    if changes and not parsed.dry_run:
        arn = registration.register(client, document)
        say(f"registered {arn.rpartition('/')[2]}")
    elif changes:
        for line in changes:
            say(f"  {line}")
        say(f"would register a new revision of {definition.family}")
    elif registered:
        say(f"{registered.name} is the same: nothing to register")
    if parsed.json:
        found = {"taskDefinitionArn": arn or None, "changed": bool(changes)}
        print(json.dumps({**found, "taskDefinition": document}, indent=2))
    elif parsed.dry_run:
        print(json.dumps(document, indent=2))
    else:
        print(arn)
