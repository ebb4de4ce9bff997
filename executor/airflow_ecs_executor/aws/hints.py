"""What a person can do about a failure, found from AWS's own words. Pure.

The same words mean different things in a failed call and in a stopped task. Messages of stopped tasks begin with what
could not be done, the subject, and end with why, unless Fargate has truncated the cause: advice is chosen by both.
Sources: Amazon ECS Developer Guide, "Amazon ECS stopped tasks error messages"; the messages of tests/phrasebook.
"""

from __future__ import annotations

import re
from typing import Mapping, NamedTuple, Sequence

from airflow_ecs_executor.aws.wording import clock_is_wrong, denied_action, policy_to_change, without_names

_Rules = Sequence["tuple[str, str]"]  # quoted for Python 3.8

_ROUTE = (
    "check the subnet's route to it (NAT gateway, VPC endpoints, or assign_public_ip in a public subnet), its DNS, and "
    "the security groups"
)
_NO_ADDRESS = "No network interface or IP address is free: use larger or more subnets, or larger container instances."
_OUT_OF_MEMORY = (
    "The container ran out of memory: raise `memory` in the task definition or in the task's executor_config."
)


class Advice(NamedTuple):
    """What a person can do, and whether waiting may help."""

    text: str
    waits: bool = False
    """Whether time, or the end of another task, may resolve it."""


class Explained:
    """What has a reason, and perhaps advice on it."""

    reason: str
    advice: str

    @property
    def explanation(self) -> str:
        """The reason, followed by the advice if there is one."""
        return f"{self.reason} {self.advice}".rstrip()


class _Placement(NamedTuple):
    """Words of ECS about where a task can run, in the case in which AWS writes them."""

    words: str
    waits: bool
    advice: str


NO_DEFINITION = r"TaskDefinition (?:is inactive|not found)|Unable to describe task definition"
"""RunTask was asked for a task definition that is not active, or does not exist."""
_CODE = r"(?:^|; |TaskFailedToStart: )"
"""What precedes a reason of one word, since such a word may be part of a name as well."""
# In RunTask's ``failures[]``, in failed calls, and in stopped tasks.
# Source: Amazon ECS Developer Guide, "API failure reasons" and "Service event messages".
_PLACEMENT: Sequence[_Placement] = (
    _Placement(
        r"RESOURCE:ENI|(?i:insufficient ?free ?addresses|not enough free addresses)|NetworkInterfaceLimit",
        True,
        _NO_ADDRESS,
    ),
    _Placement(
        rf"{_CODE}AGENT\b|doesn't have the agent connected",
        True,
        "The ECS agent of a container instance is not connected: check the instance, or replace it.",
    ),
    _Placement(
        r"(?i:provisioning).{0,60}(?i:limit|state\b)",
        True,
        "Too many tasks of the cluster wait for container instances: let the Auto Scaling groups of its capacity "
        "providers grow faster or larger, or lower [core] parallelism.",
    ),
    _Placement(r"DistinctInstance", True, "Each container instance already runs such a task: add instances."),
    _Placement(
        rf"placement constraint|{_CODE}ATTRIBUTE\b|missing an attribute",
        False,
        "No container instance has an attribute that the task definition or its placement constraints require: check "
        "the instances' attributes, and the definition's runtimePlatform, networkMode, volumes and log driver.",
    ),
    _Placement(
        r"EMPTY CAPACITY PROVIDER",
        True,
        "The capacity provider has no container instances: check its Auto Scaling group, and that managed scaling is "
        "on.",
    ),
    _Placement(
        r"NO ACTIVE INSTANCES|(?i:no container instances were found)",
        True,
        "The cluster has no active container instances: add instances or a capacity provider, or use Fargate.",
    ),
    _Placement(
        rf"{_CODE}LOCATION\b",
        False,
        "No container instance is in the zone that the placement needs: add instances, or other subnets.",
    ),
    _Placement(
        rf"(?i:not compatible with the selected compute strategy|does not support launch_?type"
        rf"|launch type.{{0,40}}compatib|launch type should be)|{_CODE}LAUNCH_TYPE\b",
        False,
        "Check the task definition's requiresCompatibilities against [aws_ecs_executor] launch_type and "
        "capacity_provider_strategy.",
    ),
    _Placement(
        r"TaskDefinition is inactive",
        False,
        "Register the task definition, or correct [aws_ecs_executor] task_definition.",
    ),
    _Placement(
        r"(?i:limit on the number of|above your limit|vcpu limit|concurrent(?:ly)? (?:running )?tasks)"
        r"|(?i:service quota|(?<!disk )quota.{0,40}(?:exceeded|reached)|(?:exceed\w*|reached).{0,40}quota)"
        r"|InstanceCountExceeded|VcpuLimitExceeded|InstanceLimitExceeded|ServiceQuotaExceeded|LimitExceeded",
        True,
        "A quota of the AWS account is exhausted: request an increase in Service Quotas, or lower [core] parallelism.",
    ),
    _Placement(
        rf"(?i:capacity is unavailable|insufficient ?(?:instance ?)?capacity|no capacity)|{_CODE}CAPACITY$"
        r"|UnfulfillableCapacity",
        True,
        "AWS has no capacity at the moment: add subnets in other availability zones, or a capacity provider strategy "
        "with FARGATE beside FARGATE_SPOT.",
    ),
    _Placement(
        r"RESOURCE:[\w*]|(?i:unable to place a task|closest matching|insufficient (?:cpu|memory|gpu))",
        True,
        "No container instance has room: add instances or a capacity provider, or ask for less CPU, memory or GPUs.",
    ),
    _Placement(
        r"(?i:service[- ]linked role)",
        True,
        "Create the ECS service-linked role: aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com",
    ),
    _Placement(rf"{_CODE}(?i:internal (?:server )?error)", True, ""),
)

