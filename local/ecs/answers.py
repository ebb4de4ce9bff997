"""Error answers and failures of AWS by name: code, HTTP status, wording, and the source of the wording.

A name is a kind of fault: ``fault("RunTask", "vcpu_quota", times=3)``. In a message, the subnet and the security group
of the example become those of the request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.ecs.errors import ApiError

EXAMPLE_SUBNET, EXAMPLE_GROUP = "subnet-0123456789abcdef0", "sg-0123456789abcdef0"
_COMMON_ERRORS = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html"
_FAILURES = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html"
_EVENTS = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html"
_NO_SOURCE = "no public source; worded after the documentation's sentence"
_RUN_TASK = frozenset({"RunTask"})


@dataclass(frozen=True)
class Answer:
    """An answer of AWS to a call that it does not carry out."""

    code: str | None
    """None: RunTask answers with failures, and the message is their reason."""
    message: str
    source: str
    """Of the wording; one that begins with ``no public source`` is not AWS's."""
    status: int = 400
    operations: frozenset[str] = frozenset()
    """Empty: any."""
    plain: bool = False
    """Not of the service but of what is in front of it: HTML instead of JSON, the message being the HTTP reason."""

    def error(self, message: str, **members: Any) -> ApiError:
        """Return the error answer with the message as it is for one request."""
        assert self.code is not None, "a failure is not an error"
        return ApiError(self.code, message, self.status, plain=self.plain, **members)


def _failure(reason: str, source: str) -> Answer:
    return Answer(None, reason, source, operations=_RUN_TASK)


def _run_task(code: str, message: str, source: str) -> Answer:
    return Answer(code, message, source, operations=_RUN_TASK)


