"""The executor's options as data: section, name, type, allowed values and description. Pure.

The Amazon provider declares the options of ``[aws_ecs_executor]`` to Airflow; this executor reads and checks them too.
Those of ``[airflow_ecs_executor]`` belong to this executor.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from airflow_ecs_executor.aws import names

SHARED_SECTION = "aws_ecs_executor"
OWN_SECTION = "airflow_ecs_executor"

STRING = "string"
INTEGER = "integer"
FLOAT = "float"
BOOLEAN = "boolean"

STRICT, WARN, OFF = "strict", "warn", "off"
TOO_LONG, ALWAYS = "too_long", "always"


@dataclass(frozen=True)
class Option:
    """An option: where it is set, its type, what it allows, and what it means.

    ``default`` and ``example`` are strings as in airflow.cfg. The default is the example of an option without one. An
    option without a default may be omitted unless it is ``required``. A number is at least ``minimum`` (greater than
    it, with ``above_minimum``) and at most ``maximum``. A string is one of ``choices``, or matches ``pattern``, which
    ``allowed`` describes.
    """

    section: str
    name: str
    type: str
    description: str
    default: str | None = None
    example: str | None = None
    required: bool = False
    sensitive: bool = False
    minimum: float | None = None
    above_minimum: bool = False
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    allowed: str = ""
    version_added: str = "0.1.0"

    def variable(self, team: str | None = None) -> str:
        """Return the environment variable that sets it, for all or for one team of Airflow's multi-team mode."""
        return variable_of(self.section, self.name, team)

    def __str__(self) -> str:
        return f"[{self.section}] {self.name}"


def variable_of(section: str, name: str, team: str | None = None) -> str:
    """Return the environment variable of an option of Airflow."""
    of_team = f"{team.upper()}___" if team else ""
    return f"AIRFLOW__{of_team}{section.upper()}__{name.upper()}"


OPTIONS: list[Option] = []
"""All options, in the order of their declaration below."""


def _shared(name: str, type: str, description: str, **more: object) -> Option:
    OPTIONS.append(Option(SHARED_SECTION, name, type, description, **more))  # type: ignore[arg-type]
    return OPTIONS[-1]


def _own(name: str, type: str, description: str, **more: object) -> Option:
    OPTIONS.append(Option(OWN_SECTION, name, type, description, **more))  # type: ignore[arg-type]
    return OPTIONS[-1]


_NAME = r"[A-Za-z0-9_-]{1,255}"
_NAME_ALLOWED = "up to 255 letters, digits, hyphens and underscores"