_FAILED_CALL: _Rules = (
    (
        rf"{NO_DEFINITION}|task definition.{{0,80}}(?:inactive|does not exist|blank)|Invalid revision"
        r"|Family (?:contains|can)",
        "Register the task definition, or correct [aws_ecs_executor] task_definition.",
    ),
    (
        r"unable to assume the role",
        "Check the role's trust policy, which must name ecs-tasks.amazonaws.com, and that the role exists.",
    ),
    (
        r"execution role ARN|executionRoleArn",
        "Set executionRoleArn in the task definition: a role that may pull the image, read secrets and write logs.",
    ),
    (
        r"taskRoleArn",
        "Set taskRoleArn in the task definition: what the launch asks for, such as ECS Exec (enableExecuteCommand), "
        "needs a task role.",
    ),
    (r"Role is not valid", "Correct the task role and the execution role in the task definition."),
    (
        r"ClusterNotFound|cluster not found",
        "Create the cluster, or correct [aws_ecs_executor] cluster and region_name.",
    ),
    (r"cluster.{0,40}inactive", "Create the cluster again, or correct [aws_ecs_executor] cluster."),
    (
        r"Network Configuration must be provided|subnets can ?not be (?:empty|blank)",
        "Set [aws_ecs_executor] subnets: the task definition uses awsvpc.",
    ),
    (
        r"Network Configuration is not valid",
        "Leave [aws_ecs_executor] subnets, security_groups and assign_public_ip out, or give the task definition the "
        "network mode awsvpc.",
    ),
    (r"assign public ip", "Leave [aws_ecs_executor] assign_public_ip out: only Fargate takes a public IP."),
    (r"InvalidSubnetID|subnet ID|same VPC as the input subnets", "Correct [aws_ecs_executor] subnets: all of one VPC."),
    (r"InvalidGroup|security group", "Correct [aws_ecs_executor] security_groups: they belong to the subnets' VPC."),
    (
        r"not a container in the TaskDefinition",
        "Correct [aws_ecs_executor] container_name: it is the name of a container in the task definition.",
    ),
    (
        r"PlatformTaskDefinitionIncompatibility|PlatformUnknown|platform version|requested capabilities",
        "Check [aws_ecs_executor] platform_version and launch_type against what the task definition requires.",
    ),
    (
        r"'(?:memory|cpu)' (?:setting|be defined)|No Fargate configuration exists|Invalid (?:cpu|memory)",
        "Correct the CPU and memory of the task definition, or of the task's executor_config.",
    ),
    (
        r"Fargate (?:only supports|requires|does not support)|network ?mode",
        "Correct the task definition: Fargate requires the network mode awsvpc, CPU and memory at the task level, "
        "and an execution role.",
    ),
    (
        r"length must be at most|Max allowed length|too long\b",
        "Make the overrides or the task definition smaller (8,192 and 65,536 bytes at most), or set "
        "[airflow_ecs_executor] workload_s3_uri, so that long commands go through S3.",
    ),
    (r"[Ss]ome tags|tag (?:key|value)", "Correct the tags in run_task_kwargs or in the task's executor_config."),
    (r"stop timeout", "Set stopTimeout in the task definition to at most 120 seconds."),
    (r"memoryReservation", "Set memory in the task definition."),
    (r"Unknown volume", "Correct the volumes and mount points of the task definition."),
    (r"needs a subscription|SubscriptionRequired|OptInRequired", "Complete the sign-up of the AWS account."),
    (r"region_name", "Correct [aws_ecs_executor] region_name."),
    (r"Container\.image", "Correct the image of the container in the task definition."),
    (
        r"new ARN (?:and resource ID )?format",
        "Turn on the account setting taskLongArnFormat, which tags need: aws ecs put-account-setting-default.",
    ),
    (
        r"Unsupported resource type|Invalid identifier|Invalid (?:arn|id)",
        "Correct the name or ARN in [aws_ecs_executor] cluster or task_definition.",
    ),
    (
        r"account (?:is|has been).{0,20}(?:blocked|suspended)|BlockedException",
        "The AWS account is blocked: ask AWS Support.",
    ),
    (r"scoped to a valid region", "Correct [aws_ecs_executor] region_name."),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSL validation failed",
        "The TLS certificate of the endpoint is not trusted: set AWS_CA_BUNDLE to the certificates of your proxy.",
    ),
    (
        r"capacity provider",
        "Correct [aws_ecs_executor] capacity_provider_strategy: the cluster must have each of its capacity providers.",
    ),
)
_NOT_ALLOWED = re.compile(r"not authorized to perform|AccessDenied|UnauthorizedOperation|not authorized", re.IGNORECASE)


