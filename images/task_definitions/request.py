"""What the flags of ``task-definition`` ask for, and the task definition that follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_ecs_executor.aws.stack import StackOutputs

from images import check, inputs
from images.console import say
from images.errors import RequestError
from images.task_definitions import fargate, sidecars
from images.task_definitions import image as task_image
from images.task_definitions.definition import Definition, Logs
from images.task_definitions.settings import (
    RequestedSettings,
    check_execution_api_url,
    check_secret,
    check_variable,
    settings,
)

FAMILY, CONTAINER = "airflow-worker", "airflow"
"""Names where neither a flag nor a stack gives any."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_ROLE = re.compile(r"arn:[a-z-]+:iam::[0-9]{12}:role/\S+")


@dataclass(frozen=True)
class DefinitionRequest:
    """The flags, by their names; None or an empty string where a flag was not given."""

    image: str
    stack: str | None
    region: str
    family: str | None
    cpu: int
    memory: int
    ephemeral_storage: int | None
    platform: str | None
    task_role: str | None
    execution_role: str | None
    tag: Sequence[str]
    container: str | None
    env: Sequence[str]
    secret: Sequence[str]
    s3_uri: str
    logs_uri: str
    execution_api_url: str
    log_group: str | None
    stop_timeout: int
    sidecar: Sequence[Path]
    depends_on: Sequence[str]

    def check(self, platforms: Sequence[str]) -> None:
        """Check what can be checked without AWS; ``platforms`` are those of the matrix. Raises RequestError."""
        for name in ("image", "stack", "family", "container", "task_role", "execution_role", "log_group"):
            flag = "IMAGE" if name == "image" else f"--{name.replace('_', '-')}"
            inputs.check_given(getattr(self, name), flag)
        inputs.check_region(self.region)
        fargate.check_size(self.cpu, self.memory)
        fargate.check_stop_timeout(self.stop_timeout)
        fargate.check_storage(self.ephemeral_storage)
        if self.platform:
            inputs.check_platform(self.platform, platforms)
        for flag, value in (("--family", self.family), ("--container", self.container)):
            if value is not None and not _NAME.fullmatch(value):
                raise RequestError(
                    f"{flag} {value!r} is not a valid name.", "Letters, digits, '-' and '_', at most 255."
                )
        for flag, value in (("--task-role", self.task_role), ("--execution-role", self.execution_role)):
            if value is not None and not _ROLE.fullmatch(value):
                raise RequestError(f"{flag} requires the ARN of a role.", "arn:aws:iam::123456789012:role/NAME")
        inputs.check_s3_uri(self.s3_uri, "--s3-uri")
        if not self.logs_uri.startswith("cloudwatch://"):
            inputs.check_s3_uri(self.logs_uri, "--logs-uri")
        if self.execution_api_url:
            check_execution_api_url(self.execution_api_url)

    def definition(self, outputs: StackOutputs | None, region: str) -> Definition:
        """Return the task definition for a region, with notes on stderr."""
        requested = self._settings(outputs)
        container = self.container or (outputs.container_name if outputs else CONTAINER)
        beside = sidecars.read_sidecars(self.sidecar)
        sidecars.check_names(container, beside)
        depends_on = sidecars.depends_on(self.depends_on, beside)
        execution_role = self.execution_role or (outputs.execution_role_arn if outputs else "")
        task_role = self.task_role or (outputs.task_role_arn if outputs else "")
        log_group = self.log_group or (outputs.log_group_name if outputs else "")
        if not execution_role:
            raise RequestError("ECS requires an execution role.", "Give --execution-role ARN, or --stack NAME.")
        if not log_group:
            raise RequestError(
                "The container's output requires a log group.", "Give --log-group NAME, or --stack NAME."
            )
        image = task_image.find(self.image, check.platform_of(self.platform) if self.platform else None)
        found = settings(image.facts, requested)
        say(f"{image.pinned}: Airflow {image.facts.airflow}, {image.architecture}")
        notes = list(found.notes)
        if outputs:
            self._check_major_version(image.facts.airflow, outputs)
            if execution_role == outputs.execution_role_arn:
                notes += _missing_permissions(requested.secrets, log_group, outputs)
        if not task_role:
            notes.append("without --task-role DAGs have no AWS credentials: neither S3 nor remote logging works")
        for item in beside:
            if item.get("essential"):
                notes.append(f"the sidecar {item['name']} is essential: when it ends, ECS stops the task")
        for note in notes:
            say(f"note: {note}")
        return Definition(
            family=self.family or (outputs.task_definition_family if outputs else FAMILY),
            container=container,
            image=image.pinned,
            execution_role=execution_role,
            logs=Logs(log_group, region, create=not outputs or log_group != outputs.log_group_name),
            task_role=task_role,
            cpu=self.cpu,
            memory=self.memory,
            ephemeral_storage=self.ephemeral_storage,
            architecture=image.architecture,
            environment=found.environment,
            secrets=found.secrets,
            stop_timeout=self.stop_timeout,
            sidecars=beside,
            depends_on=depends_on,
            tags=_pairs(self.tag, "--tag"),
        )

    def _settings(self, outputs: StackOutputs | None) -> RequestedSettings:
        variables, secrets = _pairs(self.env, "--env"), _pairs(self.secret, "--secret")
        for name, value in variables.items():
            check_variable(name, value)
        for name, arn in secrets.items():
            check_secret(name, arn)
        return RequestedSettings(
            environment=variables,
            secrets=secrets,
            s3_uri=self.s3_uri,
            logs_uri=self.logs_uri or (outputs.logs_uri if outputs else ""),
            execution_api_url=self.execution_api_url,
            stack_s3_uri=outputs.dags_uri if outputs else "",
            stack_database=outputs.database_url_secret_arn if outputs else "",
            stack_fernet_key=outputs.fernet_key_secret_arn if outputs else "",
        )

    def _check_major_version(self, airflow: str, outputs: StackOutputs) -> None:
        major = airflow.partition(".")[0]
        if major != outputs.airflow_major_version:
            raise RequestError(
                f"The image has Airflow {airflow}, and the stack is for Airflow {outputs.airflow_major_version}.",
                "Its roles and security groups differ. Deploy it with the same parameters and --parameter-overrides "
                f"AirflowMajorVersion={major}, or name another stack than {self.stack}.",
            )


def _missing_permissions(secrets: Mapping[str, str], log_group: str, outputs: StackOutputs) -> Iterator[str]:
    """Say what the policies of the template do not allow the stack's execution role; it may have further policies."""
    role = outputs.execution_role_arn.rpartition("/")[2]
    by = f"the role {role} needs it by a policy of ExecutionPolicyArns (deploy/template.yaml)"
    for name, arn in secrets.items():
        if arn not in (outputs.database_url_secret_arn, outputs.fernet_key_secret_arn):
            action = "ssm:GetParameters" if ":ssm:" in arn else "secretsmanager:GetSecretValue"
            yield f"{name} requires {action} on {arn}: {by}"
    if log_group != outputs.log_group_name:
        actions = "logs:CreateLogGroup, logs:CreateLogStream and logs:PutLogEvents"
        yield f"the log group {log_group} requires {actions}: {by}"


def _pairs(texts: Sequence[str], flag: str) -> dict[str, str]:
    """Return the ``NAME=VALUE`` pairs of a repeatable flag; no name may come twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, value = inputs.pair(text, flag)
        if name in found:
            raise RequestError(f"{flag} {name} is given twice.")
        found[name] = value
    return found
