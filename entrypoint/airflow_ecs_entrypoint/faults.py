"""Tells what a fault means: whose it is, whether starting again may help, and what to do.

Exceptions of botocore are recognised by name, so that this module (and a container without S3) does not
import it. Error codes: docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from typing import Any, Mapping
from urllib.parse import urlsplit

from .errors import AccessError, ChangedError, DagsError, EntrypointError, SettingsError, UnavailableError


@dataclass(frozen=True)
class Attempt:
    """What was being done when it failed.

    ``doing``, such as ``list`` or ``download``; ``what``, the object or folder, for people; ``action``, the
    IAM action it needs, and ``resource``, the ARN without its ``arn:…:s3:::`` beginning; ``region`` and
    ``endpoint`` of the client, if known; ``missing``, what it means if there is no such object.
    """

    doing: str
    what: str
    action: str = ""
    resource: str = ""
    region: str = ""
    endpoint: str = ""
    missing: str = ""

    def __str__(self) -> str:
        return f"cannot {self.doing} {self.what}"


_CREDENTIALS = "give the task definition a task role with access to the bucket (or renew the credentials)"

# fmt: off
# S3 error codes about who is asking, rather than about what may be done.
_CREDENTIAL_CODES = frozenset(
    (
        "AuthFailure", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId",
        "InvalidClientTokenId", "InvalidSecurity", "InvalidToken", "MissingAuthenticationToken",
        "MissingSecurityHeader", "NotSignedUp", "RequestExpired", "RequestTimeTooSkewed",
        "SignatureDoesNotMatch", "TokenRefreshRequired", "UnrecognizedClientException",
    )
)
_DENIED_CODES = frozenset(
    (
        "401", "403", "AccessDenied", "AccessDeniedException", "AccountProblem", "AllAccessDisabled",
        "Forbidden", "UnauthorizedAccess",
    )
)
_UNAVAILABLE_CODES = frozenset(
    (
        "429", "500", "502", "503", "504", "BandwidthLimitExceeded", "Busy", "InternalError",
        "InternalFailure", "OperationAborted", "PriorRequestNotComplete", "RequestLimitExceeded",
        "RequestThrottled", "RequestThrottledException", "RequestTimeout", "RequestTimeoutException",
        "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException", "ThrottledException",
        "TooManyRequestsException",
    )
)
_REGION_CODES = frozenset(
    (
        "301", "307", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
        "PermanentRedirect", "TemporaryRedirect",
    )
)
_CHANGED_CODES = frozenset(("412", "PreconditionFailed"))

# Exceptions of botocore (and urllib3, which old versions let through) by class name, bases included.
_NO_CREDENTIALS = frozenset(
    (
        "NoAuthTokenError", "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
        "ProfileNotFound", "SSOError", "TokenRetrievalError", "UnauthorizedSSOTokenError",
        "ConfigParseError", "ConfigNotFound", "InvalidConfigError", "InfiniteLoopConfigError",
        "UnknownCredentialError",
    )
)
_UNREACHABLE = frozenset(
    (
        "ConnectionError", "ConnectTimeoutError", "EndpointConnectionError", "HTTPClientError", "HTTPError",
        "IncompleteReadError", "FlexibleChecksumError", "ProxyConnectionError", "ReadTimeoutError",
        "ResponseParserError", "ResponseStreamingError", "TimeoutError",
    )
)
_MISCONFIGURED = frozenset(
    (
        "EndpointProviderError", "EndpointVariantError", "InvalidEndpointConfigurationError",
        "InvalidProxiesConfigError", "InvalidRegionError", "InvalidRetryConfigurationError",
        "InvalidRetryModeError", "InvalidMaxRetryAttemptsError",
        "InvalidS3UsEast1RegionalEndpointConfigError", "NoRegionError", "ParamValidationError",
        "UnknownEndpointError", "UnsupportedS3ConfigurationError",
    )
)
# fmt: on
_LOCAL = {
    errno.ENOSPC: "no space left: give the task more ephemeral storage, or load fewer files",
    errno.EDQUOT: "the quota is used up: raise it, or load fewer files",
    errno.EROFS: "the file system is read-only: mount a volume there, or set CONTAINER_DAG_PATH",
    errno.EACCES: "permission denied: make the folder writable for this user or for group 0",
    errno.EPERM: "not permitted: make the folder writable for this user or for group 0",
    errno.EBUSY: "something is mounted inside the folder: mount it elsewhere",
    errno.ENAMETOOLONG: "the name is too long for the file system: shorten the key",
    errno.ENOTDIR: "a part of the path is a file, not a folder: delete it, or set CONTAINER_DAG_PATH",
    errno.EEXIST: "there is a file where a folder should be: delete it, or set CONTAINER_DAG_PATH",
    errno.EMFILE: "too many open files: lower DAGS_CONCURRENCY",
}


def classify(error: BaseException, attempt: Attempt) -> EntrypointError:
    """``error`` as one of the entrypoint's own, in one line, without secrets. Never raises."""
    if isinstance(error, EntrypointError):
        return error
    names = {cls.__name__ for cls in type(error).__mro__}
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        fault = _service_error(response, attempt)
        if getattr(error, "operation_name", "").startswith("AssumeRole") and not fault.temporary:
            return AccessError(f"{attempt}: the role cannot be assumed ({_code(response)}): {_CREDENTIALS}")
        return fault
    if names & {"CredentialRetrievalError", "MetadataRetrievalError"} and _passing(str(error)):
        return UnavailableError(
            f"{attempt}: the credentials endpoint did not answer in time: start the container again"
        )
    if names & _NO_CREDENTIALS:
        return AccessError(f"{attempt}: no usable AWS credentials ({type(error).__name__}): {_CREDENTIALS}")
    if names & _MISCONFIGURED or (attempt.doing == "connect to" and isinstance(error, ValueError)):
        return SettingsError(
            f"{attempt}: {type(error).__name__}: check the region, the endpoint and other AWS_* variables"
        )
    if "SSLError" in names and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return DagsError(
            f"{attempt}: the certificate of {_host(attempt)} is not trusted: set AWS_CA_BUNDLE to a bundle "
            "that holds its CA"
        )
    if names & _UNREACHABLE:
        return UnavailableError(
            f"{attempt}: no complete answer from {_host(attempt)} ({type(error).__name__}): check the route "
            "to S3 (VPC endpoint, NAT, security groups), then start the container again"
        )
    if isinstance(error, OSError):
        return DagsError(f"{attempt}: {_local(error)}")
    if isinstance(error, MemoryError):
        return DagsError(f"{attempt}: not enough memory: give the task more, or lower DAGS_CONCURRENCY")
    return DagsError(f"{attempt}: unexpected {type(error).__name__}: please report it")