def of_failed_call(text: str) -> str:
    """Return advice about an error that AWS returned to the scheduler; ``text`` has its code and its message."""
    if _NOT_ALLOWED.search(text):
        return _allow(text, "the scheduler's role")
    if clock_is_wrong(text):
        return "Set the clock of the scheduler's host."
    text = without_names(text)
    placement = _placement(text)
    if placement.text:
        return placement.text
    return next((advice for pattern, advice in _FAILED_CALL if re.search(pattern, text, re.IGNORECASE | re.DOTALL)), "")


def of_placement(text: str) -> Advice:
    """Return advice about a reason of RunTask's ``failures[]``, or about the message of a failed call."""
    return _placement(without_names(text))


def of_stopped_task(text: str) -> Advice:
    """Return advice about a stopped ECS task, from what ECS says about it and its container, without exit codes."""
    text = without_names(text)
    told = _SECRETS_OR_AUTH.sub("", text)
    subjects = _SUBJECTS if told == text else {name: _SUBJECTS[name] for name in _SECRETS_OR_AUTH_SUBJECTS}
    subject = next((name for name, pattern in subjects.items() if re.search(pattern, told, re.IGNORECASE)), "")
    if not subject:
        placement = _placement(told)
        if placement.text or "ResourceInitializationError" not in text:
            return placement
        subject = "initialization" if told == text else "secret or auth"
    advice, cause = _ADVICE[subject], _last(_CAUSES, told)
    if cause == "denied" and "role" in advice and denied_action(text):
        return Advice(_allow(text, advice["role"]))
    return Advice(advice.get(cause, advice[""]), (subject, cause) in _WAITS)


def _placement(text: str) -> Advice:
    found = (Advice(rule.advice, rule.waits) for rule in _PLACEMENT if re.search(rule.words, text, re.DOTALL))
    return next(found, Advice(""))


