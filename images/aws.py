"""Clients of AWS's APIs, and what their errors mean to a person."""

from __future__ import annotations

import os
from typing import Any

import boto3
from airflow_ecs_executor.failures import Trouble, classify
from botocore.config import Config
from botocore.exceptions import NoRegionError

from images.errors import AwsError


def region_of(flag: str | None) -> str | None:
    """The region that a flag names, else AWS_REGION, which the AWS CLI reads and boto3 does not; None: boto3's own."""
    return flag or os.environ.get("AWS_REGION") or None


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
    if isinstance(error, NoRegionError):
        hint = "Give --region, or set AWS_REGION."
    elif found.trouble is Trouble.CREDENTIALS:
        hint = (
            "AWS credentials are missing, wrong or expired: `aws sso login`, AWS_PROFILE, or a role for this machine."
        )
    elif found.denied:
        hint = f"Allow {found.action or action} in the IAM policy of whoever runs this (`aws sts get-caller-identity`)."
    elif found.trouble in (Trouble.UNANSWERED, Trouble.SERVER, Trouble.THROTTLED):
        hint = "Check the network's way to AWS and the region's name, or try again."
    else:
        hint = ""
    return AwsError(f"{what}: {found.reason.rstrip('.')}.", hint)
