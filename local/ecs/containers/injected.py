"""What ECS puts into a container's environment from other services: secrets and environment files.

Secrets are named as "Pass sensitive data to an Amazon ECS container" in the ECS Developer Guide has it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.ecs.containers.aws import Aws
from local.ecs.errors import CannotStartError
from local.ecs.state import Document

_SECRETS_MANAGER = ":secretsmanager:"
_SECRET_PARTS = 7  # of the ARN of a secret; behind them stand a JSON key, a version stage and a version id
_S3_ARN = "arn:aws:s3:::"


async def injected(aws: Aws, container: Document, override: Document) -> dict[str, str]:
    """The values of a container's environment files and secrets. Raises CannotStartError."""
    return await asyncio.to_thread(_injected, aws, container, override)


def _injected(aws: Aws, container: Document, override: Document) -> dict[str, str]:
    values: dict[str, str] = {}
    for item in [*container.get("environmentFiles", ()), *override.get("environmentFiles", ())]:
        values.update(_environment_file(aws, item["value"]))
    for item in container.get("secrets", ()):
        values[item["name"]] = _secret(aws, item["valueFrom"])
    return values


def _secret(aws: Aws, name: str) -> str:
    """The value of a secret of Secrets Manager, or of a parameter of Systems Manager."""
    if _SECRETS_MANAGER not in name:
        try:
            found = aws.client("ssm").get_parameter(Name=name, WithDecryption=True)
        except (BotoCoreError, ClientError) as error:
            raise _not_had("unable to pull secrets or registry auth", f"invalid parameters: {name}", error) from error
        return str(found["Parameter"]["Value"])
    request, key = _secret_request(name)
    try:
        text = str(aws.client("secretsmanager").get_secret_value(**request)["SecretString"])
    except (BotoCoreError, ClientError) as error:
        what = f"failed to fetch secret {name} from secrets manager"
        raise _not_had("unable to pull secrets or registry auth", what, error) from error
    if not key:
        return text
    try:
        value = json.loads(text)[key]
    except (ValueError, KeyError, TypeError):
        raise CannotStartError(
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
            f"failed: unable to retrieve secret from asm: retrieved secret from Secrets Manager did not contain json "
            f"key {key}"
        ) from None
    return value if isinstance(value, str) else json.dumps(value)


def _secret_request(name: str) -> tuple[dict[str, str], str]:
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
    """The ``NAME=VALUE`` lines of an object in S3; those that begin with # are comments."""
    bucket, _, key = arn.removeprefix(_S3_ARN).partition("/")
    try:
        text = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    except (BotoCoreError, ClientError, UnicodeDecodeError) as error:
        raise _not_had("failed to download env files", f"file download command: {arn}", error) from error
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, equals, value in pairs if equals}


def _not_had(what: str, detail: str, error: Any) -> CannotStartError:
    return CannotStartError(
        f"ResourceInitializationError: {what}: execution resource retrieval failed: service call has been retried 1 "
        f"time(s): {detail}: {error}"
    )
