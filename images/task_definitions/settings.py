"""The environment of a task's container: what its Airflow requires, from flags and a stack's outputs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from airflow_ecs_executor.image_check.facts import ImageFacts

from images.errors import RequestError, SecretError
from images.inputs import check_variable_name
from images.secrets import sensitive_setting

DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
FERNET_KEY = "AIRFLOW__CORE__FERNET_KEY"
EXECUTION_API = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
_REMOTE_LOGGING = "AIRFLOW__LOGGING__REMOTE_LOGGING"
_REMOTE_FOLDER = "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"
# docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html: a secret, or one key of its
# JSON as ARN:json-key:version-stage:version-id, of which each may be empty; or a parameter of Systems Manager.
_SECRET = re.compile(r"arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[^:\s]+(?P<part>:.*)?")
_PARAMETER = re.compile(r"arn:[a-z-]+:ssm:[a-z0-9-]+:[0-9]{12}:parameter/[^\s:]+")
_HERE = ("localhost", "127.0.0.1", "::1", "0.0.0.0")


@dataclass(frozen=True)
class RequestedSettings:
    """What the flags ask for; ``stack_…`` are outputs of a stack, which flags override."""

    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    s3_uri: str = ""
    logs_uri: str = ""
    execution_api_url: str = ""
    stack_s3_uri: str = ""
    stack_database: str = ""
    stack_fernet_key: str = ""


@dataclass(frozen=True)
class Settings:
    """Variables with their values and with ARNs of secrets, and notes for people."""

    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    notes: tuple[str, ...] = ()


def check_variable(name: str, value: str) -> None:
    """Raise RequestError for a name that is not valid, and SecretError, without the value, for a secret."""
    check_variable_name(name, "--env")
    if sensitive_setting(name, value):
        raise SecretError(
            f"--env {name} looks like a secret; everybody who may describe the task definition can read it.",
            f"Store it in Secrets Manager or Systems Manager, and give --secret {name}=ARN.",
        )


def check_secret(name: str, arn: str) -> None:
    """Raise RequestError if the name, or the place of the secret, is not valid."""
    check_variable_name(name, "--secret")
    found = _SECRET.fullmatch(arn)
    if found and (not found["part"] or found["part"].count(":") == 3):
        return
    if found:
        raise RequestError(
            f"--secret {name}: a part of a secret is ARN:JSON-KEY:VERSION-STAGE:VERSION-ID, with all three colons.",
            f"For example: --secret {name}={arn.removesuffix(found['part'])}:password::",
        )
    if not _PARAMETER.fullmatch(arn):
        raise RequestError(
            f"--secret {name} requires the ARN of a secret, not the secret itself.",
            f"For example: --secret {name}=arn:aws:secretsmanager:eu-west-1:123456789012:secret:airflow-a1b2c3, or "
            "arn:aws:ssm:eu-west-1:123456789012:parameter/airflow",
        )


def settings(image: ImageFacts, requested: RequestedSettings) -> Settings:
    """Return the container's environment. Raises RequestError if something that its Airflow requires is missing."""
    for name in requested.environment.keys() & requested.secrets.keys():
        raise RequestError(f"{name} is given with --env and with --secret.", "Leave one of them out.")
    known = {**image.environment, **requested.environment, **requested.secrets}
    environment, secrets, notes = dict[str, str](), dict[str, str](), list[str]()
    _dags(image, requested, known, environment)
    if requested.logs_uri:
        environment |= {_REMOTE_LOGGING: "True", _REMOTE_FOLDER: requested.logs_uri}
    elif _REMOTE_LOGGING not in known:
        notes.append("task logs are lost with the container: --logs-uri (or --stack) keeps them for Airflow's UI")
    if image.airflow.startswith("2."):
        _airflow_2(requested, known, secrets, notes)
    else:
        _airflow_3(requested, known, environment)
    environment |= requested.environment
    secrets = {name: arn for name, arn in secrets.items() if name not in requested.environment} | dict(
        requested.secrets
    )
    environment = {name: value for name, value in environment.items() if name not in secrets}
    return Settings(environment, secrets, tuple(notes))


def _dags(
    image: ImageFacts, requested: RequestedSettings, known: Mapping[str, str], environment: dict[str, str]
) -> None:
    if requested.s3_uri:
        environment["S3_URI"] = requested.s3_uri
    elif image.dags == "s3" and not known.get("S3_URI"):
        if not requested.stack_s3_uri:
            raise RequestError(
                "The image loads its DAGs from S3, which requires an S3 URI.",
                "Give --s3-uri s3://BUCKET/PREFIX, or --stack NAME.",
            )
        environment["S3_URI"] = requested.stack_s3_uri


def _airflow_2(
    requested: RequestedSettings, known: Mapping[str, str], secrets: dict[str, str], notes: list[str]
) -> None:
    if requested.execution_api_url:
        raise RequestError("--execution-api-url is for Airflow 3, and the image has Airflow 2.", "Leave it out.")
    if not _is_set(DATABASE, known):
        if not requested.stack_database:
            raise RequestError(
                "Airflow 2 tasks require the metadata database.",
                f"Give --secret {DATABASE}=ARN of a secret with its URL, or --stack NAME.",
            )
        secrets[DATABASE] = requested.stack_database
    if not _is_set(FERNET_KEY, known):
        if requested.stack_fernet_key:
            secrets[FERNET_KEY] = requested.stack_fernet_key
        else:
            notes.append(
                f"tasks cannot read connections and variables that a fernet key encrypts: --secret {FERNET_KEY}="
                "ARN (or --stack)"
            )


def _airflow_3(requested: RequestedSettings, known: Mapping[str, str], environment: dict[str, str]) -> None:
    if requested.execution_api_url:
        environment[EXECUTION_API] = requested.execution_api_url
    elif not _is_set(EXECUTION_API, known):
        raise RequestError(
            "Airflow 3 tasks require the address of the API server.",
            "Give --execution-api-url http://HOST:8080/execution/, as the containers reach it.",
        )


def _is_set(variable: str, known: Mapping[str, str]) -> bool:
    """Return whether an option of Airflow is set, by any of its variables."""
    return any(known.get(name) for name in (variable, f"{variable}_CMD", f"{variable}_SECRET"))


def check_execution_api_url(url: str) -> None:
    """Raise RequestError for a URL at which a container could not find the API server."""
    example = "For example: --execution-api-url http://airflow.internal:8080/execution/"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise RequestError(f"--execution-api-url {url!r} is not a valid URL.", example) from None
    if parts.scheme not in ("http", "https") or not host or not parts.path.rstrip("/").endswith("/execution"):
        raise RequestError(f"--execution-api-url {url!r} is not the URL of an execution API.", example)
    if host in _HERE:
        raise RequestError(f"--execution-api-url {url}: in a container, {host} is the container itself.", example)