def _allow(text: str, whose: str) -> str:
    """Return which policy to change so that an action is allowed."""
    action = denied_action(text) or "the action"
    policy = policy_to_change(text)
    if policy:
        return f"{action}: {policy}."
    if action == "iam:PassRole":
        return f"Allow {whose} iam:PassRole on the task definition's task role and execution role, in its IAM policy."
    return f"Allow {action} in the IAM policy of {whose}."


def _last(patterns: Mapping[str, str], text: str) -> str:
    """Return the name of the pattern that ends last in a text, or an empty string."""
    ends = (
        (match.end(), number, name)
        for number, (name, pattern) in enumerate(patterns.items())
        for match in re.finditer(pattern, text, re.IGNORECASE)
    )
    return max(ends, default=(0, 0, ""))[2]


_SECRETS_OR_AUTH = re.compile(r"unable to pull secrets or registry auth(?:entication)?")
"""A prefix of AWS that names two subjects; the text after it tells which of them failed."""

_SECRETS_OR_AUTH_SUBJECTS = ("registry secret", "auth", "secret")

_SUBJECTS: Mapping[str, str] = {
    "image": r"CannotPull|pull image|failed to resolve ref|ref pull has been retried",
    "memory": r"OutOfMemory|out of memory|OOM-killed",
    "maintenance": r"performing maintenance|\bretire(?:d\b|ment\b)",
    "host": r"Host EC2|container instance.{0,40}(?:terminat|deregist|stopped|draining)",
    "instances": r"Unable to launch instance",
    "health": r"container health checks|ELB health checks",
    "storage": r"EphemeralStorage",
    "environment": r"environment file|env file",
    "volume": r"\bEFS\b|EFS utils|mount\.nfs|CannotCreateVolume|VolumeDriver|/volumes/|\bFSx\b|EBS volume",
    "log router": r"log router|firelens|fluent|splunk|gelf|syslog|journald",
    "logs": r"logger args|logging driver|log driver|Cloudwatch log|awslogs|log router|firelens",
    "registry secret": r"registry auth from asm|asm fetching|AuthorizationData",
    "auth": r"registry auth|ecr:GetAuthorizationToken|GetAuthorizationToken",
    "secret": r"secrets? from|Secrets? ?Manager|\bSSM\b|\basm\b|secretsmanager:|ssm:",
    "timeout": r"DockerTimeout|ContainerRuntimeTimeout|could not transition to",
    "start": r"CannotStartContainer|CannotCreateContainer|failed to create (?:shim )?task|exec format error|exec: ",
    "interface": r"network interface|\bENI\b",
}
"""What could not be done, the most specific first: a container may fail to start because of its logs."""

