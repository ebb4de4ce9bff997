"""Mapping of exceptions to the entrypoint's errors: the cause, whether a new start may help, and what to do.

Exceptions of botocore are recognized by name, so that this module (and a container without S3) does not
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
class Operation:
    """The operation that failed."""

    doing: str
    """A verb, such as ``list`` or ``download``."""
    what: str
    """The object or folder, as messages show it."""
    action: str = ""
    """The IAM action that the operation requires."""
    resource: str = ""
    """The resource of that action: its ARN without ``arn:…:s3:::``."""
    region: str = ""
    """The region of the client, if known."""
    endpoint: str = ""
    """The endpoint of the client, if known."""
    missing: str = ""
    """What it means if the object does not exist."""

    def __str__(self) -> str:
        return f"cannot {self.doing} {self.what}"


_CREDENTIALS = "give the task definition a task role with access to the bucket (or renew the credentials)"
_TRUST = "allow sts:AssumeRole on it to the task role, and name the task role in its trust policy"

# fmt: off
# S3 error codes about the identity of the caller, not about its permissions.
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
# AWS has closed the account or the bucket. No policy can allow access.
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
# Messages about a key that does not exist or may not be used, without the name of an action.
_KEY = re.compile(r"\bkms:[A-Z]|(?i:customer master key|KMS key)")
# docs.aws.amazon.com/IAM/latest/UserGuide: "Troubleshoot access denied error messages".
_NOT_ALLOWED = re.compile(r"because no ([\w -]+? (?:policy|policies)|permissions boundary) allows?\b")
_EXPLICITLY_DENIED = re.compile(r"explicit deny(?: in an? ([\w -]+? policy|permissions boundary))?")

# Class names, including base classes, of exceptions of botocore, and of urllib3, which old versions do not wrap.
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
# Messages of OpenSSL about permanent errors.
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


def classify(error: BaseException, operation: Operation) -> EntrypointError:
    """Return ``error`` as an error of the entrypoint, whose message is one line without secrets. Never raises."""
    if isinstance(error, EntrypointError):
        return error
    names = {cls.__name__ for cls in type(error).__mro__}
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        mapped = _service_error(response, operation)
        assumed = getattr(error, "operation_name", "").startswith("AssumeRole")
        if assumed and not mapped.temporary and not _skewed(response):
            remedy = _TRUST if _code(response) in _DENIED_CODES else _CREDENTIALS
            return AccessError(f"{operation}: the role cannot be assumed ({_code(response)}): {remedy}")
        return mapped
    if names & {"CredentialRetrievalError", "MetadataRetrievalError"} and _is_temporary(str(error)):
        return UnavailableError(
            f"{operation}: the credentials endpoint returned no credentials: start the container again"
        )
    if names & _NO_CREDENTIALS:
        return AccessError(f"{operation}: no usable AWS credentials ({type(error).__name__}): {_CREDENTIALS}")
    if "ParamValidationError" in names and re.search("bucket|key", str(error), re.IGNORECASE):
        return SettingsError(f"{operation}: {type(error).__name__}: check the S3 URI")
    if names & _MISCONFIGURED or (operation.doing == "connect to" and isinstance(error, ValueError)):
        return SettingsError(
            f"{operation}: {type(error).__name__}: check the region, the endpoint and other AWS_* variables"
        )
    if "SSLError" in names:
        for pattern, problem in _TLS:
            if re.search(pattern, str(error)):
                return DagsError(f"{operation}: {problem.format(host=_host(operation))}")
    if names & _UNREACHABLE:
        way = "to the proxy (HTTPS_PROXY, NO_PROXY)" if "ProxyConnectionError" in names else "to S3"
        return UnavailableError(
            f"{operation}: no complete answer from {_host(operation)} ({type(error).__name__}): check the route "
            f"{way} (VPC endpoint, NAT, security groups), then start the container again"
        )
    if isinstance(error, OSError):
        return DagsError(f"{operation}: {_local(error)}")
    if isinstance(error, MemoryError):
        return DagsError(f"{operation}: not enough memory: give the task more, or lower DAGS_CONCURRENCY")
    return DagsError(f"{operation}: unexpected {type(error).__name__}: please report it")


def _service_error(response: Mapping[str, Any], operation: Operation) -> EntrypointError:
    """Map an error response of S3."""
    code = _code(response)
    message = _message(response)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _CHANGED_CODES or (code == "NoSuchKey" and operation.doing == "download"):
        return ChangedError(f"{operation}: it was changed during the sync ({code}): start the container again")
    if _skewed(response):
        return AccessError(f"{operation}: the clock is wrong ({code}): set the clock of the container's host")
    if code in _CREDENTIAL_CODES or (code == "AuthorizationHeaderMalformed" and _names_no_region(message)):
        return AccessError(f"{operation}: AWS did not accept the credentials ({code}): {_CREDENTIALS}")
    if code in _REGION_CODES:
        return DagsError(f"{operation}: wrong region ({code}): {_region_remedy(response)}")
    if code in _UNAVAILABLE_CODES or status == 429 or (status >= 500 and code != "NotImplemented"):
        return UnavailableError(
            f"{operation}: S3 is throttling or has a fault ({code}), after retries: start the container again"
        )
    if code in _CLOSED_CODES:
        return AccessError(
            f"{operation}: access denied ({code}): AWS has closed it: check the S3 URI, or ask AWS Support"
        )
    if code in _DENIED_CODES or (status in (401, 403) and code != "InvalidObjectState"):
        return AccessError(f"{operation}: access denied ({code}): {_permission_remedy(message, operation)}")
    if code.startswith("KMS."):
        return DagsError(f"{operation}: its KMS key cannot be used ({code}): {_key_remedy(code)}")
    if code == "InvalidArgument" and "version id" in message.lower():
        return DagsError(f"{operation}: not a valid version ID: correct the pin")
    if "form of Server Side Encryption" in message:
        return DagsError(f"{operation}: it is encrypted with a customer-provided key (SSE-C): use SSE-S3 or SSE-KMS")
    remedy = {
        "NoSuchBucket": "no such bucket: check the S3 URI",
        "NoSuchKey": operation.missing or "no such object: check the S3 URI",
        "404": "no such object, version or bucket: check the S3 URI and its version",
        "407": "the proxy requires a login: correct HTTPS_PROXY, or access S3 without it (NO_PROXY)",
        "NoSuchVersion": "no such version: correct the pin",
        "MethodNotAllowed": "that version is a deletion: correct the pin",
        "405": "that version is a deletion: correct the pin",
        "400": "S3 did not accept the request: check the version and the region",
        "InvalidBucketName": "not a valid bucket name: check the S3 URI",
        "InvalidObjectState": "it is archived (Glacier): restore it, or move it to another storage class",
    }.get(code, f"S3 answered {code}: check the S3 URI and the bucket")
    return DagsError(f"{operation}: {remedy}")


def _skewed(response: Mapping[str, Any]) -> bool:
    """Return whether AWS refused a signature because of its time."""
    return bool(_CLOCK.search(f"{_code(response)}: {_message(response)}"))


def _names_no_region(message: str) -> bool:
    """Return whether S3 refused a header because of the access key, not because of the region."""
    return "the region '" not in message and bool(re.search("access key|AKID|credential", message, re.IGNORECASE))


def _permission_remedy(message: str, operation: Operation) -> str:
    """Return which policy has to change, and how. If the message of AWS names no policy, it is the task role's."""
    if "headers present in the request which were not signed" in message:
        return "a proxy adds headers: access S3 without it (NO_PROXY)"
    found = _ACTION.search(message)
    of_key = found[2] == "kms" if found else bool(_KEY.search(message))
    action = found[1] if found else "kms:Decrypt" if of_key else operation.action
    where = "the object's KMS key" if of_key else f"arn:{_partition(operation.region)}:s3:::{operation.resource}"
    if denied := _EXPLICITLY_DENIED.search(message):
        return f"the {_policy(denied[1])} denies {action} on {where} explicitly: change that policy"
    remedy = f"allow {action} on {where} to the task role"
    missing = _NOT_ALLOWED.search(message)
    if missing and missing[1] != "identity-based policy":
        return f"{remedy} in the {_policy(missing[1])} as well"
    if of_key:
        return f"{remedy}, for a key of another account in the key policy as well"
    # Without permission to list the bucket, S3 does not report that an object is missing.
    return remedy + (f"; or {operation.missing}" if operation.missing else "")


