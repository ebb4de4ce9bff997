"""Ends of tasks by name: stop code, reasons and exit code as on AWS, and the source of the wording.

A name is what tasks to come end with, ``behave("task-3", end="pull_not_found")``, and what tasks that live are stopped
with, ``stop_tasks(arns, "spot_interruption")``. Account, image and instance in the words are those of an example.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ESSENTIAL_EXITED = "EssentialContainerExited"
ESSENTIAL_EXITED_REASON = "Essential container in task exited"
FAILED_TO_START = "TaskFailedToStart"
_FAILED_TO_START_REASON = "Task failed to start"
_GUIDE = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide"
_STOPPED_GUIDE = "awsdocs/amazon-ecs-developer-guide doc_source/stopped-task-errors.md"
_NO_SOURCE = "no public source; worded after"
_SIGTERM, _SIGKILL = 143, 137


@dataclass(frozen=True)
class End:
    """Why and how a task ended."""

    stop_code: str | None
    reason: str
    source: str
    """Of the wording; one that begins with ``no public source`` is not AWS's."""
    container_reason: str | None = None
    exit_code: int | None = None
    """Of the container; None: its own, if it has one."""
    started: bool = True
    """Whether the task has run."""
    host_lost: bool = False
    """No container has an exit code, as nobody is left to tell it."""

    def as_behaviour(self) -> dict[str, Any]:
        """Return the fields of a behaviour whose tasks end so."""
        return {
            "never_starts": None if self.started else self.reason,
            "exit_code": self.exit_code,
            "stop_code": self.stop_code,
            "stopped_reason": self.reason,
            "container_reason": self.container_reason,
        }


def _never_started(reason: str, source: str) -> End:
    return End(FAILED_TO_START, reason, source, started=False)


def _container_never_started(reason: str, source: str) -> End:
    return End(FAILED_TO_START, _FAILED_TO_START_REASON, source, reason, started=False)


def _exited(exit_code: int, source: str, container_reason: str | None = None) -> End:
    return End(ESSENTIAL_EXITED, ESSENTIAL_EXITED_REASON, source, container_reason, exit_code)


