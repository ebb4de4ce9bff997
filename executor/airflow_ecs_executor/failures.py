"""What went wrong, in three questions: what did an ECS call answer, how did a container end, and what helps.

Pure functions over the answers of botocore; the tables say which wording belongs to which kind of failure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Mapping, Sequence


class Trouble(Enum):
    """Why an ECS call did not do what it was asked to do, by what has to happen next."""

    THROTTLED = "throttled"
    """Rejected by a rate limit, nothing was done: the same request goes out again, later."""
    UNANSWERED = "unanswered"
    """No answer: it is not known whether it was done. The same request goes out again."""
    CREDENTIALS = "credentials"
    """Credentials are missing or expired: a new client, then the same request again."""
    TAGGING_DENIED = "tagging denied"
    """Tags need ``ecs:TagResource``: the request goes out again without tags."""
    CONFLICT = "conflict"
    """The client token was used before; the answer may name the task that it started."""
    SERVER = "server"
    """ECS failed, and may have done it all the same."""
    REVISION_GONE = "revision gone"
    """The revision that this executor had chosen is not active any more: the request goes out again with another."""
    CAPACITY = "capacity"
    """There is no room for the task now."""
    HOPELESS = "hopeless"
    """The same request can never succeed."""


@dataclass(frozen=True)
class ApiError:
    """An ECS call that failed: what to do about it, and what people are told."""

    trouble: Trouble
    reason: str
    code: str = ""
    action: str = ""
    """The IAM action that was denied, such as ``ecs:RunTask``."""
    resource_ids: tuple[str, ...] = ()
    """With CONFLICT, the tasks that the client token started."""

    @property
    def denied(self) -> bool:
        """Whether IAM did not permit the call."""
        return self.code in _DENIED_CODES


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
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_DENIED_CODES = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"})
_UNANSWERED_CODES = frozenset({"RequestTimeout", "RequestTimeoutException"})
_SERVER_CODES = frozenset(
    {"ServerException", "InternalFailure", "InternalServerError", "ServiceUnavailable", "ServiceUnavailableException"}
)
_RATE_WORDING = re.compile(r"rate exceeded|throttl|too many requests", re.IGNORECASE)
# Answers with a 400 that time can mend: quotas of the account, EC2 instances that are still to come.
_CAPACITY_WORDING = re.compile(
    r"capacity is unavailable|no container instances were found|limit on the number of|insufficient capacity"
    r"|unable to assume the service linked role|vcpu limit|concurrent(?:ly)? (?:running )?tasks",
    re.IGNORECASE,
)
_NO_DEFINITION = r"TaskDefinition (?:is inactive|not found)|Unable to describe task definition"
_DENIED_ACTION = re.compile(r"perform:?\s+([a-z0-9-]+:[A-Za-z]+)")
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
        "MetadataRetrievalError",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "RefreshWithMFAUnsupportedError",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    }
)


def classify(error: BaseException) -> ApiError:
    """Tell what an exception of an ECS call means. Names decide, not classes: botocore's grow with its versions."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping) and isinstance(response.get("Error"), Mapping):
        return _classify_answer(response)
    name = type(error).__name__
    reason = f"{name}: {error}"
    lineage = {cls.__name__ for cls in type(error).__mro__}
    if lineage & _NO_CREDENTIALS:
        return ApiError(Trouble.CREDENTIALS, reason, name)
    if lineage & _NO_ANSWER or isinstance(error, OSError):
        return ApiError(Trouble.UNANSWERED, reason, name)
    if "ParamValidationError" in lineage:
        return ApiError(Trouble.HOPELESS, f"The RunTask request is not valid. {error}", name)
    if "ResponseParserError" in lineage:
        return ApiError(Trouble.SERVER, reason, name)
    return ApiError(Trouble.HOPELESS, reason, name)


