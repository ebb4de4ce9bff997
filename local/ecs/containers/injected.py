"""Secrets and environment files: what ECS adds to a container's environment from other services.

Secrets are named as "Pass sensitive data to an Amazon ECS container" in the ECS Developer Guide has it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from botocore.exceptions import BotoCoreError, ClientError

from local.ecs.containers.aws import Aws, in_words
from local.ecs.errors import CannotStartError
from local.ecs.state import Document

_SECRETS_MANAGER = ":secretsmanager:"
_SECRET_PARTS = 7  # of the ARN of a secret; behind them stand a JSON key, a version stage and a version id
_PARAMETER = ":parameter/"
_S3_ARN = ":s3:::"
_NO_SECRETS = "unable to pull secrets or registry auth"
_NO_FILES = "failed to download env files"
_FROM_ASM = "unable to retrieve secret from asm"
_RETRIED = "service call has been retried 1 time(s)"


async def injected(aws: Aws, container: Document, override: Document) -> dict[str, str]:
    """Return the values of a container's environment files and secrets. Raises CannotStartError."""
    return await asyncio.to_thread(_injected, aws, container, override)


def _injected(aws: Aws, container: Document, override: Document) -> dict[str, str]:
    values: dict[str, str] = {}
    for item in override.get("environmentFiles") or container.get("environmentFiles", ()):
        # "The first value of the variable is used and subsequent values of duplicate variables are ignored."
        values = {**_environment_file(aws, item["value"]), **values}
    for item in container.get("secrets", ()):
        values[item["name"]] = _secret(aws, item["valueFrom"])
    return values


def _secret(aws: Aws, name: str) -> str:
    """Return the value of a secret of Secrets Manager, or of a parameter of Systems Manager."""
    if _SECRETS_MANAGER not in name:
        try:
            found = aws.client("ssm").get_parameter(Name=parameter_name(name), WithDecryption=True)
        except (BotoCoreError, ClientError) as error:
            raise _not_had(_NO_SECRETS, f"unable to retrieve secrets from ssm: {_RETRIED}: "
                                        f"invalid parameters: {name}: {in_words(error)}") from error  # fmt: skip
        return str(found["Parameter"]["Value"])
    request, key = secret_request(name)
    try:
        text = aws.client("secretsmanager").get_secret_value(**request).get("SecretString")
    except (BotoCoreError, ClientError) as error:
        raise _not_had(_NO_SECRETS, f"{_FROM_ASM}: {_RETRIED}: failed to fetch secret {name} from secrets manager: "
                                    f"{in_words(error)}") from error  # fmt: skip
    if text is None:  # "Only secrets that store text data … are supported"
        raise _not_had(_NO_SECRETS, f"{_FROM_ASM}: secret {name} has no text, but binary data")
    if not key:
        return str(text)
    try:
        value = json.loads(text)[key]
    except (ValueError, KeyError, TypeError):
        raise _not_had(
            _NO_SECRETS, f"{_FROM_ASM}: retrieved secret from Secrets Manager did not contain json key {key}"
        ) from None
    return value if isinstance(value, str) else json.dumps(value)


def parameter_name(name: str) -> str:
    """Return the name of a parameter from its name or ARN; the ARN of a path lacks the path's first slash."""
    if not name.startswith("arn:"):
        return name
    rest = name.partition(_PARAMETER)[2]
    return f"/{rest}" if "/" in rest else rest


def secret_request(name: str) -> tuple[dict[str, str], str]:
    """``arn:…:secret:NAME:json-key:version-stage:version-id``, of which the last three may be missing or empty."""
    parts = name.split(":")
    key, stage, version = [*parts[_SECRET_PARTS:], "", "", ""][:3]
    request = {"SecretId": ":".join(parts[:_SECRET_PARTS])}
    if stage:
        request["VersionStage"] = stage
    if version:
        request["VersionId"] = version
    return request, key


def _environment_file(aws: Aws, arn: str) -> Mapping[str, str]:
    """Return the ``NAME=VALUE`` lines of an object in S3; those that begin with # are comments."""
    bucket, _, key = arn.partition(_S3_ARN)[2].partition("/")
    try:
        text = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    except (BotoCoreError, ClientError, UnicodeDecodeError) as error:
        raise _not_had(_NO_FILES, f"{_RETRIED}: file download command: {arn}: {in_words(error)}") from error
    return variables_of(text)


def variables_of(text: str) -> dict[str, str]:
    """Return the variables of an environment file. Values are taken as they are, quotes included."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, equals, value in pairs if equals}


def _not_had(what: str, detail: str) -> CannotStartError:
    return CannotStartError(f"ResourceInitializationError: {what}: execution resource retrieval failed: {detail}")