def _service_error(response: Mapping[str, Any], attempt: Attempt) -> EntrypointError:
    """The meaning of an error answer of S3."""
    code = _code(response)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _CHANGED_CODES or (code == "NoSuchKey" and attempt.doing == "download"):
        return ChangedError(f"{attempt}: it was changed meanwhile ({code}): start the container again")
    if code in _CREDENTIAL_CODES:
        remedy = "set the host's clock" if code == "RequestTimeTooSkewed" else _CREDENTIALS
        return AccessError(f"{attempt}: AWS did not accept the credentials ({code}): {remedy}")
    if code in _REGION_CODES:
        return DagsError(f"{attempt}: wrong region ({code}): {_region_remedy(response)}")
    if code in _UNAVAILABLE_CODES or status == 429 or status >= 500:
        return UnavailableError(
            f"{attempt}: S3 is throttling or has a fault ({code}), after retries: start the container again"
        )
    if "kms:" in str(response.get("Error", {}).get("Message", "")):
        return AccessError(
            f"{attempt}: access denied ({code}): allow kms:Decrypt on the object's KMS key to the task role"
        )
    if code in _DENIED_CODES or (status in (401, 403) and code != "InvalidObjectState"):
        arn = f"arn:{_partition(attempt.region)}:s3:::{attempt.resource}"
        # Who may not list a bucket is not told that an object is missing.
        otherwise = f"; or {attempt.missing}" if attempt.missing else ""
        return AccessError(
            f"{attempt}: access denied ({code}): allow {attempt.action} on {arn} to the task role{otherwise}"
        )
    if code.startswith("KMS."):
        return DagsError(f"{attempt}: its encryption key cannot be used ({code}): enable the KMS key")
    remedy = {
        "NoSuchBucket": "no such bucket: check the S3 URI",
        "NoSuchKey": attempt.missing or "no such object: check the S3 URI",
        "404": "no such object, version or bucket: check the S3 URI and its version",
        "NoSuchVersion": "no such version: correct the pin",
        "MethodNotAllowed": "that version is a deletion: correct the pin",
        "405": "that version is a deletion: correct the pin",
        "400": "S3 did not accept the request: check the version and the region",
        "InvalidBucketName": "no valid bucket name: check the S3 URI",
        "InvalidObjectState": "it is archived (Glacier): restore it, or move it to another storage class",
    }.get(code, f"S3 answered {code}: check the S3 URI and the bucket")
    return DagsError(f"{attempt}: {remedy}")


def _code(response: Mapping[str, Any]) -> str:
    code = str(response.get("Error", {}).get("Code") or "no code")
    # The body of a proxy's answer may pose as a code.
    return code if re.fullmatch(r"[A-Za-z0-9._-]{1,60}", code) else "no code"


def _region_remedy(response: Mapping[str, Any]) -> str:
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = response.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region") or ""
    if re.fullmatch(r"[a-z0-9-]{1,40}", str(region)):
        return f"the bucket is in {region}: set AWS_DEFAULT_REGION={region}"
    return "set AWS_DEFAULT_REGION to the bucket's region"


def _partition(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _host(attempt: Attempt) -> str:
    """Host of the endpoint; the rest of its URL may hold a password."""
    try:
        return urlsplit(attempt.endpoint).hostname or "S3"
    except ValueError:
        return "S3"


def _passing(text: str) -> bool:
    """Whether the failure of a credentials endpoint is one of a moment (it throttles under many starts)."""
    return bool(re.search(r"response (429|5\d\d)\b|timed? ?out|connect", text, re.IGNORECASE))


def _local(error: OSError) -> str:
    number = error.errno or 0
    if number in _LOCAL:
        return _LOCAL[number]
    return f"{os.strerror(number) if number else type(error).__name__}: check the folder and its volume"