_CAUSES: Mapping[str, str] = {
    "network": r"i/o timeout|connection (?:refused|reset|issue|timed out)|no route to host|network is unreachable"
    r"|request (?:context )?cancell?ed|context (?:deadline exceeded|canceled)|client\.timeout|no such host"
    r"|name resolution|TLS handshake timeout|send request failed|signal: killed|\bEOF\b|timed out|dial tcp"
    r"|check your (?:task )?network configuration|failed to resolve \"",
    "certificate": r"x509|certificate signed by unknown|certificate verify failed",
    "denied": r"not authorized to perform|AccessDenied|UnauthorizedOperation|403 Forbidden|: 403\b",
    "login": r"pull access denied|requested access to the resource is denied|unauthorized\b|no basic auth credentials"
    r"|failed to authorize|authorization failed|incorrect username or password|authentication required"
    r"|authorization token has expired",
    "missing": r"not found\b|manifest unknown|name unknown|does not exist(?!\s+or)|can't find|ResourceNotFound"
    r"|no such file or directory|NoSuch(?:Key|Bucket)|ParameterNotFound|invalid parameters?:",
    "throttled": r"toomanyrequests|too many requests|\b429\b|rate exceeded|throttl|pull rate limit"
    r"|RequestLimitExceeded",
    "disk": r"no space left on device|free data blocks|disk quota exceeded",
    "platform": r"matching platform|no matching manifest|exec format error|does not match the (?:specified|detected)",
    "server": r"\b50[0234]\b|service unavailable|InternalFailure|InternalServer|internal server error",
    "quota": r"CountExceeded|LimitExceeded\b",
    "media type": r"media[- ]?type|in-toto",
    "runtime": r"devicemapper|dm_task_run|register layer|containerd\.sock",
    "key": r"did not contain json key|invalid character",
    "value": r"staging label|secret value for",
    "port": r"port is already allocated|address already in use",
    "device": r"custom device.*|nvidia.*",
    "deleted": r"marked for deletion|scheduled for deletion",
    "invalid": r"ValidationException|Invalid name|InvalidParameter\b|InvalidParameterException|invalid ARN",
    "address": r"InsufficientFreeAddresses|NetworkInterfaceLimit|insufficient free addresses|not enough free addresses",
    "tags": r"TagPolicyViolation|to tag the network interface",
    "command": r"executable file not found|exec: .*no such file or directory|stat .*no such file or directory",
    "permission": r"permission denied|operation not permitted",
    "encryption key": r"\bkms\b.{0,60}(?:disabled|not ?found|pending|invalid ?state)"
    r"|KMS\w*(?:Disabled|NotFound|InvalidState)",
    "option": r"is required|unknown log opt|invalid (?:log|logger)",
}
"""Why it could not be done. The last cause in a message counts; of two at one position, the later in this table."""

_WAITS = frozenset({("interface", "address"), ("interface", "throttled"), ("instances", ""), ("instances", "quota")})
"""Subjects and causes that time resolves."""

