"""Clients of AWS's APIs, and what their errors mean to a person."""

from __future__ import annotations

from typing import Any

import boto3
from airflow_ecs_executor.connection import region_of
from airflow_ecs_executor.failures import ApiError, Trouble, classify, remedy
from airflow_ecs_executor.wording import clock_is_wrong, policy_to_change
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
    return AwsError(f"{what}: {found.reason.rstrip('.')}.", _hint(found, action))


def _hint(found: ApiError, action: str) -> str:
    if clock_is_wrong(found.reason):
        return "Set the clock of this machine: AWS refuses requests that are signed some minutes too early or too late."
    if found.denied and (policy := policy_to_change(found.reason)):
        return f"{found.action or action}: {policy}."
    if found.trouble in (Trouble.THROTTLED, Trouble.SERVER):
        return "AWS throttles these calls or has a fault: try again in a minute."
    if "CERTIFICATE_VERIFY_FAILED" in found.reason:
        return "If the certificate is a company's own, name its CA in AWS_CA_BUNDLE."
    if found.code.startswith("LimitExceeded"):
        return "A quota of the AWS account is used up: ask for a higher one in Service Quotas, or make room."
    return remedy(found, action)