CLUSTER = _shared(
    "cluster",
    STRING,
    "Name or ARN of the ECS cluster that runs the tasks.",
    example="airflow",
    required=True,
    pattern=rf"{_NAME}|arn:[^:\s]+:ecs:[^:\s]+:[0-9]{{12}}:cluster/{_NAME}",
    allowed=f"a name ({_NAME_ALLOWED}) or an ARN",
)
CONTAINER_NAME = _shared(
    "container_name",
    STRING,
    "Name of the container, in the task definition, that runs the Airflow task.",
    example="airflow",
    required=True,
    pattern=_NAME,
    allowed=_NAME_ALLOWED,
)
REGION_NAME = _shared(
    "region_name",
    STRING,
    "AWS region of the cluster. By default, the region of the connection or of boto3's configuration.",
    example="eu-west-1",
    pattern=names.REGION,
    allowed="the name of a region, such as eu-west-1",
)
ASSIGN_PUBLIC_IP = _shared(
    "assign_public_ip",
    BOOLEAN,
    "Whether the network interface of the ECS task gets a public IP address. Fargate only; requires subnets.",
    default="False",
    example="True",
)
AWS_CONN_ID = _shared(
    "aws_conn_id",
    STRING,
    "Airflow connection for calls to AWS. If it is empty, boto3 finds the credentials.",
    default="aws_default",
)
CONN_ID = _shared(
    "conn_id",
    STRING,
    "Same as aws_conn_id, under the name that the Amazon provider reads.",
    default="aws_default",
)
LAUNCH_TYPE = _shared(
    "launch_type",
    STRING,
    "Launch type of the ECS tasks; it excludes capacity_provider_strategy. If neither is set, the default capacity "
    "provider strategy of the cluster applies, or FARGATE if the cluster has none.",
    example="FARGATE",
    choices=("FARGATE", "EC2", "EXTERNAL"),
)
CAPACITY_PROVIDER_STRATEGY = _shared(
    "capacity_provider_strategy",
    STRING,
    "Capacity providers and their weights, as a JSON list; it excludes launch_type.",
    example='[{"capacityProvider": "FARGATE_SPOT", "weight": 3}, {"capacityProvider": "FARGATE", "weight": 1}]',
)
PLATFORM_VERSION = _shared(
    "platform_version",
    STRING,
    "Fargate platform version; it is sent only for Fargate.",
    default="LATEST",
    example="1.4.0",
    pattern=r"(?i:LATEST)|[0-9]+(\.[0-9]+){1,2}",
    allowed="LATEST or a version such as 1.4.0",
)
RUN_TASK_KWARGS = _shared(
    "run_task_kwargs",
    STRING,
    "Parameters of RunTask, as a JSON object, in camelCase or snake_case. They override the other options.",
    example='{"tags": {"team": "data"}, "enable_execute_command": true}',
)
SECURITY_GROUPS = _shared(
    "security_groups",
    STRING,
    "Up to 5 security groups of the ECS task's network interface, separated by commas. By default, the VPC's default.",
    example="sg-0123456789abcdef0",
)
SUBNETS = _shared(
    "subnets",
    STRING,
    "Up to 16 subnets of the ECS task's network interface, separated by commas. Fargate requires at least one.",
    example="subnet-0123456789abcdef0,subnet-abcdef01234567890",
)
TASK_DEFINITION = _shared(
    "task_definition",
    STRING,
    "Family, family:revision or ARN of the task definition. Without a revision, the latest active one runs; with "
    "family:matching, the latest active one whose image has the Airflow and Python versions of the scheduler.",
    example="airflow-worker",
    required=True,
    pattern=rf"(arn:[^:\s]+:ecs:[^:\s]+:[0-9]{{12}}:task-definition/)?{_NAME}(:[0-9]+|:matching)?",
    allowed="a family, family:revision, family:matching or an ARN",
)
MAX_RUN_TASK_ATTEMPTS = _shared(
    "max_run_task_attempts",
    INTEGER,
    "Number of attempts to start a container. A container that ran and failed is left to Airflow's retries.",
    default="3",
    minimum=1,
)
CHECK_HEALTH_ON_STARTUP = _shared(
    "check_health_on_startup",
    BOOLEAN,
    "Whether to check credentials, permissions, cluster and task definition when the scheduler starts.",
    default="True",
)

