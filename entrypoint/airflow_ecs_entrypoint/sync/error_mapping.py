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

from airflow_ecs_entrypoint.errors import (
    AccessError,
    ChangedError,
    DagsError,
    EntrypointError,
    SettingsError,
    UnavailableError,
)


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
_TRUST = "allow sts:AssumeRole on it to the task role, which its trust policy has to name"

# fmt: off
# S3 error codes about who is asking, rather than about what may be done.
_CREDENTIAL_CODES = frozenset(
    (
        "AuthFailure", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId",
        "InvalidClientTokenId", "InvalidSecurity", "InvalidToken", "MissingAuthenticationToken",
        "MissingSecurityHeader", "NotSignedUp", "SignatureDoesNotMatch", "TokenRefreshRequired",
        "UnrecognizedClientException",
    )
)
_DENIED_CODES = frozenset(
    (
        "401", "403", "AccessDenied", "AccessDeniedException", "Forbidden", "KMS.AccessDeniedException",
        "UnauthorizedAccess",
    )
)
# AWS itself has closed the account or the bucket: no policy opens it.
_CLOSED_CODES = frozenset(("AccountProblem", "AllAccessDisabled"))
_UNAVAILABLE_CODES = frozenset(
    (
        "408", "429", "500", "502", "503", "504", "BandwidthLimitExceeded", "Busy",
        "IDPCommunicationError", "InternalError", "InternalFailure", "KMS.DependencyTimeoutException",
        "KMS.KMSInternalException", "KMS.KeyUnavailableException", "KMS.LimitExceededException",
        "KMS.ThrottlingException", "OperationAborted", "PriorRequestNotComplete", "RequestLimitExceeded",
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

_CLOCK = re.compile(
    r"signature (?:expired|not yet current)|RequestTimeTooSkewed|RequestExpired|request time .* too large",
    re.IGNORECASE,
)
_ACTION = re.compile(r"perform:? ((s3|kms):[A-Z]\w+)")
# What AWS says of a key that does not exist, or may not be used, without a word about an action.
_KEY = re.compile(r"\bkms:[A-Z]|(?i:customer master key|KMS key)")
# docs.aws.amazon.com/IAM/latest/UserGuide: "Troubleshoot access denied error messages".
_NOT_ALLOWED = re.compile(r"because no ([\w -]+? (?:policy|policies)|permissions boundary) allows?\b")
_EXPLICITLY_DENIED = re.compile(r"explicit deny(?: in an? ([\w -]+? policy|permissions boundary))?")

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
# What OpenSSL says of a connection that cannot be made however often it is tried.
_TLS = (
    (
        "not yet valid|has expired",
        "the certificate of {host} is not valid at this time: set the clock of the container's host, or renew it",
    ),
    (
        "(?:Hostname|IP address) mismatch|doesn't match",
        "the certificate of {host} is for another host: check the endpoint (AWS_ENDPOINT_URL)",
    ),
    (
        "No such file or directory|NO_CERTIFICATE_OR_CRL_FOUND",
        "AWS_CA_BUNDLE names no file that holds certificates: correct it",
    ),
    ("WRONG_VERSION_NUMBER", "{host} or its proxy does not speak TLS: check the endpoint and HTTPS_PROXY"),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "the certificate of {host} is not trusted: set AWS_CA_BUNDLE to a bundle that holds its CA",
    ),
)
_PARTITIONS = {
    "cn-": "aws-cn",
    "eu-isoe-": "aws-iso-e",
    "eusc-": "aws-eusc",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "us-isof-": "aws-iso-f",
}
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
        assumed = getattr(error, "operation_name", "").startswith("AssumeRole")
        if assumed and not fault.temporary and not _skewed(response):
            remedy = _TRUST if _code(response) in _DENIED_CODES else _CREDENTIALS
            return AccessError(f"{attempt}: the role cannot be assumed ({_code(response)}): {remedy}")
        return fault
    if names & {"CredentialRetrievalError", "MetadataRetrievalError"} and _passing(str(error)):
        return UnavailableError(
            f"{attempt}: the credentials endpoint gave no credentials for now: start the container again"
        )
    if names & _NO_CREDENTIALS:
        return AccessError(f"{attempt}: no usable AWS credentials ({type(error).__name__}): {_CREDENTIALS}")
    if "ParamValidationError" in names and re.search("bucket|key", str(error), re.IGNORECASE):
        return SettingsError(f"{attempt}: {type(error).__name__}: check the S3 URI")
    if names & _MISCONFIGURED or (attempt.doing == "connect to" and isinstance(error, ValueError)):
        return SettingsError(
            f"{attempt}: {type(error).__name__}: check the region, the endpoint and other AWS_* variables"
        )
    if "SSLError" in names:
        for pattern, problem in _TLS:
            if re.search(pattern, str(error)):
                return DagsError(f"{attempt}: {problem.format(host=_host(attempt))}")
    if names & _UNREACHABLE:
        way = "to the proxy (HTTPS_PROXY, NO_PROXY)" if "ProxyConnectionError" in names else "to S3"
        return UnavailableError(
            f"{attempt}: no complete answer from {_host(attempt)} ({type(error).__name__}): check the route "
            f"{way} (VPC endpoint, NAT, security groups), then start the container again"
        )
    if isinstance(error, OSError):
        return DagsError(f"{attempt}: {_local(error)}")
    if isinstance(error, MemoryError):
        return DagsError(f"{attempt}: not enough memory: give the task more, or lower DAGS_CONCURRENCY")
    return DagsError(f"{attempt}: unexpected {type(error).__name__}: please report it")


def _service_error(response: Mapping[str, Any], attempt: Attempt) -> EntrypointError:
    """The meaning of an error answer of S3."""
    code = _code(response)
    message = _message(response)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _CHANGED_CODES or (code == "NoSuchKey" and attempt.doing == "download"):
        return ChangedError(f"{attempt}: it was changed meanwhile ({code}): start the container again")
    if _skewed(response):
        return AccessError(f"{attempt}: the clock is wrong ({code}): set the clock of the container's host")
    if code in _CREDENTIAL_CODES or (code == "AuthorizationHeaderMalformed" and _names_no_region(message)):
        return AccessError(f"{attempt}: AWS did not accept the credentials ({code}): {_CREDENTIALS}")
    if code in _REGION_CODES:
        return DagsError(f"{attempt}: wrong region ({code}): {_region_remedy(response)}")
    if code in _UNAVAILABLE_CODES or status == 429 or (status >= 500 and code != "NotImplemented"):
        return UnavailableError(
            f"{attempt}: S3 is throttling or has a fault ({code}), after retries: start the container again"
        )
    if code in _CLOSED_CODES:
        return AccessError(
            f"{attempt}: access denied ({code}): AWS has closed it: check the S3 URI, or ask AWS Support"
        )
    if code in _DENIED_CODES or (status in (401, 403) and code != "InvalidObjectState"):
        return AccessError(f"{attempt}: access denied ({code}): {_permission_remedy(message, attempt)}")
    if code.startswith("KMS."):
        return DagsError(f"{attempt}: its KMS key cannot be used ({code}): {_key_remedy(code)}")
    if code == "InvalidArgument" and "version id" in message.lower():
        return DagsError(f"{attempt}: no valid version ID: correct the pin")
    if "form of Server Side Encryption" in message:
        return DagsError(f"{attempt}: it is encrypted with a key that S3 does not keep (SSE-C): use SSE-S3 or SSE-KMS")
    remedy = {
        "NoSuchBucket": "no such bucket: check the S3 URI",
        "NoSuchKey": attempt.missing or "no such object: check the S3 URI",
        "404": "no such object, version or bucket: check the S3 URI and its version",
        "407": "the proxy requires a login: correct HTTPS_PROXY, or reach S3 without it (NO_PROXY)",
        "NoSuchVersion": "no such version: correct the pin",
        "MethodNotAllowed": "that version is a deletion: correct the pin",
        "405": "that version is a deletion: correct the pin",
        "400": "S3 did not accept the request: check the version and the region",
        "InvalidBucketName": "no valid bucket name: check the S3 URI",
        "InvalidObjectState": "it is archived (Glacier): restore it, or move it to another storage class",
    }.get(code, f"S3 answered {code}: check the S3 URI and the bucket")
    return DagsError(f"{attempt}: {remedy}")


def _skewed(response: Mapping[str, Any]) -> bool:
    """Whether AWS refused a signature for its time."""
    return bool(_CLOCK.search(f"{_code(response)}: {_message(response)}"))


def _names_no_region(message: str) -> bool:
    """Of a malformed header, S3 says that the region is wrong, or what is wrong with the access key."""
    return "the region '" not in message and bool(re.search("access key|AKID|credential", message, re.IGNORECASE))


def _permission_remedy(message: str, attempt: Attempt) -> str:
    """Which policy has to change, and how: as AWS's message names it, else the task role's."""
    if "headers present in the request which were not signed" in message:
        return "a proxy on the way adds headers: reach S3 without it (NO_PROXY)"
    found = _ACTION.search(message)
    of_key = found[2] == "kms" if found else bool(_KEY.search(message))
    action = found[1] if found else "kms:Decrypt" if of_key else attempt.action
    where = "the object's KMS key" if of_key else f"arn:{_partition(attempt.region)}:s3:::{attempt.resource}"
    if denied := _EXPLICITLY_DENIED.search(message):
        return f"the {_policy(denied[1])} denies {action} on {where} explicitly: change that policy"
    remedy = f"allow {action} on {where} to the task role"
    missing = _NOT_ALLOWED.search(message)
    if missing and missing[1] != "identity-based policy":
        return f"{remedy} in the {_policy(missing[1])} as well"
    if of_key:
        return f"{remedy}, for a key of another account in the key policy as well"
    # Who may not list a bucket is not told that an object is missing.
    return remedy + (f"; or {attempt.missing}" if attempt.missing else "")


def _policy(kind: str | None) -> str:
    """What people call a kind of policy that AWS names in a message."""
    return {None: "policy", "resource-based policy": "resource-based policy (of the bucket or key)"}.get(
        kind, str(kind)
    )


def _key_remedy(code: str) -> str:
    """docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html passes KMS's errors on, which its API describes."""
    return {
        "KMS.DisabledException": "enable the key",
        "KMS.KMSInvalidStateException": "cancel its deletion, or encrypt the object with another key",
        "KMS.NotFoundException": "it does not exist in this region: encrypt the object with another key",
    }.get(code, "check its key policy and its state")


def _code(response: Mapping[str, Any]) -> str:
    code = str(response.get("Error", {}).get("Code") or "no code")
    # The body of a proxy's answer may pose as a code.
    return code if re.fullmatch(r"[A-Za-z0-9._-]{1,60}", code) else "no code"


def _message(response: Mapping[str, Any]) -> str:
    return str(response.get("Error", {}).get("Message") or "")


def _region_remedy(response: Mapping[str, Any]) -> str:
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    error = response.get("Error", {})
    expected = re.search(r"expecting '([a-z0-9-]+)'", _message(response))
    region = error.get("Region") or headers.get("x-amz-bucket-region") or (expected[1] if expected else "")
    if re.fullmatch(r"[a-z0-9-]{1,40}", str(region)):
        return f"the bucket is in {region}: set AWS_DEFAULT_REGION={region}"
    return "set AWS_DEFAULT_REGION to the bucket's region"


def _partition(region: str) -> str:
    """Botocore's data/partitions.json, without the import."""
    for prefix, partition in _PARTITIONS.items():
        if region.startswith(prefix):
            return partition
    return "aws"


def _host(attempt: Attempt) -> str:
    """Host of the endpoint; the rest of its URL may hold a password."""
    try:
        return urlsplit(attempt.endpoint).hostname or "S3"
    except ValueError:
        return "S3"


def _passing(text: str) -> bool:
    """Whether the failure of a credentials endpoint is one of a moment.

    It throttles under many starts, and breaks off; an ECS agent that has started again does not know the ID of an
    older task (aws/amazon-ecs-agent#738).
    """
    return bool(
        re.search(r"response \(?(429|5\d\d)\b|timed? ?out|connect|unable to parse|ID not found", text, re.IGNORECASE)
    )


def _local(error: OSError) -> str:
    number = error.errno or 0
    if number in _LOCAL:
        return _LOCAL[number]
    return f"{os.strerror(number) if number else type(error).__name__}: check the folder and its volume"