def _policy(kind: str | None) -> str:
    """Return the name of a kind of policy for messages."""
    return {None: "policy", "resource-based policy": "resource-based policy (of the bucket or key)"}.get(
        kind, str(kind)
    )


def _key_remedy(code: str) -> str:
    """Return what to do about an error of KMS, which S3 forwards."""
    return {
        "KMS.DisabledException": "enable the key",
        "KMS.KMSInvalidStateException": "cancel its deletion, or encrypt the object with another key",
        "KMS.NotFoundException": "it does not exist in this region: encrypt the object with another key",
    }.get(code, "check its key policy and its state")


def _code(response: Mapping[str, Any]) -> str:
    code = str(response.get("Error", {}).get("Code") or "no code")
    # The body of a proxy's response may be mistaken for a code.
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
    """Return the AWS partition of a region, as in botocore's data/partitions.json."""
    for prefix, partition in _PARTITIONS.items():
        if region.startswith(prefix):
            return partition
    return "aws"


def _host(operation: Operation) -> str:
    """Return the host of the endpoint. The rest of its URL may contain a password."""
    try:
        return urlsplit(operation.endpoint).hostname or "S3"
    except ValueError:
        return "S3"


def _is_temporary(text: str) -> bool:
    """Return whether an error of the credentials endpoint is temporary.

    The endpoint throttles many simultaneous starts and may close connections. After a restart, an ECS agent does not
    know the IDs of older tasks (aws/amazon-ecs-agent#738).
    """
    return bool(
        re.search(r"response \(?(429|5\d\d)\b|timed? ?out|connect|unable to parse|ID not found", text, re.IGNORECASE)
    )


def _local(error: OSError) -> str:
    number = error.errno or 0
    if number in _LOCAL:
        return _LOCAL[number]
    return f"{os.strerror(number) if number else type(error).__name__}: check the folder and its volume"
