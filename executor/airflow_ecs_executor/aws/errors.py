"""What a failed AWS call means: what has to happen next, and what people are told.

Pure functions over the exceptions of botocore; the tables say which wording belongs to which kind of failure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Mapping, Sequence

from airflow_ecs_executor.aws import hints
from airflow_ecs_executor.aws.wording import clock_is_wrong, denied_action, policy_to_change, without_names


class ErrorKind(Enum):
    """How a failed AWS call is handled."""

    THROTTLED = "throttled"
    """Rejected by a rate limit, nothing was done: the same request goes out again, later."""
    OUTCOME_UNKNOWN = "outcome unknown"
    """No answer: it is not known whether it was done. The same request goes out again."""
    CREDENTIALS = "credentials"
    """Credentials are missing or expired: a new client, then the same request again."""
    TAGGING_DENIED = "tagging denied"
    """Tags need ``ecs:TagResource``: the request goes out again without tags."""
    CONFLICT = "conflict"
    """The client token was used before; the answer may name the task that it started."""
    SERVER = "server"
    """ECS failed, and may have done it all the same: the same request goes out again."""
    REVISION_GONE = "revision gone"
    """The revision that this executor had chosen is not active any more: the request goes out again with another."""
    CAPACITY = "capacity"
    """There is no room for the task now, or a quota is used up: the request goes out again, later."""
    PERMANENT = "permanent"
    """The same request can never succeed."""


@dataclass(frozen=True)
class ApiError:
    """An ECS call that failed: what to do about it, and what people are told."""

    kind: ErrorKind
    reason: str
    code: str = ""
    action: str = ""
    """The IAM action that was denied, such as ``ecs:RunTask``."""
    resource_ids: tuple[str, ...] = ()
    """With CONFLICT, the tasks that the client token started."""
    status: int = 400
    """The answer's HTTP status."""
    advice: str = ""
    """What a person can do about it; empty where the executor only has to try again."""

    @property
    def denied(self) -> bool:
        """Whether IAM did not permit the call."""
        return self.code in _DENIED_CODES

    @property
    def outcome_unknown(self) -> bool:
        """Whether the call may have been carried out all the same."""
        return self.status >= 500 or self.kind in (ErrorKind.OUTCOME_UNKNOWN, ErrorKind.SERVER)

    @property
    def explanation(self) -> str:
        """The reason, followed by the advice if there is one."""
        return f"{self.reason} {self.advice}".rstrip()