def _classify_answer(response: Mapping[str, Any]) -> ApiError:
    error = response["Error"]
    code = str(error.get("Code", ""))
    message = str(error.get("Message", "") or error.get("message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    reason = f"{code}: {message}" if message else code
    if code in _THROTTLING_CODES or _RATE_WORDING.search(message):
        return ApiError(Trouble.THROTTLED, reason, code)
    if code in _CREDENTIAL_CODES:
        return ApiError(Trouble.CREDENTIALS, reason, code)
    if code in _DENIED_CODES:
        found = _DENIED_ACTION.search(message)
        action = found.group(1) if found else ""
        trouble = Trouble.TAGGING_DENIED if action == "ecs:TagResource" else Trouble.HOPELESS
        return ApiError(trouble, reason, code, action)
    if code in _UNANSWERED_CODES:
        return ApiError(Trouble.UNANSWERED, reason, code)
    if code == "ConflictException":
        ids = tuple(str(item) for item in response.get("resourceIds") or ())
        return ApiError(Trouble.CONFLICT, reason, code, resource_ids=ids)
    if code in _SERVER_CODES or status >= 500:
        return ApiError(Trouble.SERVER, reason, code)
    if _CAPACITY_WORDING.search(message) or code in ("LimitExceededException", "LimitExceeded"):
        return ApiError(Trouble.CAPACITY, reason, code)
    return ApiError(Trouble.HOPELESS, reason, code)


def remedy(error: ApiError, action: str) -> str:
    """What somebody at a command line can do about it; empty if only the reason can tell.

    ``action``: the IAM action that the call needs; AWS's own answer names it more exactly, where it does.
    """
    if error.code == "NoRegionError":
        return "Give --region, or set AWS_REGION."
    if error.trouble is Trouble.CREDENTIALS:
        return (
            "AWS credentials are missing, wrong or expired: `aws sso login`, AWS_PROFILE, or a role for this machine."
        )
    if error.denied:
        allowed = error.action or action
        return f"Allow {allowed} in the IAM policy of whoever runs this (`aws sts get-caller-identity`)."
    if error.trouble in (Trouble.UNANSWERED, Trouble.SERVER, Trouble.THROTTLED):
        return "Check the network's way to AWS and the region's name, or try again."
    return ""


def lacks_definition(error: ApiError) -> bool:
    """Whether RunTask was refused because the task definition is not active, or does not exist."""
    return error.trouble is Trouble.HOPELESS and bool(re.search(_NO_DEFINITION, error.reason))


class Ending(Enum):
    """How a task of ECS ended, as far as Airflow is concerned."""

    SUCCEEDED = "succeeded"
    """Our container ended with exit code 0. What the task itself reported to Airflow stands."""
    FAILED = "failed"
    """Our container ran and failed: Airflow's own retries decide."""
    NEVER_STARTED = "never started"
    """Nothing of the task has run: it is launched again, within the number of attempts."""
    SPOT = "spot"
    """Fargate Spot or an EC2 Spot instance was taken away."""
    STOPPED_BY_USER = "stopped by user"
    """Somebody stopped it before it ran: launching it again would be against their will."""


@dataclass(frozen=True)
class Verdict:
    """How a task ended, and the sentence that people read about it."""

    ending: Ending
    reason: str = ""
    exit_code: int | None = None
    remarkable: bool = False
    """The container has done its work, and ECS has a reason for its end all the same: want of memory, or a stop."""


# The entrypoint of this project's images: DAGs could not be loaded now, or the container was asked to end before its
# command was started (docs/image-contract.md). No command of Airflow ends with one of them, so they are read that
# way unless the image is known not to be of this project.
EXITS_BEFORE_THE_COMMAND = frozenset({84, 85})

_BY_ITSELF = "EssentialContainerExited"
_SPOT_WORDING = re.compile(r"spot (?:task|instance|capacity).*interrupt", re.IGNORECASE)

_HINTS: Sequence[tuple[str, str]] = (
    (
        r"OutOfMemory|out of memory",
        "The container ran out of memory: raise `memory` in the task definition or in the task's executor_config.",
    ),
    (
        r"CannotPullContainer|pull image|pull access denied|manifest unknown|ImagePull",
        "The image could not be pulled: check that the tag exists for this CPU architecture, that the execution role "
        "may read the registry, and that the subnet has a route to it (NAT gateway, VPC endpoints or a public IP).",
    ),
    (
        r"ResourceInitializationError.*(?:secret|ssm|kms)|unable to (?:pull|retrieve) secret",
        "Secrets could not be read: check the execution role's secretsmanager, ssm and kms permissions, and the "
        "subnet's route to these services.",
    ),
    (
        r"ResourceInitializationError.*(?:log|awslogs)|CannotStartContainerError.*log",
        "The log driver could not start: check that the log group exists or may be created by the execution role.",
    ),
    (
        r"ResourceInitializationError|i/o timeout|network is unreachable|no route to host",
        "The task could not reach a service that it needs to start: check the subnet's route (NAT gateway, VPC "
        "endpoints, or assign_public_ip) and the security groups.",
    ),
    (
        r"RESOURCE:ENI|network interface|insufficient free addresses|InsufficientFreeAddressesInSubnet",
        "No network interface or address was free: use larger or more subnets.",
    ),
    (
        r"RESOURCE:\w|No Container Instances|unable to place a task|closest matching",
        "No container instance has room: add instances or a capacity provider, or ask for less CPU and memory.",
    ),
    (
        r"Capacity is unavailable|insufficient capacity",
        "AWS has no capacity there now: add subnets in other availability zones, or a capacity provider strategy "
        "with FARGATE beside FARGATE_SPOT.",
    ),
    (
        r"limit on the number of|vcpu limit|LimitExceeded",
        "A quota of the AWS account is used up: ask for a higher one in Service Quotas, or lower [core] parallelism.",
    ),
    (
        r"CannotStartContainerError|exec format error|no such file or directory",
        "The container could not be started: check the image's entrypoint and its CPU architecture against the task "
        "definition's runtimePlatform.",
    ),
    (r"AGENT\b", "The ECS agent of the container instance is not connected."),
    (
        _NO_DEFINITION,
        "Register the task definition, or correct [aws_ecs_executor] task_definition.",
    ),
    (
        r"iam:PassRole",
        "Allow the scheduler's role iam:PassRole on the task definition's task role and execution role.",
    ),
    (r"not authorized to perform|AccessDenied", "Allow the action in the IAM policy of the scheduler's role."),
    (r"Network Configuration must be provided", "Set [aws_ecs_executor] subnets: the task definition uses awsvpc."),
)
_EXIT_HINTS: Mapping[int, str] = {
    1: "The command failed: the container's own log says why.",
    80: "The image's entrypoint found a missing or malformed setting: see the container's log.",
    81: "The image's entrypoint had no AWS credentials or no access to the DAGs: check the task role.",
    82: "The image's entrypoint could not load the DAGs: see the container's log.",
    83: "The image's Airflow does not fit the scheduler's: build the image for the version that the scheduler runs.",
    84: "The image's entrypoint could not reach S3, or not in time.",
    85: "The container was asked to end while its DAGs were loaded: nothing of the task has run.",
    125: "The container could not be started.",
    126: "The command of the container is not executable.",
    127: "The command of the container was not found: is this an Airflow image?",
    137: "The container was killed: out of memory, or it did not end within stopTimeout after SIGTERM.",
    139: "The process crashed (segmentation fault).",
    143: "The container was asked to end (SIGTERM).",
}


def hint(reason: str, exit_code: int | None = None) -> str:
    """Return what a person can do about a failure, or an empty text."""
    for pattern, advice in _HINTS:
        if re.search(pattern, reason, re.IGNORECASE | re.DOTALL):
            return advice
    return _EXIT_HINTS.get(exit_code, "") if exit_code is not None else ""


def with_hint(reason: str, exit_code: int | None = None) -> str:
    """Return the reason, followed by the hint if there is one."""
    advice = hint(reason, exit_code)
    return f"{reason.rstrip()} {advice}" if advice else reason


def has_started(task: Mapping[str, Any]) -> bool:
    """Whether ECS says that the containers of a described task have begun to run."""
    return bool(task.get("startedAt")) or task.get("lastStatus") == "RUNNING"


def verdict(task: Mapping[str, Any], container_name: str, foreign_image: bool = False) -> Verdict | None:
    """Judge a task as DescribeTasks describes it; None while it goes on.

    Only our container counts, whatever sidecars do. Its exit code stands there while the task itself is still being
    taken down (DEPROVISIONING can last half a minute), so the end is seen as soon as the container has ended.
    ``foreign_image`` says that the image is known not to be of this project: no exit code has a meaning then.
    """
    container = next((item for item in task.get("containers") or () if item.get("name") == container_name), None)
    stopped = task.get("lastStatus") == "STOPPED"
    exit_code = container.get("exitCode") if container else None
    if exit_code is None and not stopped:
        return None
    stop_code = str(task.get("stopCode") or "")
    reason = _describe(task, container, container_name, exit_code)
    spot = stop_code in ("SpotInterruption", "TerminationNotice") or bool(
        _SPOT_WORDING.search(str(task.get("stoppedReason") or ""))
    )
    if exit_code is not None:
        if exit_code == 0:
            remarkable = bool(container and container.get("reason")) or stop_code not in ("", _BY_ITSELF)
            return Verdict(Ending.SUCCEEDED, reason, exit_code, remarkable)
        if spot:
            return Verdict(Ending.SPOT, reason, exit_code)
        if exit_code in EXITS_BEFORE_THE_COMMAND and not foreign_image:
            by_user = stop_code == "UserInitiated"
            return Verdict(Ending.STOPPED_BY_USER if by_user else Ending.NEVER_STARTED, reason, exit_code)
        return Verdict(Ending.FAILED, reason, exit_code)
    if spot:
        return Verdict(Ending.SPOT, reason)
    if container is None and task.get("containers"):
        return Verdict(Ending.FAILED, reason)
    if stop_code == "TaskFailedToStart":
        return Verdict(Ending.NEVER_STARTED, reason)
    if has_started(task):
        return Verdict(Ending.FAILED, reason)
    if stop_code == "UserInitiated":
        return Verdict(Ending.STOPPED_BY_USER, reason)
    return Verdict(Ending.NEVER_STARTED, reason)


def _describe(task: Mapping[str, Any], container: Mapping[str, Any] | None, name: str, exit_code: int | None) -> str:
    """One sentence with all that ECS says about the end of a task."""
    parts = []
    if task.get("stoppedReason"):
        parts.append(str(task["stoppedReason"]))
    if container is None:
        parts.append(f"the task has no container {name!r}")
    elif container.get("reason"):
        parts.append(str(container["reason"]))
    if exit_code is not None:
        parts.append(f"container {name!r} ended with exit code {exit_code}")
    elif has_started(task):
        parts.append(f"container {name!r} left no exit code")
    else:
        parts.append(f"container {name!r} never started")
    if task.get("stopCode"):
        parts.append(f"stop code {task['stopCode']}")
    return f"{task.get('taskArn', 'The ECS task')}: " + "; ".join(part.rstrip(".") for part in parts) + "."
