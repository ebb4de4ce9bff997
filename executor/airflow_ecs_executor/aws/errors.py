"""What a failed AWS call means: how it is handled, and what the log and the event log say about it.

The tables tell which error codes and which wordings of AWS belong to which kind of error.
"""

from __future__ import annotations

import logging
import re
import sysconfig
import time
import traceback
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Mapping, Sequence

from airflow_ecs_executor.aws import hints
from airflow_ecs_executor.aws.wording import clock_is_wrong, denied_action, policy_to_change, without_names

log = logging.getLogger("airflow_ecs_executor")

_OURS = ("airflow_ecs_executor", "images", "tools")
_STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"]
_LOG_INTERVAL = 60.0
"""Seconds between two tracebacks of the same defect: a thread may meet it at every poll."""
_logged: dict[str, float] = {}
"""When the traceback of a defect was last logged, by its type and line."""


class ErrorKind(Enum):
    """How a failed AWS call is handled."""

    THROTTLED = "throttled"
    """A rate limit rejected the request, and nothing was done: the same request is sent again later."""
    OUTCOME_UNKNOWN = "outcome unknown"
    """There was no answer, so AWS may have carried the request out: the same request is sent again."""
    CREDENTIALS = "credentials"
    """Credentials are missing or expired: a new client sends the same request again."""
    TAGGING_DENIED = "tagging denied"
    """``ecs:TagResource`` is not allowed: the request is sent again without tags."""
    CONFLICT = "conflict"
    """The client token was used before; the answer may name the ECS task that it started."""
    SERVER = "server"
    """ECS failed, and may have carried the request out: the same request is sent again."""
    REVISION_GONE = "revision gone"
    """The revision that this executor chose is no longer active: the request is sent again with another one."""
    CAPACITY = "capacity"
    """There is no capacity, or a quota is exhausted: the request is sent again later."""
    PERMANENT = "permanent"
    """The same request can never succeed."""


@dataclass(frozen=True)
class ApiError(hints.Explained):
    """A failed AWS call: how it is handled, why it failed, and what a person can do."""

    kind: ErrorKind
    reason: str
    code: str = ""
    action: str = ""
    """The IAM action that was denied, such as ``ecs:RunTask``."""
    resource_ids: tuple[str, ...] = ()
    """With CONFLICT, the ECS tasks that the client token started."""
    status: int = 400
    """The HTTP status of the answer."""
    advice: str = ""
    """What a person can do; empty if the executor only has to try again."""
    defect: bool = False
    """Whether the executor itself is wrong, rather than AWS, the network or the configuration."""

    @property
    def denied(self) -> bool:
        """Whether IAM did not permit the call."""
        return self.code in _DENIED_CODES

    @property
    def outcome_unknown(self) -> bool:
        """Whether AWS may have carried the request out although the call failed."""
        return self.status >= 500 or self.kind in (ErrorKind.OUTCOME_UNKNOWN, ErrorKind.SERVER)


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
"""ECS returns the errors of other services under a code of its own: ``… (ErrorCode: RequestLimitExceeded)``
(https://github.com/dask/dask-cloudprovider/issues/56)."""
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
        # SQLAlchemy: the metadata database, from which connections and task instances are read, is unavailable.
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
class NotStarted(hints.Explained):
    """An answer of RunTask that names no ECS task: the reason, and whether a later launch may succeed."""

    reason: str
    temporary: bool = False
    advice: str = ""


def not_started(failures: Sequence[Mapping[str, Any]]) -> NotStarted:
    """Interpret ``failures[]`` of RunTask's answer (Amazon ECS Developer Guide, "API failure reasons")."""
    reasons = [str(failure.get("reason") or "no reason given") for failure in failures]
    details = [f" ({failure['detail']})" if failure.get("detail") else "" for failure in failures]
    said = "; ".join(map("".join, zip(reasons, details))) or "the answer names no task and no reason"
    found = [hints.of_placement(reason) for reason in reasons]
    advice = next((one.text for one in found if one.text), "") or hints.of_placement("".join(details)).text
    return NotStarted(f"ECS did not start the task: {said}", any(one.waits for one in found), advice)


def classify(error: BaseException) -> ApiError:
    """Interpret an exception of a call, and log it with its traceback if it is a defect of the executor.

    The names of classes decide, not the classes: those of botocore and SQLAlchemy change with their versions.
    """
    if is_defect(error):
        return _defect(error)
    found = _classify(error)
    return replace(found, advice=_advice(found))


def is_defect(error: BaseException) -> bool:
    """Return whether an exception is a defect of this project: one of Python's own, raised by a line of ours.

    What a library raises is not: boto3 and Airflow's connections raise TypeErrors and the like for a user's settings.
    An OSError is about the network, an ImportError about what is installed.
    """
    if type(error).__module__ != "builtins" or isinstance(error, (OSError, ImportError)):
        return False
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    raised_in = next((frame for frame in reversed(frames) if not _is_of_python(frame.f_code.co_filename)), None)
    return raised_in is not None and str(raised_in.f_globals.get("__name__")).split(".")[0] in _OURS


def _is_of_python(file: str) -> bool:
    return file.startswith("<frozen ") or (file.startswith(_STANDARD_LIBRARY) and "-packages" not in file)


def _defect(error: BaseException) -> ApiError:
    reason = f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{type(error).__name__} {frames[-1].filename}:{frames[-1].lineno}"
    now = time.monotonic()
    if now - _logged.get(place, -_LOG_INTERVAL) >= _LOG_INTERVAL:
        _logged[place] = now
        log.error("Defect in the ECS executor: %s", reason, exc_info=error)
    return ApiError(
        ErrorKind.PERMANENT,
        f"{reason}. This is a defect of the ECS executor; the log of the scheduler, or of the Airflow component that "
        "shows this message, has the traceback",
        type(error).__name__,
        defect=True,
    )


def _advice(error: ApiError) -> str:
    if error.kind in (ErrorKind.THROTTLED, ErrorKind.SERVER):
        return ""
    advice = hints.of_failed_call(error.reason)
    if not advice and error.kind is ErrorKind.CREDENTIALS:
        return (
            "Renew the scheduler's credentials: the role of its host, the connection in aws_conn_id, or "
            "`aws sso login`."
        )
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
    """Return what a person at a command line can do about an error; empty if only the reason helps.

    ``action`` is the IAM action that the call requires, in case AWS's answer does not name one.
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
        return "AWS throttles these calls or is unavailable: try again in a minute."
    if "CERTIFICATE_VERIFY_FAILED" in error.reason:
        return "If your company issued the certificate, name its CA in AWS_CA_BUNDLE."
    if error.kind is ErrorKind.OUTCOME_UNKNOWN:
        return "Check the network route to AWS and the name of the region, or try again."
    if error.code in _LIMIT_CODES:
        return "A quota of the AWS account is exhausted: request an increase in Service Quotas, or free resources."
    return ""


def lacks_definition(error: ApiError) -> bool:
    """Return whether the task definition that RunTask was asked for is not active, or does not exist."""
    return error.kind is ErrorKind.PERMANENT and bool(re.search(hints.NO_DEFINITION, error.reason))