ANSWERS: Mapping[str, Answer] = {
    # Throttling
    "throttle": Answer(
        "ThrottlingException", "Rate exceeded",
        "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html",
    ),
    "throttle_sentence": Answer("ThrottlingException", "Rate exceeded.", "cisagov/crossfeed#247"),
    "throttle_common_error": Answer(
        "ThrottlingException", "The request was denied due to request throttling.",
        f"{_NO_SOURCE} in {_COMMON_ERRORS}",
    ),
    "throttle_security_groups": _run_task(
        "InvalidParameterException",
        f"Error retrieving security group information for [{EXAMPLE_GROUP}]: Request limit exceeded. "
        "(ErrorCode: RequestLimitExceeded)",
        "dask/dask-cloudprovider#56, aws-solutions/distributed-load-testing-on-aws#41, reproio/wrapbox#32",
    ),
    "throttle_subnets": _run_task(
        "InvalidParameterException",
        f"Error retrieving subnet information for [{EXAMPLE_SUBNET}]: Rate exceeded (ErrorCode: Throttling)",
        "dagster-io/dagster dagster_aws_tests, test_run_task_throttle_failure",
    ),
    "throttle_ec2": _run_task(
        "RequestLimitExceeded", "Request limit exceeded.",
        "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/throttling.html",
    ),
    # Quotas and capacity, as errors
    "vcpu_quota_error": _run_task(
        "InvalidParameterException", "You’ve reached the limit on the number of vCPUs you can run concurrently",
        f"public code that catches it; the wording is also in {_EVENTS}",
    ),
    "task_quota_error": _run_task(
        "InvalidParameterException", "You’ve reached the limit on the number of tasks you can run concurrently",
        f"public code that catches it; the wording is also in {_EVENTS}",
    ),
    "provisioning_limit": _run_task(
        "ClientException", "Tasks provisioning capacity limit exceeded.",
        "aws/aws-sdk-ruby#3047, DIAGNijmegen/rse-grand-challenge#2013",
    ),
    # Quotas and capacity, as failures
    "no_capacity": _failure(
        "Capacity is unavailable at this time. Please try again later or in a different availability zone",
        "https://repost.aws/knowledge-center/ecs-fargate-runtask-capacity, gchq/sleeper#904",
    ),
    "vcpu_quota": _failure(
        "You’ve reached the limit on the number of vCPUs you can run concurrently",
        f"public code that reads failures[]; the wording is also in {_EVENTS}",
    ),
    "task_quota": _failure(
        "You've reached the limit on the number of tasks you can run concurrently",
        f"wellcomecollection/platform#3875, {_EVENTS}",
    ),
    "cpu_above_limit": _failure(
        "The requested CPU configuration is above your limit", f"dask/dask-cloudprovider#300, {_EVENTS}"
    ),
    "memory_above_limit": _failure("The requested MEMORY configuration is above your limit", _EVENTS),
    "resource_cpu": _failure("RESOURCE:CPU", _FAILURES),
    "resource_memory": _failure("RESOURCE:MEMORY", f"{_FAILURES}, PrefectHQ/prefect#20765"),
    "resource_ports": _failure("RESOURCE:PORTS", f"{_NO_SOURCE} on RESOURCE:* in {_FAILURES}"),
    "resource_eni": _failure("RESOURCE:ENI", _FAILURES),
    "resource_gpu": _failure("RESOURCE:GPU", _FAILURES),
    "resource_any": _failure("RESOURCE:*", _FAILURES),
    "agent": _failure("AGENT", _FAILURES),
    "attribute": _failure("ATTRIBUTE", f"{_FAILURES}, aws/amazon-ecs-agent#1423"),
    "location": _failure("LOCATION", _FAILURES),
    "missing": _failure("MISSING", f"{_FAILURES} (StartTask)"),
    "inactive": _failure("INACTIVE", f"{_FAILURES} (StartTask)"),
    "placement_constraint": _failure(
        "MemberOf placement constraint unsatisfied.", f"{_FAILURES}, aws/amazon-ecs-agent#3044"
    ),
    "empty_capacity_provider": _failure("EMPTY CAPACITY PROVIDER", f"{_FAILURES} (DescribeTasks)"),
    "no_active_instances": _failure("NO ACTIVE INSTANCES", f"{_FAILURES} (DescribeTasks)"),
    "internal_error": _failure("Internal error.", f"{_EVENTS} (a subnet in an unsupported Availability Zone)"),
    # Of the server
    "server_error": Answer(
        "ServerException", "Service Unavailable. Please try again later.", "aws/copilot-cli#3945", 500
    ),
    "internal_failure": Answer(
        "InternalFailure", "The request processing has failed because of an unknown error, exception or failure.",
        f"{_NO_SOURCE} in {_COMMON_ERRORS}", 500,
    ),
    "unavailable": Answer(
        "ServiceUnavailable", "The request has failed due to a temporary failure of the server.",
        f"{_NO_SOURCE} in {_COMMON_ERRORS}", 503,
    ),
    "plain_500": Answer("500", "Internal Server Error", "botocore/parsers.py, _is_generic_error_response", 500,
                        plain=True),
    "plain_502": Answer("502", "Bad Gateway", "botocore/parsers.py, _is_generic_error_response", 502, plain=True),
    "plain_503": Answer("503", "Service Unavailable", "botocore/parsers.py, _is_generic_error_response", 503,
                        plain=True),
    "plain_504": Answer("504", "Gateway Timeout", "botocore/parsers.py, _is_generic_error_response", 504, plain=True),
    # Credentials
    "expired_credentials": Answer(
        "ExpiredTokenException", "The security token included in the request is expired",
        "aws-samples/cdk-fargate-gitlab-runner#15",
    ),
    "invalid_credentials": Answer(
        "UnrecognizedClientException", "The security token included in the request is invalid.",
        "sat-utils/sat-api#136, aws-azure-login/aws-azure-login#37",
    ),
    "invalid_signature": Answer(
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method. Consult the service documentation for details.",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html",
    ),
    "clock_behind": Answer(
        "InvalidSignatureException",
        "Signature expired: 20211210T145000Z is now earlier than 20211210T145057Z (20211210T145557Z - 5 min.)",
        "public code; of the same form: fabfuel/ecs-deploy#126",
    ),
    "clock_ahead": Answer(
        "InvalidSignatureException",
        "Signature not yet current: 20201226T000000Z is still later than 20201122T215827Z "
        "(20201122T214327Z + 15 min.)",
        "public code; of the same form: aws/aws-sdk-js#2565",
    ),
    "wrong_region": Answer(
        "InvalidSignatureException", "Credential should be scoped to a valid region, not 'us-east-99'.",
        "of the form of fsouza/s3-upload-proxy#241",
    ),
    # Permissions
    "denied": Answer(
        "AccessDeniedException",
        "User: {user} is not authorized to perform: {action} on resource: {resource} because no identity-based policy "
        "allows the {action} action",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html, public code for RunTask",
    ),
    "denied_by_endpoint": Answer(
        "AccessDeniedException",
        "User: {user} is not authorized to perform: {action} on resource: {resource} because no VPC endpoint policy "
        "allows the {action} action",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html",
    ),
    "denied_by_organization": Answer(
        "AccessDeniedException",
        "User: {user} is not authorized to perform: {action} on resource: {resource} with an explicit deny in a "
        "service control policy",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html",
    ),
    "blocked": _run_task(
        "BlockedException", "Your account is currently blocked.",
        "DHIA2010/madar-ai-platform FARGATE_FORENSIC_REPORT.md",
    ),
    "account_blocked": _run_task("ClientException", "Account is blocked", "public code"),
    # Task definitions and roles
    "inactive_definition": _run_task("ClientException", "TaskDefinition is inactive", "public code"),
    "inactive_definition_parameter": _run_task(
        "InvalidParameterException", "TaskDefinition is inactive", "DefangLabs/defang#775"
    ),
    "unknown_definition": _run_task("ClientException", "TaskDefinition not found.", "Cloud-CV/EvalAI#2419"),
    "undescribed_definition": Answer(
        "ClientException", "Unable to describe task definition.", "sil-org/ecs-deploy#145",
        operations=frozenset({"DescribeTaskDefinition"}),
    ),
    "concurrent_revisions": Answer(
        "ClientException", "Too many concurrent attempts to create a new revision of the specified family.",
        "hashicorp/terraform-provider-aws#9777", operations=frozenset({"RegisterTaskDefinition"}),
    ),
    "invalid_role": Answer(
        "ClientException", "Role is not valid", "fabfuel/ecs-deploy#231",
        operations=frozenset({"RegisterTaskDefinition"}),
    ),
    "role_not_assumed": _run_task(
        "ClientException",
        "ECS was unable to assume the role 'arn:aws:iam::123456789012:role/ecsTaskExecutionRole' that was provided for "
        "this task. Please verify that the role being passed has the proper trust relationship and permissions and "
        "that your IAM user has permissions to pass this role.",
        "boto/boto3#1878",
    ),
    "service_linked_role": _run_task(
        "InvalidParameterException",
        "Unable to assume the service linked role. Please verify that the ECS service linked role exists.",
        "awslabs/fargatecli#35, aws-solutions/distributed-load-testing-on-aws#2",
    ),
    "memory_above_task": _run_task(
        "InvalidParameterException", "'memory' setting for container 'airflow' is greater than for task.",
        "artilleryio/artillery#591",
    ),
    "incompatible_platform": _run_task(
        "PlatformTaskDefinitionIncompatibilityException",
        "One or more of the requested capabilities are not supported.",
        "jenkinsci/amazon-ecs-plugin#218, CircleCI-Public/aws-ecs-orb#121",
    ),
    "unknown_platform": _run_task(
        "PlatformUnknownException", "The specified platform does not exist.", "jenkinsci/amazon-ecs-plugin#218"
    ),
    "unsupported_feature": _run_task(
        "UnsupportedFeatureException", "The specified task isn't supported in this Region.",
        f"{_NO_SOURCE} in botocore's ecs UnsupportedFeatureException",
    ),
    # Network and cluster
    "unknown_subnet": _run_task(
        "InvalidParameterException",
        f"Error retrieving subnet information for [{EXAMPLE_SUBNET}]: The subnet ID '{EXAMPLE_SUBNET}' does not exist "
        "(ErrorCode: InvalidSubnetID.NotFound)",
        "eddmann/serverless-fargate#20",
    ),
    "unknown_security_group": _run_task(
        "InvalidParameterException",
        f"Error retrieving security group information for [{EXAMPLE_GROUP}]: The security group '{EXAMPLE_GROUP}' does "
        "not exist (ErrorCode: InvalidGroup.NotFound)",
        "getmoto/moto moto/ecs/models.py",
    ),
    "other_vpc": _run_task(
        "InvalidParameterException",
        f"Security group {EXAMPLE_GROUP} does not appear to belong to the same VPC as the input subnets.",
        "public code",
    ),
    "blank_security_group": _run_task(
        "InvalidParameterException", "security group cannot be blank", "awslabs/fargatecli#73 (assembled)"
    ),
    "account_mismatch": _run_task("InvalidParameterException", "AccountIDs mismatch", "uktrade/platform-tools"),
    "unknown_cluster": Answer("ClusterNotFoundException", "Cluster not found.", "fabfuel/ecs-deploy"),
    # Requests
    "started_by_alone": Answer(
        "InvalidParameterException", "cannot specify startedBy with other arguments", "aws/aws-sdk-go-v2#1893",
        operations=frozenset({"ListTasks"}),
    ),
    "unknown_task": Answer(
        "InvalidParameterException", "The referenced task was not found.",
        "griptape-ai/griptape-nodes-engine#1454, wazuh/wazuh#25439", operations=frozenset({"StopTask"}),
    ),
    "no_tasks": Answer(
        "InvalidParameterException", "Tasks cannot be empty.", "awslabs/backstage-plugins-for-aws#140",
        operations=frozenset({"DescribeTasks"}),
    ),
    "conflict": _run_task(
        "ConflictException",
        "The RunTask request could not be processed due to conflicts. The provided clientToken is already in use with "
        "a different RunTask request.",
        f"{_NO_SOURCE} in botocore's ecs RunTask",
    ),
}  # fmt: skip
"""By name."""
_THROTTLING = re.compile("Throttling|RequestLimitExceeded|Rate exceeded")


def refusal(name: str, **members: Any) -> ApiError:
    """Return the error of that name; ``members`` are further ones of its shape."""
    answer = ANSWERS[name]
    return answer.error(answer.message, **members)


def is_throttling(error: ApiError) -> bool:
    """Return whether AWS refuses a call because there are too many."""
    return _THROTTLING.search(f"{error.code} {error.message}") is not None
