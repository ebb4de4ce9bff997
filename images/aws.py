"""Clients of AWS's APIs, and what their errors mean to a person."""

from __future__ import annotations

from typing import Any

import boto3
from airflow_ecs_executor.aws.connection import region_of
from airflow_ecs_executor.aws.errors import classify, remedy
from botocore.config import Config

from images.errors import AwsError


def client(service: str, region: str | None, config: Config | None = None) -> Any:
    """A boto3 client; credentials, endpoints and retries as the environment has them.

    :raises AwsError: no client can be made: no region, or a profile that does not exist.
    """
    try:
        return boto3.client(service, region_name=region_of(region), config=config)
    except Exception as error:
        raise failed(f"AWS ({service}) cannot be used", error) from None


def failed(what: str, error: Exception, action: str = "") -> AwsError:
    """The error for a call that failed, with what to do about it.

    :param what: what could not be done, as the beginning of a sentence.
    :param action: the IAM action that the call needs; AWS's own answer names it more exactly, where it does.
    """
    found = classify(error)
    return AwsError(f"{what}: {found.reason.rstrip('.')}.", remedy(found, action))