_ADVICE: Mapping[str, Mapping[str, str]] = {
    "memory": {"": _OUT_OF_MEMORY},
    "maintenance": {"": "AWS retired the host of the task for maintenance: the task did not cause the failure."},
    "host": {
        "": "The container instance was terminated or drained while the task ran on it: the task did not cause the "
        "failure."
    },
    "instances": {
        "": "AWS could not launch an instance for the capacity provider: allow more instance types and zones in its "
        "instance requirements, or wait for capacity.",
        "denied": "The infrastructure role of the capacity provider may not launch instances: correct its permissions.",
        "role": "the capacity provider's infrastructure role",
        "quota": "A quota of the AWS account for instances is exhausted: request an increase in Service Quotas.",
    },
    "health": {"": "A health check ended the task: correct or remove healthCheck in the task definition."},
    "log router": {
        "": "The log driver could not start: check logConfiguration in the task definition, and that the log router is "
        "there and runs.",
    },
    "storage": {"": "AWS did not provide the task's ephemeral storage in time: try again, or in another zone."},
    "volume": {
        "": "The volume could not be mounted: check the EFS file system's ID, its mount targets, the security groups "
        "(NFS, port 2049), and the access that the file system's policy and the access point give.",
        "denied": "The EFS file system refused the mount.",
        "role": "the task role",
        "network": "The volume's file system could not be reached: check that EFS has a mount target in the subnet's "
        "zone, and that the security groups allow NFS (port 2049).",
        "missing": "The volume's root directory, its access point or its EFS file system does not exist: correct the "
        "volumes of the task definition.",
        "permission": "The volume's owner could not be set: give the EFS access point the user and group of the "
        "container, or set it on the file system (the container's start tries chown).",
    },
    "logs": {
        "": "The log driver could not start: check logConfiguration in the task definition, that the log group exists "
        "or may be created by the execution role, and the subnet's route to CloudWatch Logs.",
        "network": f"CloudWatch Logs could not be reached: {_ROUTE}.",
        "denied": "The execution role (on EC2 without one, the instance role) may not write logs: allow "
        "logs:CreateLogStream and logs:PutLogEvents.",
        "role": "the execution role (on EC2 without one, the instance role), so that logs can be written",
        "missing": "The log group does not exist: create it, or set awslogs-create-group and allow the execution role "
        "logs:CreateLogGroup.",
        "option": "The options of the log driver are incomplete or wrong: correct logConfiguration in the task "
        "definition (awslogs-group, awslogs-region, awslogs-stream-prefix).",
    },
    "environment": {
        "": "An environment file could not be read: check environmentFiles in the task definition, s3:GetObject and "
        "s3:GetBucketLocation of the execution role, and the subnet's route to S3.",
        "denied": "The execution role may not read an environment file: allow s3:GetObject and s3:GetBucketLocation.",
        "role": "the execution role, so that the environment file can be read",
        "network": f"An environment file could not be read, since S3 could not be reached: {_ROUTE}.",
        "missing": "An environment file does not exist: correct environmentFiles in the task definition.",
    },
    "image": {
        "": "The image could not be pulled: check that the tag exists for this CPU architecture, that the execution "
        "role may read the registry, and that the subnet has a route to it (NAT gateway, VPC endpoints or a public "
        "IP).",
        "network": f"The registry of the image could not be reached: {_ROUTE}. For ECR these are the endpoints "
        "ecr.api, ecr.dkr and S3.",
        "certificate": "The TLS certificate of the registry is not trusted: ECS accepts only those of public "
        "authorities. Copy the image to Amazon ECR.",
        "denied": "The registry refused the image to the execution role (on EC2 without one, the instance role): allow "
        "ecr:GetAuthorizationToken, ecr:BatchCheckLayerAvailability, ecr:GetDownloadUrlForLayer and "
        "ecr:BatchGetImage, and check the repository's policy.",
        "role": "the execution role (on EC2 without one, the instance role), and check the image repository's policy",
        "login": "The image does not exist, or the registry requires credentials: check the image's name and tag; for "
        "ECR, the permissions of the execution role and the repository's policy; for another private registry, "
        "repositoryCredentials in the task definition, to log in.",
        "missing": "The image could not be pulled, since it does not exist: check the repository, the tag and the "
        "region in the task definition's image.",
        "throttled": "The registry's rate limit is reached: copy the image to Amazon ECR, or log in to the registry "
        "with repositoryCredentials in the task definition.",
        "disk": "The disk space is too small for the image: raise ephemeralStorage of the task definition (on EC2, the "
        "instance's disk), or build a smaller image.",
        "platform": "The image was not built for this CPU architecture: build it for the platform that the task "
        "definition's runtimePlatform names.",
        "media type": "The host does not support a part of the image, such as an attestation (provenance, SBOM): "
        "build it with --provenance=false --sbom=false.",
        "runtime": "The container runtime of the host could not unpack the image: try again, or replace the instance.",
        "server": "The registry of the image failed: try again, and see its status page.",
    },
    "registry secret": {
        "": "The secret of repositoryCredentials in the task definition could not be used: it is a JSON object with "
        "username and password, which the execution role may read.",
        "network": f"Secrets Manager, which has the registry's credentials, could not be reached: {_ROUTE}.",
        "role": "the execution role, which reads the secret of repositoryCredentials",
    },
    "auth": {
        "": f"The login to Amazon ECR failed: allow the execution role ecr:GetAuthorizationToken, and {_ROUTE}.",
        "network": f"Amazon ECR could not be reached: {_ROUTE}. The endpoints are ecr.api, ecr.dkr and S3.",
        "denied": "The execution role may not log in to Amazon ECR: allow ecr:GetAuthorizationToken.",
        "role": "the execution role",
    },
    "secret": {
        "": "A secret of the task definition could not be read: check the execution role's secretsmanager, ssm and kms "
        "permissions, the secret's name, and the subnet's route to the service.",
        "network": f"The service that has the task definition's secrets (Secrets Manager, SSM) could not be reached: "
        f"{_ROUTE}.",
        "denied": "The execution role may not read a secret of the task definition: allow "
        "secretsmanager:GetSecretValue, ssm:GetParameters, and kms:Decrypt for a key of your own.",
        "role": "the execution role, which reads the secrets of the task definition",
        "missing": "A secret or parameter that the task definition names does not exist: check its name or ARN, and "
        "its region.",
        "key": "The secret has no such key, or is not JSON: correct the key at the end of valueFrom in the task "
        "definition, or the secret's value.",
        "value": "The secret has no value of this version or stage: put a value into it, or correct the version in "
        "valueFrom.",
        "deleted": "The secret is marked for deletion: restore it (aws secretsmanager restore-secret), or name another "
        "in the task definition.",
        "invalid": "The valueFrom in the task definition is not a valid name or ARN of a secret: check that it exists, "
        "and how it is written.",
        "throttled": "Secrets Manager or SSM throttled the start: try again; for SSM, turn on higher throughput.",
        "encryption key": "The KMS key of a secret cannot be used: check that it exists and is enabled.",
        "server": "Secrets Manager or SSM failed: try again.",
    },
    "timeout": {
        "": "The container did not start in time: the container instance is overloaded, or its disk too slow. Try "
        "again, or replace the instance.",
    },
    "start": {
        "": "The container could not be started: check the image's entrypoint and command, and its CPU architecture "
        "against the task definition's runtimePlatform.",
        "platform": "The image was built for another CPU architecture: build it for the platform that the task "
        "definition's runtimePlatform names.",
        "command": "The command of the container was not found: check the image's entrypoint and the task "
        "definition's entryPoint and command.",
        "missing": "A file that the container's start needs does not exist: check the image's entrypoint, and the task "
        "definition's entryPoint, command and volumes.",
        "permission": "The container's entrypoint or a volume may not be used: check that it is executable, and the "
        "user of the task definition.",
        "port": "The port on the container instance is taken: leave hostPort out of the task definition's port "
        "mappings, or use the network mode awsvpc.",
        "device": "The container instance has no such device, or no driver for it: correct the devices and GPUs in the "
        "task definition, or choose another instance type and AMI.",
        "runtime": "The container runtime of the host failed: try again, or replace the container instance.",
        "disk": "The disk of the container instance has no space left: raise it, or let the ECS agent clean up sooner.",
        "server": "The container runtime of the host failed: try again, or replace the container instance.",
        "network": "The container runtime of the host did not answer: try again, or replace the container instance.",
    },
    "interface": {
        "": "The task's network interface could not be made ready: try again, and check that its subnets have free "
        "addresses.",
        "address": _NO_ADDRESS,
        "throttled": "EC2 throttled the creation of network interfaces: lower run_task_rate, or try again.",
        "tags": "The tags of the network interface were refused: correct the tags of the launch, or the tag policy of "
        "your organization.",
        "denied": "The network interface could not be created: check the ECS service-linked role and your service "
        "control policies.",
        "role": "the ECS service-linked role",
    },
    "secret or auth": {
        "": "A secret of the task definition, or the login to the image's registry, failed: check the execution role's "
        "permissions (secretsmanager, ssm, kms, ecr:GetAuthorizationToken), and the subnet's route to these services.",
        "network": f"Amazon ECR, Secrets Manager or SSM could not be reached: {_ROUTE}.",
        "role": "the execution role",
    },
    "initialization": {
        "": "The task could not be set up: the end of the message says why.",
        "network": f"A service that the task needs to start could not be reached: {_ROUTE}.",
        "role": "the execution role",
    },
}
"""By subject, then by cause; "" is for an unknown cause. ``role`` is the role that needs the denied permission."""

EXIT_CODES: Mapping[int, str] = {
    1: "The command failed: the container's own log says why.",
    80: "The image's entrypoint found a setting that is missing or not valid: see the container's log.",
    81: "The image's entrypoint had no AWS credentials or no access to the DAGs: check the task role.",
    82: "The image's entrypoint could not sync the DAGs: see the container's log.",
    83: "The Airflow of the image is incompatible with the scheduler: build the image for the scheduler's version.",
    84: "The image's entrypoint could not reach S3, or not in time.",
    85: "The container was stopped while its DAGs were synced: the task has not run.",
    125: "The container could not be started.",
    126: "The command of the container is not executable.",
    127: "The command of the container was not found: is this an Airflow image?",
    137: "The container was killed: out of memory, or it did not end within stopTimeout after SIGTERM.",
    139: "The process crashed (segmentation fault).",
    143: "The container was stopped (SIGTERM).",
}
"""Advice about the exit codes of a container that ended by itself."""