ENDS: Mapping[str, End] = {
    # The program's own
    "succeeded": _exited(0, "apache/airflow test_ecs.py"),
    "failed": _exited(1, "apache/airflow test_ecs.py"),
    "killed": _exited(_SIGKILL, "aws/aws-for-fluent-bit#11"),
    "out_of_memory": _exited(
        _SIGKILL, "aws/amazon-ecs-agent#1187", "OutOfMemoryError: Container killed due to memory usage"
    ),
    # Somebody's
    "stopped_by_user": End("UserInitiated", "Task stopped by user", "public code", exit_code=_SIGTERM),
    # Capacity that is taken back
    "spot_interruption": End(
        "SpotInterruption", "Your Spot Task was interrupted.",
        f"{_GUIDE}/fargate-capacity-providers.html; the stop code is botocore's, TaskStopCode", exit_code=_SIGTERM,
    ),
    "spot_interruption_killed": End(
        "SpotInterruption", "Your Spot Task was interrupted.",
        f"{_GUIDE}/fargate-capacity-providers.html; the stop code is botocore's, TaskStopCode", exit_code=_SIGKILL,
    ),
    "spot_termination_notice": End(
        "TerminationNotice", "Your Spot Task was interrupted.",
        f"{_GUIDE}/fargate-capacity-providers.html (an event of a task that still runs)", exit_code=_SIGTERM,
    ),
    # Hosts that are gone
    "host_terminated": End(
        "TerminationNotice", "Host EC2 (instance i-0123456789abcdef0) terminated.",
        f"{_STOPPED_GUIDE}; the stop code is of public code", host_lost=True,
    ),
    "host_terminated_without_stop_code": End(
        None, "Host EC2 (instance i-0123456789abcdef0) terminated.", "apache/airflow test_ecs.py", host_lost=True
    ),
    "host_stopped": End(
        "TerminationNotice", "Host EC2 (instance i-0123456789abcdef0) stopped.",
        f"{_STOPPED_GUIDE}; the stop code is that of a terminated host", host_lost=True,
    ),
    "host_deregistered": End(
        None, "Container instance deregistration forced by user", f"{_GUIDE}/stopped-task-error-codes.html",
        host_lost=True,
    ),
    "infrastructure_health": End(
        "InfrastructureHealth", "The underlying infrastructure of the task is unhealthy.",
        f"{_NO_SOURCE} mondoohq/mql#9572, which tells what the stop code stands for", host_lost=True,
    ),
    "maintenance": End(
        "ServiceSchedulerInitiated", "ECS is performing maintenance on the underlying infrastructure hosting the task",
        f"{_GUIDE}/task-maintenance.html; stop code and exit code of public code", exit_code=_SIGKILL,
    ),
    # Of services alone
    "scaled_in": End(
        "ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/8646900195280463695)",
        f"{_STOPPED_GUIDE}; the stop code is of public code", exit_code=_SIGTERM,
    ),
    "health_checks_failed": End(
        "ServiceSchedulerInitiated",
        "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:us-east-1:123456789012:"
        "targetgroup/Example/7a7a1fcbd0455d4b)",
        "public code; its beginning in https://repost.aws/knowledge-center/ecs-task-stopped", exit_code=_SIGTERM,
    ),
    # The image
    "pull_not_found": _never_started(
        "CannotPullContainerError: pull image manifest has been retried 7 time(s): failed to resolve ref "
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:latest: "
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:latest: not found",
        "usdigitalresponse/usdr-gost#4036",
    ),
    "pull_denied": _never_started(
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
        "docker.io/library/app:latest: pull access denied, repository does not exist or may require "
        "authorization: server message: insufficient_scope: authorization failed",
        "docker-archive/compose-cli#853 (without the number of tries), public code",
    ),
    "pull_denied_by_role": _container_never_started(
        "CannotPullContainerError: The task can’t pull the image. Check that the role has the permissions to "
        "pull images from the registry. Error response from daemon: pull access denied for "
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/my_image, repository does not exist or may require "
        "'docker login': denied: User: arn:aws:sts::123456789012:assumed-role/MyBrokenRole/xyz is not "
        "authorized to perform: ecr:BatchGetImage on resource: "
        "arn:aws:ecr:us-east-1:123456789012:repository/test_image because no identity-based policy allows the "
        "ecr:BatchGetImage action",
        "aws/amazon-ecs-agent agent/api/errormessages/error_messages_test.go",
    ),
    "pull_denied_by_daemon": _never_started(
        "CannotPullContainerError: Error response from daemon: pull access denied for "
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/my-service, repository does not exist or may require "
        "'docker login'",
        "assembled from parts: aws/amazon-ecs-agent agent/api/errormessages/error_messages_test.go",
    ),
    "pull_unknown_image": _container_never_started(
        "CannotPullContainerError: The task can’t pull the image. Check whether the image exists. Error "
        "response from daemon: pull access denied for some/nonsense, repository does not exist or may require "
        "'docker login': denied: requested access to the resource is denied",
        "aws/amazon-ecs-agent agent/api/errormessages/error_messages_test.go",
    ),
    "pull_wrong_platform": _never_started(
        "CannotPullContainerError: pull image manifest has been retried 7 time(s): image Manifest does not "
        "contain descriptor matching platform 'linux/amd64'",
        "public code",
    ),
    "pull_timeout": _never_started(
        "CannotPullContainerError: pull image manifest has been retried 5 time(s): Get "
        "\"https://123456789012.dkr.ecr.us-east-1.amazonaws.com/v2/app/manifests/latest\": dial tcp "
        "10.0.0.1:443: i/o timeout",
        "dagster-io/dagster test_launcher (public code)",
    ),
    "pull_resolve_timeout": _never_started(
        "CannotPullContainerError: inspect image has been retried 5 time(s): failed to resolve ref "
        "\"123456789012.dkr.ecr.us-east-1.amazonaws.com/app:latest\": failed to do request: Head "
        "https://123456789012.dkr.ecr.us-east-1.amazonaws.com/v2/app/manifests/latest: dial tcp 52.94.0.1:443: "
        "i/o timeout",
        "assembled from parts: public code",
    ),
    "pull_login_timeout": _container_never_started(
        "CannotPullECRContainerError: The task can’t pull the image. Check your network configuration. "
        "RequestError: send request failed\ncaused by: Post \"https://api.ecr.us-east-1.amazonaws.com/\": "
        "net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
        "aws/amazon-ecs-agent error_messages_test.go, public code",
    ),
    "pull_connection": _never_started(
        "CannotPullContainerError: API error (500): Get "
        "https://123456789012.dkr.ecr.us-east-1.amazonaws.com/v2/: net/http: request canceled while waiting "
        "for connection",
        f"{_GUIDE}/task_cannot_pull_image.html",
    ),
    "pull_interrupted": _never_started(
        "CannotPullContainerError: context canceled",
        f"{_GUIDE}/task_cannot_pull_image.html, public code",
    ),
    "pull_broken_off": _never_started(
        "CannotPullContainerError: ref pull has been retried 5 time(s): failed to copy: httpReadSeeker: failed "
        "open: failed to do request: Get "
        "\"https://prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com/0123\": EOF",
        "assembled from parts: dagster-io/dagster dagster_aws/ecs/utils.py (transient: EOF)",
    ),
    "pull_unexpected_status": _never_started(
        "CannotPullContainerError: ref pull has been retried 1 time(s): failed to copy: httpReaderSeeker: "
        "failed open: unexpected status code",
        f"{_GUIDE}/task_cannot_pull_image.html",
    ),
    "pull_rate_limit": _never_started(
        "CannotPullContainerError: inspect image has been retried 1 time(s): httpReaderSeeker: failed open: "
        "unexpected status code https://registry-1.docker.io/v2/library/nginx/manifests/sha256:0123: 429 Too "
        "Many Requests - Server message: toomanyrequests: You have reached your pull rate limit. You may "
        "increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limits",
        f"assembled from parts: {_GUIDE}/task_cannot_pull_image.html (wording of the limit)",
    ),
    "pull_no_space": _never_started(
        "CannotPullContainerError: ref pull has been retried 1 time(s): failed to extract layer "
        "sha256:7c524a8642865c29df8d3973cefe8430653ba7fea85bd386e24e522601c30227: write "
        "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/86/fs/home/user/.local/li"
        "b/python3.10/site-packages/numpy/linalg.pyc: no space left on device: unknown",
        "anomalyco/sst#3542",
    ),
    "pull_wrong_password": _container_never_started(
        "CannotPullContainerError: API error (500): Get "
        "https://registry-1.docker.io/v2/library/amazonlinux/manifests/1: unauthorized: incorrect username or password",
        "aws/amazon-ecs-agent error_messages_test.go",
    ),
    # Secrets and the login at the registry
    "registry_auth_timeout": _never_started(
        "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry "
        "auth from Amazon ECR: There is a connection issue between the task and Amazon ECR. Check your task "
        "network configuration. RequestError: send request failed caused by: Post "
        "\"https://api.ecr.us-east-1.amazonaws.com/\": dial tcp 44.213.79.86:443: i/o timeout",
        "aws/copilot-cli#5927",
    ),
    "registry_auth_timeout_retried": _never_started(
        "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry "
        "auth from Amazon ECR: There is a connection issue between the task and Amazon ECR. Check your task "
        "network configuration. operation error ECR: GetAuthorizationToken, exceeded maximum number of "
        "attempts, 3, https response error StatusCode: 0, RequestID: , request send failed, Post "
        "\"https://api.ecr.me-central-1.amazonaws.com/\": dial tcp 10.0.0.1:443: i/o timeout",
        "aws/copilot-cli#5927 (its beginning), public code",
    ),
    "registry_auth_timeout_old": _never_started(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
        "failed: unable to retrieve ecr registry auth: service call has been retried 3 time(s): RequestError: "
        "send request failed caused by: Post https://api.ecr.us-east-1.amazonaws.com/: dial tcp "
        "52.46.135.102:443: i/o timeout",
        "doctorray117/minecraft-ondemand#74",
    ),
    "parameters_timeout": _never_started(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
        "failed: unable to retrieve secrets from ssm: service call has been retried 5 time(s): "
        "RequestCanceled: request context canceled caused by: context deadline exceeded",
        "umotif-public/terraform-aws-ecs-fargate#50, hashicorp/terraform-provider-aws#33044",
    ),
    "parameters_denied": _never_started(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
        "failed: unable to retrieve secrets from ssm: service call has been retried 1 time(s): operation error "
        "SSM: GetParameters, https response error StatusCode: 400, RequestID: "
        "00000000-0000-0000-0000-000000000000, api error AccessDeniedException: User: "
        "arn:aws:sts::123456789012:assumed-role/ecs-execution/0123 is not authorized to perform: "
        "ssm:GetParameters on resource: arn:aws:ssm:us-east-1:123456789012:parameter/app because no "
        "identity-based policy allows the ssm:GetParameters action",
        "public code; an older form in aws/copilot-cli#3104",
    ),
    "secret_timeout": _never_started(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
        "failed: unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch "
        "secret arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:app from secrets manager: "
        "RequestCanceled: request context canceled caused by: context deadline exceeded",
        "Releem/releem-agent#195",
    ),
    "secret_without_key": _never_started(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
        "failed: unable to retrieve secret from asm: service call has been retried 1 time(s): retrieved secret "
        "from Secrets Manager did not contain json key connectionString",
        "aws/amazon-ecs-agent agent/asm/asm.go (its end), public code",
    ),
    "secret_deleted": _never_started(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
        "failed: unable to retrieve secret from asm: service call has been retried 1 time(s): "
        "InvalidRequestException: You can't perform this operation on the secret because it was marked for deletion.",
        "external-secrets/kubernetes-external-secrets#415 (its end), public code",
    ),
    "secret_unknown": _never_started(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
        "failed: unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch "
        "secret arn:aws:secretsmanager:us-east-1:123456789012:secret:app from secrets manager: "
        "ResourceNotFoundException: Secrets Manager can't find the specified secret.",
        "assembled from parts: localstack/localstack AWS-validated snapshot, secretsmanager (wording), prefix "
        "as public code",
    ),
    "secret_invalid_name": _never_started(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
        "failed: unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch "
        "secret arn:aws:secretsmanager:us-east-1:123456789012:secret:investment-tracker/db from secrets "
        "manager: operation error Secrets Manager: GetSecretValue, https response error StatusCode: 400, api "
        "error ValidationException: Invalid name. Must be a valid name containing alphanumeric characters, or "
        "any of the following: -/_+=.@!",
        "hashicorp/terraform-provider-aws#39406 (its end), public code",
    ),
    "secrets_killed": _never_started(
        "ResourceInitializationError: unable to pull secrets or registry auth: pull command failed: : signal: killed",
        "waterstreamio/waterstream-aws-ecs-cloudformation KNOWLEDGE_NOTES.md",
    ),
    # Logs
    "log_group_missing": _never_started(
        "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
        "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not "
        "exist. : exit status 1",
        "doctorray117/minecraft-ondemand#12 (its beginning), cn-terraform/terraform-aws-nexus#35 (its end)",
    ),
    "log_region_missing": _never_started(
        "ResourceInitializationError: failed to validate logger args: unable to get awslogs driver arguments: "
        "awslogs-region is required",
        "public code",
    ),
    "log_driver_killed": _never_started(
        "ResourceInitializationError: failed to validate logger args: : signal: killed",
        "civiform/civiform#7648 (a longer form), public code",
    ),
    "log_driver_timeout": _container_never_started(
        "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed to "
        "create Cloudwatch log stream: RequestError: send request failed\ncaused by: Post "
        "https://logs.us-east-2.amazonaws.com/: dial tcp 10.20.10.16:443: i/o timeout",
        "assembled from parts: aws/amazon-ecs-agent#3074, public code",
    ),
    "log_driver_denied": _container_never_started(
        "CannotStartContainerError: Error response from daemon: failed to create task for container: failed to "
        "initialize logging driver: failed to create Cloudwatch log stream: AccessDeniedException: User: "
        "arn:aws:sts::123456789012:assumed-role/ecsInstanceRole/i-0123 is not authorized to perform: "
        "logs:CreateLogStream on resource: arn:aws:logs:us-east-1:123456789012:log-group:/ecs/app:log-stream:x",
        "of the form of prakhar1989/docker-curriculum#260",
    ),
    # Volumes and storage
    "efs_denied": _never_started(
        "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: "
        "b'mount.nfs4: access denied by server while mounting 127.0.0.1:/' : unsuccessful EFS utils command "
        "execution; code: 32",
        "aws/copilot-cli#3350",
    ),
    "efs_unresolved": _never_started(
        "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: "
        "Failed to resolve \"fs-0123456789abcdef0.efs.us-east-1.amazonaws.com\" - check that your file system "
        "ID is correct, and ensure that the VPC has an EFS mount target for this file system ID. : "
        "unsuccessful EFS utils command execution; code: 1",
        "cn-terraform/terraform-aws-jenkins#23 (its beginning), public code",
    ),
    "efs_no_folder": _never_started(
        "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: "
        "mount.nfs4: mounting fs-0123456789abcdef0.efs.us-east-1.amazonaws.com:/opt/app failed, reason given "
        "by server: No such file or directory : unsuccessful EFS utils command execution; code: 32",
        "acp-io/terraform-grafana#4",
    ),
    "volume_not_created": _container_never_started(
        "CannotCreateVolumeError: create app_data: VolumeDriver.Create: mounting volume failed: b'mount.nfs4: "
        "Connection timed out'",
        f"assembled from parts: {_GUIDE}/stopped-task-error-codes.html (CannotCreateVolumeError)",
    ),
    "storage_timeout": _never_started(
        "Timeout waiting for EphemeralStorage provisioning to complete.",
        "dagster-io/dagster dagster_aws/ecs/utils.py",
    ),
    # The network interface
    "network_timeout": _never_started(
        "Timeout waiting for network interface provisioning to complete.",
        "aws/amazon-ecs-agent#4825, apache/airflow test_ecs_executor",
    ),
    "network_no_addresses": _never_started(
        "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment enabled "
        "in subnet 'subnet-0123456789abcdef0': InsufficientFreeAddressesInSubnet",
        f"{_GUIDE}/stopped-task-error-codes.html; the code is in paradisec-archive/nabu#1259",
    ),
    "network_not_tagged": _never_started(
        "Unexpected EC2 error while attempting to tag the network interface: TagPolicyViolation",
        "public code",
    ),
    "network_not_attached": _never_started(
        "Unexpected EC2 error while attempting to attach network interface to instance",
        "public code (Step Functions retry list)",
    ),
    "network_not_configured": _never_started(
        "ResourceInitializationError: failed to configure ENI: failed to setup regular eni: netplugin failed "
        "with no error message",
        "public code",
    ),
    # The container
    "container_timeout": _container_never_started(
        "ContainerRuntimeTimeoutError: Could not transition to running; timed out after waiting 1m: context "
        "deadline exceeded",
        f"assembled from parts: {_GUIDE}/stopped-task-error-codes.html",
    ),
    "container_timeout_of_docker": _never_started(
        "DockerTimeoutError: Could not transition to started; timed out after waiting 8m0s",
        "aws-actions/amazon-ecs-deploy-task-definition#232",
    ),
    "container_not_created": _container_never_started(
        "CannotCreateContainerError: API error (500): devmapper: Thin Pool has 4350 free data blocks which is "
        "less than minimum required 4454 free data blocks. Create more free space in thin pool or use "
        "dm.min_free_space option to change behavior",
        f"{_GUIDE}/stopped-task-error-codes.html",
    ),
    "container_device_failed": _container_never_started(
        "CannotCreateContainerError: API error (500): devicemapper: Error running deviceResume dm_task_run failed",
        "public code (AwsJobRunner.scala of the package cromwell.backend.impl.aws)",
    ),
    "container_volume_denied": _container_never_started(
        "CannotCreateContainerError: failed to copy file info for /var/lib/ecs/volumes/task-claude: failed to "
        "chown /var/lib/ecs/volumes/task-claude: lchown: operation not permitted",
        "assembled from parts: aws/amazon-ecs-agent#4702",
    ),
    "dependency_failed": _container_never_started(
        "TaskDependencyError: Task dependencies cannot be resolved, taskArn: "
        "arn:aws:ecs:us-east-1:123456789012:task/c/0123",
        "assembled from parts: aws/amazon-ecs-agent engine/errors.go",
    ),
    # Capacity, at a later point than RunTask's answer
    "no_memory_later": _never_started(
        "TaskFailedToStart: RESOURCE:MEMORY",
        f"{_GUIDE}/api_failures_messages.html, PrefectHQ/prefect#20765",
    ),
    "no_cpu_later": _never_started(
        "TaskFailedToStart: RESOURCE:CPU",
        f"{_GUIDE}/api_failures_messages.html",
    ),
    "no_gpu_later": _never_started(
        "TaskFailedToStart: RESOURCE:GPU",
        "public code (PrefectHQ/prefect)",
    ),
    "no_match_later": _never_started(
        "TaskFailedToStart: MemberOf placement constraint unsatisfied.",
        f"{_GUIDE}/api_failures_messages.html",
    ),
    "empty_capacity_provider_later": _never_started(
        "TaskFailedToStart: EMPTY CAPACITY PROVIDER",
        f"{_GUIDE}/api_failures_messages.html",
    ),
    "no_active_instances_later": _never_started(
        "TaskFailedToStart: NO ACTIVE INSTANCES",
        f"{_GUIDE}/api_failures_messages.html",
    ),
    "no_fargate_capacity_later": _never_started(
        "Capacity is unavailable at this time. Please try again later or in a different availability zone",
        f"{_NO_SOURCE} RunTask's failure of the same cause",
    ),
}  # fmt: skip
"""By name."""
