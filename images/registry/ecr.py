"""Amazon ECR: a login, the settings of a repository, a new repository.

docs.aws.amazon.com/AmazonECR/latest/APIReference
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlsplit

from airflow_ecs_executor.aws.errors import classify
from airflow_ecs_executor.image_check.reference import ImageReference, parse
from airflow_ecs_executor.image_check.registry import Credentials

from images import aws
from images.registry.failures import PUBLIC_ECR
from images.registry.logins import RegistryAuth

_PUBLIC_REGION = "us-east-1"
"""The only region that gives tokens (docs.aws.amazon.com/AmazonECR/latest/public, registry authentication)."""
IMMUTABLE = "IMMUTABLE"
TAGS = [{"Key": "managed-by", "Value": "airflow-ecs"}]


def is_ecr(reference: ImageReference) -> bool:
    """Return whether an image is in Amazon ECR, private or public."""
    return reference.ecr is not None or reference.registry == PUBLIC_ECR


def log_in(reference: ImageReference) -> RegistryAuth:
    """Return a login to an image's registry, which AWS gives for twelve hours. Raises AwsError."""
    if reference.registry == PUBLIC_ECR:
        client, action = aws.client("ecr-public", _PUBLIC_REGION), "ecr-public:GetAuthorizationToken"
    else:
        client, action = aws.client("ecr", _place(reference)[1]), "ecr:GetAuthorizationToken"
    try:
        document = client.get_authorization_token()
    except aws.CALL_ERRORS as error:
        raise aws.failed(f"No login to {reference.registry}", error, action) from error
    answer: Any = document["authorizationData"]
    given = answer if isinstance(answer, dict) else answer[0]
    user, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
    return RegistryAuth(registry_at(reference, given.get("proxyEndpoint", "")), Credentials(user, password))


def registry_at(reference: ImageReference, endpoint: str) -> str:
    """Return the host to push to: the image's own registry, unless the API is a stand-in for AWS's.

    A stand-in (AWS_ENDPOINT_URL) names its registry in ``proxyEndpoint``. AWS names there the registry of the caller's
    account, without FIPS or dual stack, although the token is valid for every registry.
    """
    host = urlsplit(endpoint).netloc
    return host if host and parse(f"{host}/any").ecr is None else reference.registry


def find_repository(reference: ImageReference) -> str | None:
    """Return the ``imageTagMutability`` of a private repository, or None if it does not exist.

    If the caller may not describe it, the answer is empty: a push does not require that permission. Raises AwsError if
    it could not be described for another reason.
    """
    account, region = _place(reference)
    client = aws.client("ecr", region)
    try:
        found = client.describe_repositories(registryId=account, repositoryNames=[reference.repository])
    except aws.CALL_ERRORS as error:
        failure = classify(error)
        if failure.code == "RepositoryNotFoundException":
            return None
        if failure.denied:
            return ""
        raise aws.failed(f"The repository {reference.repository} could not be described", error) from error
    return str(found["repositories"][0].get("imageTagMutability", ""))


def create_repository(reference: ImageReference) -> str:
    """Create a private repository with scan on push and encryption, unless it exists by now. Raises AwsError.

    Returns its ``imageTagMutability``: a new one has immutable tags.
    """
    account, region = _place(reference)
    client = aws.client("ecr", region)
    try:
        client.create_repository(
            registryId=account,
            repositoryName=reference.repository,
            imageTagMutability=IMMUTABLE,
            imageScanningConfiguration={"scanOnPush": True},
            encryptionConfiguration={"encryptionType": "AES256"},
            tags=TAGS,
        )
    except aws.CALL_ERRORS as error:
        if classify(error).code == "RepositoryAlreadyExistsException":  # another process has created it
            return find_repository(reference) or ""
        raise aws.failed(
            f"The repository {reference.repository} could not be created", error, "ecr:CreateRepository"
        ) from error
    return IMMUTABLE


def _place(reference: ImageReference) -> tuple[str, str]:
    place = reference.ecr
    assert place is not None
    return place
