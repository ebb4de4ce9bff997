"""Clients of AWS's APIs, and what their errors mean to a person."""

from __future__ import annotations

from typing import Any

import boto3
from airflow_ecs_executor.aws.connection import region_of
from airflow_ecs_executor.aws.errors import classify, remedy
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from images.errors import AwsError

CALL_ERRORS = (BotoCoreError, ClientError, OSError)
"""What a call of AWS raises when it fails. Everything else is a defect, and not to be caught."""


def client(service: str, region: str | None, config: Config | None = None) -> Any:
    """Return a boto3 client for this environment. Raises AwsError without a region, or for a missing profile."""
    try:
        return boto3.client(service, region_name=region_of(region), config=config)
    except (*CALL_ERRORS, ValueError) as error:  # botocore's ValueError: AWS_ENDPOINT_URL is not a URL
        raise failed(f"AWS ({service}) cannot be used", error) from error


def failed(what: str, error: Exception, action: str = "") -> AwsError:
    """Return the error for a call that failed, with what to do about it.

    ``what`` could not be done, as the beginning of a sentence; ``action`` is the IAM action that the call requires,
    unless AWS's own answer names one.
    """
    found = classify(error)
    return AwsError(f"{what}: {found.reason.rstrip('.')}.", remedy(found, action))
