"""The configuration of an image in a private Amazon ECR registry. IAM permits the calls, not a docker login."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_ecs_executor.aws.errors import ErrorKind, classify
from airflow_ecs_executor.aws.wording import clock_is_wrong, policy_to_change
from airflow_ecs_executor.image_check.errors import NoSuchImageError, RegistryError
from airflow_ecs_executor.image_check.http import Http
from airflow_ecs_executor.image_check.manifest import INDEXES, MANIFESTS
from airflow_ecs_executor.image_check.reference import ImageReference

_MISSING = ("ImageNotFound", "ImageTagDoesNotMatchDigest", "RepositoryNotFoundException")
_UPSTREAM_LOGIN = "check the upstream registry's credentials, which the pull through cache rule names"
_REMEDIES = {
    "ImageInaccessible": "if it is archived, restore it (`aws ecr update-image-storage-class`), or push it again",
    "KmsError": "check that the KMS key of the repository exists and is enabled",
    "UpstreamAccessDenied": _UPSTREAM_LOGIN,
    "UpstreamTooManyRequests": "the upstream registry throttles: try again later",
    "UpstreamUnavailable": "the upstream registry does not answer: try again later",
    "UnableToGetUpstreamImageException": _UPSTREAM_LOGIN,
    "UnableToGetUpstreamLayerException": _UPSTREAM_LOGIN,
}
"""What to do, by failure code and by error code.

docs.aws.amazon.com/AmazonECR/latest: APIReference, ImageFailure and BatchGetImage; userguide, "Archiving an image".
"""
_REMEDIES_BY_KIND = {
    ErrorKind.CREDENTIALS: "give this process valid AWS credentials",
    ErrorKind.SERVER: "try again later",
    ErrorKind.THROTTLED: "try again later",
    ErrorKind.OUTCOME_UNKNOWN: "check the region, and the network route to it (NAT gateway, VPC endpoint)",
}


class EcrRegistry:
    """A private registry, for one look-up."""

    def __init__(self, http: Http, reference: ImageReference, client: Any) -> None:
        """Call nothing yet. ``client`` is a boto3 client for the region of the registry."""
        found = reference.ecr
        assert found is not None
        self._http = http
        self._reference = reference
        self._client = client
        self._place = {"registryId": found[0], "repositoryName": reference.repository}

    def blob(self, digest: str) -> bytes:
        """Return a blob. Raises RegistryError."""
        url = self._call("get_download_url_for_layer", layerDigest=digest)["downloadUrl"]
        answer = self._http.request("GET", url)  # signed by its query: it takes no header
        if answer.status != 200:
            raise RegistryError(f"Amazon ECR's storage answers with HTTP status {answer.status}")
        return answer.body

    def manifest(self, version: str) -> bytes:
        """Return a manifest or an index, by tag or digest. Raises RegistryError."""
        image = {"imageDigest" if ":" in version else "imageTag": version}  # no tag has a colon
        found = self._call("batch_get_image", imageIds=[image], acceptedMediaTypes=[*MANIFESTS, *INDEXES])
        images = found.get("images") or ()
        if images:
            return str(images[0]["imageManifest"]).encode()
        failure = (found.get("failures") or [{}])[0]
        code, reason = failure.get("failureCode", ""), failure.get("failureReason", "no reason given")
        if code in _MISSING:
            raise self._missing(reason)
        raise RegistryError(_with(f"Amazon ECR returned no manifest: {reason}", _REMEDIES.get(code, "")))

    def _call(self, operation: str, **arguments: Any) -> Any:
        try:
            return getattr(self._client, operation)(**self._place, **arguments)
        except (BotoCoreError, ClientError, OSError) as exception:
            error = classify(exception)
        if error.code in _MISSING:
            raise self._missing(error.reason)
        if error.denied:
            action = {
                "batch_get_image": "ecr:BatchGetImage",
                "get_download_url_for_layer": "ecr:GetDownloadUrlForLayer",
            }
            policy = policy_to_change(error.reason) or "a repository of another account also needs a repository policy"
            raise RegistryError(
                f"Amazon ECR does not let this role read {self._reference.repository} of account "
                f"{self._place['registryId']} ({policy})",
                error.action or action[operation],
            )
        if clock_is_wrong(error.reason):
            raise RegistryError(f"Amazon ECR: {error.reason.rstrip('.')}: set the clock of this machine")
        remedy = _REMEDIES.get(error.code) or _REMEDIES_BY_KIND.get(error.kind, "")
        raise RegistryError(_with(f"Amazon ECR: {error.reason}", remedy))

    def _missing(self, reason: str) -> RegistryError:
        name = f"{self._reference.repository}:{self._reference.version}"
        return NoSuchImageError(
            f"{self._reference.registry} has no image {name}: push it, or correct the name ({reason})"
        )


def _with(text: str, remedy: str) -> str:
    return f"{text.rstrip('.')}: {remedy}" if remedy else text