_THROTTLING_CODES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "SlowDown",
        "PriorRequestNotComplete",
        "EC2ThrottledException",
    }
)
_CREDENTIAL_CODES = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_DENIED_CODES = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"})
_TIMEOUT_CODES = frozenset({"RequestTimeout", "RequestTimeoutException"})
_SERVER_CODES = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "ServerException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Unavailable",
    }
)
_LIMIT_CODES = frozenset({"LimitExceeded", "LimitExceededException", "ServiceQuotaExceededException"})
_RATE_WORDING = re.compile(
    r"rate exceeded|throttl|too many (?:requests|concurrent)|request ?limit ?exceeded|slow down|request rate",
    re.IGNORECASE,
)
_INNER_CODE = re.compile(r"\(?Error ?Code: (?:Client\.|Server\.)?([\w.]+)", re.IGNORECASE)
"""ECS passes the errors of other services on under a code of its own: ``… (ErrorCode: RequestLimitExceeded)``
(https://github.com/dask/dask-cloudprovider/issues/56)."""
_NO_DEFINITION = r"TaskDefinition (?:is inactive|not found)|Unable to describe task definition"
_NO_ANSWER = frozenset(
    {
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "ConnectionError",
        "EndpointConnectionError",
        "HTTPClientError",
        "IncompleteReadError",
        "ProxyConnectionError",
        "ReadTimeoutError",
        "ResponseStreamingError",
        "SSLError",
        # SQLAlchemy: the metadata database is away, where a connection or a task instance is to be read.
        "InterfaceError",
        "OperationalError",
    }
)
_NO_CREDENTIALS = frozenset(
    {
        "CredentialRetrievalError",
        "LoginError",
        "MetadataRetrievalError",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "RefreshWithMFAUnsupportedError",
        "SSOError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    }
)


@dataclass(frozen=True)
class NotStarted:
    """An answer of RunTask that names no task: what it says, and whether a later launch may fare better."""

    reason: str
    temporary: bool = False
    advice: str = ""

    @property
    def explanation(self) -> str:
        """The reason, followed by the advice if there is one."""
        return f"{self.reason} {self.advice}".rstrip()


def not_started(failures: Sequence[Mapping[str, Any]]) -> NotStarted:
    """Tell what ``failures[]`` in RunTask's answer mean (Amazon ECS Developer Guide, "API failure reasons")."""
    reasons = [str(failure.get("reason") or "no reason given") for failure in failures]
    details = [f" ({failure['detail']})" if failure.get("detail") else "" for failure in failures]
    said = "; ".join(map("".join, zip(reasons, details))) or "its answer names no task and no reason"
    found = [hints.of_placement(reason) for reason in reasons]
    advice = next((one.text for one in found if one.text), "") or hints.of_placement("".join(details)).text
    return NotStarted(f"ECS did not start the task: {said}", any(one.waits for one in found), advice)


def classify(error: BaseException) -> ApiError:
    """Tell what an exception of an ECS call means. Names decide, not classes: botocore's grow with its versions."""
    found = _classify(error)
    return replace(found, advice=_advice(found))


def _advice(error: ApiError) -> str:
    if error.kind in (ErrorKind.THROTTLED, ErrorKind.SERVER):
        return ""
    advice = hints.of_failed_call(error.reason)
    if not advice and error.kind is ErrorKind.CREDENTIALS:
        return "Renew the scheduler's credentials: its host's role, the connection in aws_conn_id, `aws sso login`."
    return advice


def _classify(error: BaseException) -> ApiError:
    response = getattr(error, "response", None)
    if isinstance(response, Mapping) and isinstance(response.get("Error"), Mapping):
        return _classify_answer(response)
    name = type(error).__name__
    reason = f"{name}: {error}"
    lineage = {cls.__name__ for cls in type(error).__mro__}
    if lineage & _NO_CREDENTIALS:
        return ApiError(ErrorKind.CREDENTIALS, reason, name)
    if lineage & _NO_ANSWER or isinstance(error, OSError):
        return ApiError(ErrorKind.OUTCOME_UNKNOWN, reason, name)
    if "ParamValidationError" in lineage:
        return ApiError(ErrorKind.PERMANENT, f"The RunTask request is not valid. {error}", name)
    if "ResponseParserError" in lineage:
        return ApiError(ErrorKind.SERVER, reason, name)
    return ApiError(ErrorKind.PERMANENT, reason, name)


def _classify_answer(response: Mapping[str, Any]) -> ApiError:
    error = response["Error"]
    code = str(error.get("Code", ""))
    message = str(error.get("Message", "") or error.get("message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    reason = f"{code}: {message}" if message else code
    inner = _INNER_CODE.search(message)
    codes = {code, inner.group(1)} if inner else {code}
    denied = codes & _DENIED_CODES
    if denied:
        action = denied_action(message)
        kind = ErrorKind.TAGGING_DENIED if action == "ecs:TagResource" else ErrorKind.PERMANENT
        return ApiError(kind, reason, denied.pop(), action)
    if code in _CREDENTIAL_CODES:
        return ApiError(ErrorKind.CREDENTIALS, reason, code)
    if codes & _THROTTLING_CODES or _RATE_WORDING.search(without_names(message)):
        return ApiError(ErrorKind.THROTTLED, reason, code, status=status)
    if code in _TIMEOUT_CODES:
        return ApiError(ErrorKind.OUTCOME_UNKNOWN, reason, code)
    if code == "ConflictException":
        ids = tuple(str(item) for item in response.get("resourceIds") or ())
        return ApiError(ErrorKind.CONFLICT, reason, code, resource_ids=ids)
    if codes & _SERVER_CODES or status >= 500:
        return ApiError(ErrorKind.SERVER, reason, code)
    if hints.of_placement(message).waits or codes & _LIMIT_CODES:
        return ApiError(ErrorKind.CAPACITY, reason, code)
    return ApiError(ErrorKind.PERMANENT, reason, code)


def remedy(error: ApiError, action: str) -> str:
    """What somebody at a command line can do about it; empty if only the reason can tell.

    ``action``: the IAM action that the call needs; AWS's own answer names it more exactly, where it does.
    """
    if error.code == "NoRegionError":
        return "Give --region, or set AWS_REGION."
    if clock_is_wrong(error.reason):
        return "Set the clock of this machine: AWS refuses requests that are signed some minutes too early or too late."
    if error.kind is ErrorKind.CREDENTIALS:
        return (
            "AWS credentials are missing, wrong or expired: `aws sso login`, AWS_PROFILE, or a role for this machine."
        )
    if error.denied:
        allowed, policy = error.action or action, policy_to_change(error.reason)
        if policy:
            return f"{allowed}: {policy}."
        return f"Allow {allowed} in the IAM policy of whoever runs this (`aws sts get-caller-identity`)."
    if error.kind in (ErrorKind.THROTTLED, ErrorKind.SERVER):
        return "AWS throttles these calls or has a fault: try again in a minute."
    if "CERTIFICATE_VERIFY_FAILED" in error.reason:
        return "If the certificate is a company's own, name its CA in AWS_CA_BUNDLE."
    if error.kind is ErrorKind.OUTCOME_UNKNOWN:
        return "Check the network's way to AWS and the region's name, or try again."
    if error.code in _LIMIT_CODES:
        return "A quota of the AWS account is used up: ask for a higher one in Service Quotas, or make room."
    return ""


def lacks_definition(error: ApiError) -> bool:
    """Whether RunTask was refused because the task definition is not active, or does not exist."""
    return error.kind is ErrorKind.PERMANENT and bool(re.search(_NO_DEFINITION, error.reason))