# Quotas are AWS's, per account and region. RunTask on Fargate: 20 calls a second, sustained and at once, each of which
# launches one task here (docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html). DescribeTasks: 20 a
# second (docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html).
_own(
    "run_task_rate",
    FLOAT,
    "Sustained RunTask calls per second. The default is AWS's published quota; raise it together with yours. The "
    "rate adapts when AWS throttles, so several schedulers can share an account.",
    default="20",
    minimum=0,
    above_minimum=True,
)
_own(
    "run_task_burst",
    INTEGER,
    "RunTask calls in a burst, before run_task_rate applies. The default is AWS's published quota.",
    default="20",
    minimum=1,
)
_own(
    "launch_concurrency",
    INTEGER,
    "Number of RunTask calls at the same time.",
    default="16",
    minimum=1,
    maximum=64,
)
_own(
    "describe_tasks_rate",
    FLOAT,
    "DescribeTasks calls per second, each for up to 100 ECS tasks. The default is a quarter of AWS's published "
    "quota, since the account has other users.",
    default="5",
    minimum=0,
    above_minimum=True,
)
_own(
    "poll_interval",
    FLOAT,
    "Minimum seconds between two DescribeTasks calls for the same ECS task.",
    default="3",
    minimum=0,
)
_own(
    "missing_grace_period",
    FLOAT,
    "Seconds after which an ECS task that ECS does not know is considered lost. ECS is eventually consistent.",
    default="60",
    minimum=0,
)
_own(
    "adoption_timeout",
    FLOAT,
    "Maximum seconds that a starting scheduler waits for AWS to find the containers of its predecessor.",
    default="30",
    minimum=0,
    above_minimum=True,
)
_own(
    "spot_interruptions",
    STRING,
    "What happens to a task whose Spot capacity was interrupted, or whose host AWS terminated or retired: relaunch "
    "it in a new container, or fail it, so that Airflow's retries apply.",
    default="relaunch",
    choices=("relaunch", "fail"),
)
_own(
    "max_spot_relaunches",
    INTEGER,
    "Number of relaunches after such interruptions. They do not count toward max_run_task_attempts.",
    default="3",
    minimum=0,
)
_own(
    "launch_wait_limit",
    FLOAT,
    "Seconds that a launch waits for capacity, for a quota, or while AWS throttles or does not answer, before its "
    "task fails. They are counted from the first refusal until a container starts. Waiting does not count as an "
    "attempt. By default, a launch waits until Airflow revokes the task ([scheduler] task_queued_timeout).",
    example="1800",
    minimum=0,
)
_own(
    "deployment",
    STRING,
    "Name of this Airflow deployment, with which its schedulers find their containers: startedBy of every launch. "
    "By default, it is derived from the address of the metadata database.",
    example="airflow-production",
    pattern=r"[A-Za-z0-9/_-]{1,64}",
    allowed="up to 64 letters, digits, hyphens, slashes and underscores",
)
_own(
    "task_instance_tags",
    BOOLEAN,
    "Whether ECS tasks get tags that name their DAG, task, run and try. Requires ecs:TagResource; without it, a "
    "warning is logged once, and launches continue without tags.",
    default="True",
)
IMAGE_VERSION_CHECK = _own(
    "image_version_check",
    STRING,
    "Whether the images of task definitions are compared with the scheduler (Airflow, Python, CPU architecture, "
    "image contract). With strict, an incompatible image is neither launched nor accepted at start; warn logs it.",
    default=STRICT,
    example="warn",
    choices=(STRICT, WARN, OFF),
)
WORKLOAD_S3_URI = _own(
    "workload_s3_uri",
    STRING,
    "Where the arguments of commands are stored until the container has read them, as s3://bucket/prefix. "
    "workload_s3_use sets for which commands.",
    example="s3://airflow-workloads/production",
    pattern=rf"s3://{names.BUCKET}(/[A-Za-z0-9!_.*'()/-]*)?",
    allowed="s3://bucket or s3://bucket/prefix",
)
_own(
    "workload_s3_use",
    STRING,
    "Which commands are stored at workload_s3_uri: those that are too long for ECS, or always all, so that the "
    "overrides of an ECS task, which ecs:DescribeTasks returns, contain no token.",
    default=TOO_LONG,
    example="always",
    choices=(TOO_LONG, ALWAYS),
)
_own(
    "workload_s3_kms_key",
    STRING,
    "KMS key (ID, ARN or alias) that encrypts the objects at workload_s3_uri. By default, the encryption of the "
    "bucket applies.",
    example="alias/airflow",
    pattern=r"[A-Za-z0-9:/_-]{1,2048}",
    allowed="the ID or ARN of a key, or alias/NAME",
)
_own(
    "container_log_lines",
    INTEGER,
    "Number of lines at the end of a failed container's log that are written to the event log of its task. "
    "Requires the log driver awslogs and logs:GetLogEvents; without the permission, a warning is logged once.",
    default="20",
    minimum=0,
    maximum=200,
)


def named(section: str) -> dict[str, Option]:
    """Return the options of a section, by name."""
    return {option.name: option for option in OPTIONS if option.section == section}


_TRUE = ("t", "true", "1")
_FALSE = ("f", "false", "0")


def is_true(text: str) -> bool:
    """Return whether Airflow reads a text as true (AirflowConfigParser.getboolean)."""
    return text.split("#")[0].strip().lower() in _TRUE


def parse_option(option: Option, text: str) -> Any:
    """Return ``text`` as a value of ``option``. The ValueError of any other text says what is allowed."""
    if option.type == BOOLEAN:
        if not is_true(text) and text.split("#")[0].strip().lower() not in _FALSE:
            raise ValueError("give True or False")
        return is_true(text)
    if option.type in (INTEGER, FLOAT):
        return _number(option, text)
    if option.choices and text not in option.choices:
        raise ValueError(f"give one of {', '.join(option.choices)}")
    if option.pattern and not re.fullmatch(option.pattern, text):
        raise ValueError(f"give {option.allowed}")
    return text


def _number(option: Option, text: str) -> float:
    whole = option.type == INTEGER
    bounds = []
    if option.minimum is not None:
        bounds.append(f"{'above' if option.above_minimum else 'from'} {option.minimum:g}")
    if option.maximum is not None:
        bounds.append(f"to {option.maximum:g}")
    allowed = " ".join([f"give a {'whole ' if whole else ''}number", *bounds])
    # int() and float() would also accept "1_6", "nan" and the digits of other scripts.
    if not re.fullmatch(r"[+-]?[0-9]+" if whole else r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        raise ValueError(allowed)
    number = int(text) if whole else float(text)
    too_low = option.minimum is not None and (
        number <= option.minimum if option.above_minimum else number < option.minimum
    )
    too_high = option.maximum is not None and number > option.maximum
    if too_low or too_high or not math.isfinite(number):
        raise ValueError(allowed)
    return number
