"""The command that registers a task definition for an image: task-definition."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from images import inputs
from images.cli.flags import add_stack, stack_of
from images.cli.parser import Add
from images.console import say
from images.errors import RequestError
from images.matrix import Matrix
from images.task_definitions import fargate, sidecars
from images.task_definitions.definition import Definition, Logs, difference, normalised, render

if TYPE_CHECKING:
    from airflow_ecs_executor.aws.stack import StackOutputs

FAMILY, CONTAINER = "airflow-worker", "airflow"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_ROLE = re.compile(r"arn:[a-z-]+:iam::[0-9]{12}:role/\S+")


def add_commands(add: Add, matrix: Matrix) -> None:
    """Add the command to the command line."""
    child = add("task-definition", _task_definition, "register a task definition for an image, if it is a new one")
    child.add_argument("image", metavar="IMAGE", help="an image in a registry, as `push` prints it")
    add_stack(child, "the defaults")
    child.add_argument("--dry-run", action="store_true", help="show it, and what differs from the registered one")
    child.add_argument("--json", action="store_true", help="the answer as JSON")
    group = child.add_argument_group("the task")
    group.add_argument("--family", help=f"default: the stack's, or {FAMILY}")
    group.add_argument("--cpu", type=int, default=512, metavar="UNITS", help="1024 a vCPU; default: %(default)s")
    group.add_argument("--memory", type=int, default=1024, metavar="MIB", help="default: %(default)s")
    group.add_argument("--ephemeral-storage", type=int, metavar="GIB", help="21 to 200; default: Fargate's 20")
    group.add_argument(
        "--platform", metavar="OS/ARCH",
        help=f"{', '.join(matrix.platforms)}; default: the image's, linux/amd64 of one for several",
    )  # fmt: skip
    group.add_argument("--task-role", metavar="ARN", help="by which DAGs act; default: the stack's")
    group.add_argument("--execution-role", metavar="ARN", help="by which ECS starts containers; default: the stack's")
    group.add_argument("--tag", action="append", default=[], metavar="K=V", help="of the task definition; repeatable")
    group = child.add_argument_group("the container")
    group.add_argument("--container", help=f"its name; default: the stack's, or {CONTAINER}")
    group.add_argument("--env", action="append", default=[], metavar="K=V", help="environment variable; repeatable")
    group.add_argument(
        "--secret", action="append", default=[], metavar="K=ARN",
        help="variable with the value of a secret (ARN or ARN:json-key::) or SSM parameter; repeatable",
    )  # fmt: skip
    group.add_argument(
        "--s3-uri", type=str.strip, default="", metavar="URI", help="the DAGs; default: the stack's, in mode s3"
    )
    group.add_argument("--logs-uri", default="", metavar="URI", help="remote logging; default: the stack's")
    group.add_argument("--execution-api-url", default="", metavar="URL", help="Airflow 3: http://HOST:8080/execution/")
    group.add_argument("--log-group", metavar="NAME", help="of CloudWatch, for what it prints; default: the stack's")
    group.add_argument(
        "--stop-timeout", type=int, default=120, metavar="SECONDS",
        help="from SIGTERM to SIGKILL, 2 to 120; default: %(default)s",
    )  # fmt: skip
    group.add_argument(
        "--sidecar", action="append", default=[], type=Path, metavar="FILE",
        help="JSON with container definitions to run beside it; repeatable",
    )  # fmt: skip
    group.add_argument(
        "--depends-on", action="append", default=[], metavar="NAME:CONDITION",
        help=f"wait for a sidecar: {', '.join(sidecars.CONDITIONS)}; repeatable",
    )  # fmt: skip


def _task_definition(matrix: Matrix, parsed: argparse.Namespace) -> None:
    # Here: other commands need neither the AWS SDK nor the executor's modules.
    from images import aws
    from images.task_definitions import registration

    _check(matrix, parsed)
    outputs = stack_of(parsed) if parsed.stack else None
    client = aws.client("ecs", parsed.region or (outputs.region if outputs else None))
    definition = _definition(parsed, outputs, str(client.meta.region_name))
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


def _check(matrix: Matrix, parsed: argparse.Namespace) -> None:
    """What can be checked without AWS."""
    for name in ("image", "stack", "family", "container", "task_role", "execution_role", "log_group"):
        flag = "IMAGE" if name == "image" else f"--{name.replace('_', '-')}"
        inputs.check_given(getattr(parsed, name), flag)
    inputs.check_region(parsed.region or "")
    fargate.check_size(parsed.cpu, parsed.memory)
    fargate.check_stop_timeout(parsed.stop_timeout)
    if parsed.ephemeral_storage is not None:
        fargate.check_storage(parsed.ephemeral_storage)
    if parsed.platform and parsed.platform not in matrix.platforms:
        raise RequestError(f"Unknown platform {parsed.platform!r}.", f"--platform takes: {', '.join(matrix.platforms)}")
    for flag, value in (("--family", parsed.family), ("--container", parsed.container)):
        if value is not None and not _NAME.fullmatch(value):
            raise RequestError(f"{flag} {value!r} is not a name.", "Letters, digits, '-' and '_', at most 255.")
    for flag, value in (("--task-role", parsed.task_role), ("--execution-role", parsed.execution_role)):
        if value is not None and not _ROLE.fullmatch(value):
            raise RequestError(f"{flag} takes the ARN of a role.", "arn:aws:iam::123456789012:role/NAME")
    inputs.check_s3_uri(parsed.s3_uri, "--s3-uri")
    if parsed.logs_uri and not parsed.logs_uri.startswith("cloudwatch://"):
        inputs.check_s3_uri(parsed.logs_uri, "--logs-uri")


def _definition(parsed: argparse.Namespace, outputs: StackOutputs | None, region: str) -> Definition:
    """What the flags, the stack and the image stand for."""
    from images import check
    from images.task_definitions import image as task_image
    from images.task_definitions.settings import Wishes, check_execution_api_url, check_secret, check_variable, settings

    variables, secrets = _pairs(parsed.env, "--env"), _pairs(parsed.secret, "--secret")
    for name, value in variables.items():
        check_variable(name, value)
    for name, arn in secrets.items():
        check_secret(name, arn)
    if parsed.execution_api_url:
        check_execution_api_url(parsed.execution_api_url)
    container = parsed.container or (outputs.container_name if outputs else CONTAINER)
    beside = sidecars.read_sidecars(parsed.sidecar)
    sidecars.check_names(container, beside)
    waits = sidecars.depends_on(parsed.depends_on, beside)
    execution_role = parsed.execution_role or (outputs.execution_role_arn if outputs else "")
    log_group = parsed.log_group or (outputs.log_group_name if outputs else "")
    if not execution_role:
        raise RequestError("ECS starts containers by an execution role.", "Give --execution-role ARN, or --stack NAME.")
    if not log_group:
        raise RequestError("Nothing says where the container's output goes.", "Give --log-group NAME, or --stack NAME.")
    image = task_image.find(parsed.image, check.platform_of(parsed.platform) if parsed.platform else None)
    wishes = Wishes(
        environment=variables,
        secrets=secrets,
        s3_uri=parsed.s3_uri,
        logs_uri=parsed.logs_uri or (outputs.logs_uri if outputs else ""),
        execution_api_url=parsed.execution_api_url,
        stack_s3_uri=outputs.dags_uri if outputs else "",
        stack_database=outputs.database_url_secret_arn if outputs else "",
        stack_fernet_key=outputs.fernet_key_secret_arn if outputs else "",
    )
    found = settings(image.facts, wishes)
    if outputs:
        _check_major_version(parsed, image.facts.airflow, outputs)
    task_role = parsed.task_role or (outputs.task_role_arn if outputs else "")
    say(f"{image.pinned}: Airflow {image.facts.airflow}, {image.architecture}")
    for note in found.notes:
        say(note)
    if outputs and execution_role == outputs.execution_role_arn:
        for note in _lacking(secrets, log_group, outputs):
            say(note)
    if not task_role:
        say("note: without --task-role DAGs have no AWS credentials: neither S3 nor remote logging works")
    for item in beside:
        if item.get("essential"):
            say(f"note: the sidecar {item['name']} is essential: when it ends, ECS stops the task")
    return Definition(
        family=parsed.family or (outputs.task_definition_family if outputs else FAMILY),
        container=container,
        image=image.pinned,
        execution_role=execution_role,
        logs=Logs(log_group, region, create=not outputs or log_group != outputs.log_group_name),
        task_role=task_role,
        cpu=parsed.cpu,
        memory=parsed.memory,
        ephemeral_storage=parsed.ephemeral_storage,
        architecture=image.architecture,
        environment=found.environment,
        secrets=found.secrets,
        stop_timeout=parsed.stop_timeout,
        sidecars=beside,
        depends_on=waits,
        tags=_pairs(parsed.tag, "--tag"),
    )


def _check_major_version(parsed: argparse.Namespace, airflow: str, outputs: StackOutputs) -> None:
    major = airflow.partition(".")[0]
    if major != outputs.airflow_major_version:
        raise RequestError(
            f"The image has Airflow {airflow}, and the stack is made for Airflow {outputs.airflow_major_version}.",
            "Its roles and security groups differ. Deploy it with the same parameters and --parameter-overrides "
            f"AirflowMajorVersion={major}, or name another stack than {parsed.stack}.",
        )


def _lacking(secrets: Mapping[str, str], log_group: str, outputs: StackOutputs) -> Iterator[str]:
    """What the stack's execution role does not permit by itself, for people: it may have further policies."""
    role = outputs.execution_role_arn.rpartition("/")[2]
    by = f"the role {role} needs it by a policy of ExecutionPolicyArns (deploy/template.yaml)"
    for name, arn in secrets.items():
        if arn not in (outputs.database_url_secret_arn, outputs.fernet_key_secret_arn):
            action = "ssm:GetParameters" if ":ssm:" in arn else "secretsmanager:GetSecretValue"
            yield f"note: {name} takes {action} on {arn}: {by}"
    if log_group != outputs.log_group_name:
        actions = "logs:CreateLogGroup, logs:CreateLogStream and logs:PutLogEvents"
        yield f"note: the log group {log_group} takes {actions}: {by}"


def _pairs(texts: Sequence[str], flag: str) -> dict[str, Any]:
    """``NAME=VALUE`` of a repeatable flag; no name twice."""
    found: dict[str, Any] = {}
    for text in texts:
        name, value = inputs.pair(text, flag)
        if name in found:
            raise RequestError(f"{flag} {name} is given twice.")
        found[name] = value
    return found
