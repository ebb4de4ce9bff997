"""The checks, in the order in which they are asked: what is expected, and what to do otherwise."""

from __future__ import annotations

import logging
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from airflow_ecs_entrypoint.errors import EntrypointError
from airflow_ecs_entrypoint.s3_uri import S3Location
from airflow_ecs_entrypoint.sync.s3 import S3
from airflow_ecs_executor.aws.container_logs import AwsLogs
from airflow_ecs_executor.aws.ecs import Ecs, find
from airflow_ecs_executor.aws.errors import ApiError, ErrorKind, classify, lacks_definition, not_started
from airflow_ecs_executor.aws.task_outcome import Outcome

from local.machine.waiting import until
from tools.aws_smoke import account as pace
from tools.aws_smoke.account import CALL_ERRORS, CONNECTIONS, Account, eventually
from tools.aws_smoke.messages import CONTAINER
from tools.aws_smoke.tasks import (
    FIRST,
    LOG_PREFIX,
    TASKS,
    definition_of,
    ended,
    identity_of,
    launched,
    request_of,
    sleeping,
)

VCPU_QUOTA = "L-3032A538"
"""Fargate On-Demand vCPU resource count (docs.aws.amazon.com/general/latest/gr/ecs-service.html)."""
TASK_VCPU = 0.5
"""Of the task definition that docs/production.md registers."""
PARALLELISM = 32
"""Airflow's [core] parallelism by default."""
BURST = 300
TASK_CENTS = 0.05
"""A task of 0.25 vCPU and 0.5 GB for two minutes in us-east-1, rounded up (aws.amazon.com/fargate/pricing)."""
_TASK = ("cluster", "subnets")
_LOG = (*_TASK, "execution_role", "log_group")
UNKNOWN_SUBNET = "subnet-00000000000000000"


class Answer(NamedTuple):
    """Whether AWS answered as expected, and what it answered."""

    good: bool
    text: str


@dataclass(frozen=True)
class Check:
    """One question to AWS. ``needs`` names fields of the target; ``named`` ones are asked only when they are named."""

    name: str
    asks: str
    expects: str
    otherwise: str
    ask: Callable[[Account], Answer]
    needs: tuple[str, ...] = ()
    task: str = ""
    """Which of the tasks it looks at."""
    makes: str = ""
    """Beside tasks and their task definitions, what exists for a while."""
    named: bool = False
    launches: int = 0
    """Tasks of its own."""

    @property
    def cost(self) -> str:
        """What it costs."""
        count = self.launches or bool(self.task)
        return f"{count * TASK_CENTS:g} US cents" if count else "nothing"


def refusal(call: Callable[[], Any]) -> tuple[ApiError | None, str]:
    """How the executor reads the error of a call, and its text; None, if the call succeeds."""
    try:
        call()
    except CALL_ERRORS as error:
        found = classify(error)
        return found, found.reason
    return None, "accepted"


def _refused(call: Callable[[Account], Any], code: str, words: str) -> Callable[[Account], Answer]:
    """Asks for something that does not exist: the executor goes by the code and the text of the error."""

    def ask(account: Account) -> Answer:
        found, text = refusal(partial(call, account))
        return Answer(found is not None and found.code == code and bool(re.search(words, text)), text)

    return ask


# Without a task


def _list_tasks(account: Account) -> Answer:
    for status in ("RUNNING", "STOPPED"):
        account.client("ecs").list_tasks(cluster=account.target.cluster, startedBy=account.run_id, desiredStatus=status)
    return Answer(True, "accepted, for RUNNING and STOPPED")


def _stack_name(account: Account) -> Answer:
    (stack,) = account.client("cloudformation").describe_stacks(StackName=account.target.stack)["Stacks"]
    parameters = {item["ParameterKey"]: item["ParameterValue"] for item in stack.get("Parameters", ())}
    boundary = parameters.get("PermissionsBoundaryArn", "")  # IAM may require one of every role of the account
    client = account.scheduler_session(boundary).client("cloudformation", config=pace.TIMEOUTS)
    account.messages.listen(client)
    # The id is allowed either way: once it is, the policy is known, and the name's answer counts.
    eventually(lambda: client.describe_stacks(StackName=stack["StackId"]), 20)
    found, text = refusal(lambda: eventually(lambda: client.describe_stacks(StackName=stack["StackName"]), 5))
    client.close()
    return Answer(found is None, f"by its id: accepted; by its name: {text}")


def _quota(account: Account) -> Answer:
    client, quota = account.client("service-quotas"), {"ServiceCode": "fargate", "QuotaCode": VCPU_QUOTA}
    try:
        answer = client.get_service_quota(**quota)
    except client.exceptions.NoSuchResourceException:  # there is no value of the account's own
        answer = client.get_aws_default_service_quota(**quota)
    value = float(answer["Quota"]["Value"])
    fit = int(value / TASK_VCPU)
    return Answer(fit >= PARALLELISM, f"{value:g} vCPUs: {fit} tasks of {TASK_VCPU} vCPU at once")


def _vanished(account: Account) -> Answer:
    target = account.target
    partition = account.caller.split(":")[1]
    name = target.cluster.rpartition("/")[2]
    arn = f"arn:{partition}:ecs:{account.region}:{account.number}:task/{name}/{'0' * 32}"
    answer = account.client("ecs").describe_tasks(cluster=target.cluster, tasks=[arn])
    reasons = [failure.get("reason") for failure in answer["failures"]]
    return Answer(reasons == ["MISSING"] and not answer["tasks"], f"failures: {reasons}")


def _missing_image(account: Account) -> Answer:
    answer = account.client("ecr").batch_get_image(
        repositoryName=account.target.repository, imageIds=[{"imageTag": account.run_id}]
    )
    codes = [failure.get("failureCode") for failure in answer["failures"]]
    return Answer(codes == ["ImageNotFound"], f"failures: {codes}")


def _expires(account: Account) -> Answer:
    client, bucket = account.client("s3"), account.target.bucket
    entrypoint = S3({**os.environ, "AWS_REGION": account.region}, 1)
    logging.getLogger("botocore.handlers").addHandler(logging.NullHandler())  # it warns of such headers
    header: dict[str, str] = {}
    backs = []

    def set_header(params: dict[str, Any], **_: Any) -> None:
        params["headers"].update(header)  # by parameter, boto3 takes dates alone

    def remove() -> None:
        for version in client.list_object_versions(Bucket=bucket, Prefix=account.run_id).get("Versions", ()):
            client.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])

    client.meta.events.register("before-call.s3.PutObject", set_header)
    listing = f"aws s3api list-object-versions --bucket {bucket} --prefix {account.run_id} --output json"
    versions = f"$({listing} --query '{{Objects: Versions[].{{Key: Key, VersionId: VersionId}}}}')"
    by_hand = f'aws s3api delete-objects --bucket {bucket} --delete "{versions}"'
    for number, text in enumerate(("0", "-1", "2026-01-31T08:00:00+01:00")):
        key, header["Expires"] = f"{account.run_id}/expires-{number}", text
        account.create(partial(client.put_object, Bucket=bucket, Key=key, Body=b""), by_hand, remove)
        backs.append(client.head_object(Bucket=bucket, Key=key).get("ExpiresString"))
        try:
            entrypoint.describe(S3Location(bucket, key))
        except EntrypointError as error:
            return Answer(False, f"Expires: {text} comes back as {backs[-1]}; the entrypoint: {error}")
        finally:
            entrypoint.disconnect()
    return Answer(True, f"the entrypoint reads all; Expires comes back as {', '.join(map(str, backs))}")


def _no_definition(account: Account) -> Answer:
    request = request_of(account, "no-definition", f"{account.run_id}-none", "true")
    found, text = refusal(lambda: account.run_task(request))
    return Answer(found is not None and lacks_definition(found), text)


def _no_subnet(account: Account) -> Answer:
    request = request_of(account, "no-subnet", definition_of(account), "true")
    request["networkConfiguration"] = {"awsvpcConfiguration": {"subnets": [UNKNOWN_SUBNET]}}
    found, text = refusal(lambda: account.run_task(request))
    return Answer(found is not None and found.kind is ErrorKind.PERMANENT and UNKNOWN_SUBNET in text, text)


# With the task that ends well


def _first_task(account: Account) -> Answer:
    first = launched(account, FIRST)[1]
    task, end = ended(account, FIRST)
    dated = "createdAt" in first and "createdAt" in task
    steps = [
        f"{name} {(task[name] - first['createdAt']).total_seconds():.1f} s"
        for name in ("createdAt", "pullStartedAt", "pullStoppedAt", "startedAt", "executionStoppedAt", "stoppedAt")
        if dated and name in task
    ]
    since = f"since RunTask's createdAt: {', '.join(steps)}" if dated else "createdAt is missing"
    return Answer(dated and _as_wanted(FIRST, end), f"{_described(task, end)} {since}")


def _same_token(account: Account) -> Answer:
    request, task = launched(account, FIRST)
    ended(account, FIRST)
    answer = account.run_task(request)
    arns = [item["taskArn"] for item in answer["tasks"]]
    good = arns == [task["taskArn"]]
    return Answer(good, "the same task, which has ended" if good else f"tasks: {arns}, failures: {answer['failures']}")


def _token_conflict(account: Account) -> Answer:
    request, task = launched(account, FIRST)
    found, text = refusal(lambda: account.run_task({**request, "group": "other"}))
    ids = found.resource_ids if found else ()
    good = found is not None and found.kind is ErrorKind.CONFLICT and task["taskArn"] in ids
    return Answer(good, f"{text}; resourceIds: {', '.join(ids) or 'none'}")


def _found_again(account: Account) -> Answer:
    arn, identity = ended(account, FIRST)[0]["taskArn"], identity_of(account, FIRST)
    found = find(Ecs(account.patient_ecs, account.target.cluster), account.run_id, {identity: None}, 1, 30.0)
    good = identity in found and found[identity].arn == arn
    return Answer(good, "found" if good else "not among the tasks that ListTasks and DescribeTasks tell of")


def _container_log(account: Account) -> Answer:
    task, group = ended(account, FIRST)[0], account.target.log_group
    stream = AwsLogs(group, LOG_PREFIX).stream_of(task["taskArn"], CONTAINER).name
    begun = time.monotonic()

    def events() -> Any:
        try:
            answer = account.client("logs").get_log_events(logGroupName=group, logStreamName=stream)
        except CALL_ERRORS as error:
            if classify(error).code != "ResourceNotFoundException":  # which goes for a stream without a line
                raise
            return []
        return answer["events"]

    first = until(events, 60.0, f"a line in the log stream {stream}", pause=pace.PAUSE)[0]
    waited = time.monotonic() - begun
    after = first["timestamp"] / 1000 - task["startedAt"].timestamp()
    said = f"{first['message'].strip()!r}, printed {after:.1f} s after startedAt, there {waited:.0f} s after the end"
    return Answer(identity_of(account, FIRST) in first["message"], said)


# With tasks that end otherwise


def _ends(name: str) -> Callable[[Account], Answer]:
    def ask(account: Account) -> Answer:
        task, end = ended(account, name)
        return Answer(_as_wanted(name, end), _described(task, end))

    return ask


def _as_wanted(name: str, end: Outcome) -> bool:
    task = TASKS[name]
    advised = re.search(task.advice, end.advice, re.IGNORECASE)
    return end.kind.value in task.endings and end.exit_code in task.exit_codes and bool(advised)


def _described(task: Mapping[str, Any], end: Outcome) -> str:
    said = end.reason.removeprefix(f"{task['taskArn']}: ")
    return f"{said} The executor reads: {end.kind.value}. {end.advice}".strip()


# At once


def _burst(account: Account) -> Answer:
    definition = definition_of(account)
    requests = [request_of(account, f"burst-{number}", definition, sleeping(60)) for number in range(BURST)]

    def launch(request: Mapping[str, Any]) -> tuple[bool, str]:
        try:
            answer = account.run_task(request)
        except CALL_ERRORS as error:
            found = classify(error)
            return found.kind in (ErrorKind.THROTTLED, ErrorKind.CAPACITY), account.messages.public(found.reason)
        return True, "launched" if answer["tasks"] else not_started(answer["failures"]).reason

    account.client("ecs")  # made once, not by each thread
    pool = ThreadPoolExecutor(CONNECTIONS)
    try:
        answers = list(pool.map(launch, requests))
    finally:
        pool.shutdown(cancel_futures=True)
    counts = Counter(text for _, text in answers)
    return Answer(all(good for good, _ in answers), "; ".join(f"{count} × {text}" for text, count in counts.items()))


_REPORT = "report it, with the JSON lines"
_TASK_REPORT = f"if first-task is ok, {_REPORT}"

CHECKS = (
    Check(
        "list-tasks", "ListTasks with startedBy and desiredStatus", "no error",
        "the executor lists all stopped tasks of the cluster instead, which takes longer: report it", _list_tasks,
        ("cluster",),
    ),
    Check(
        "stack-name", "DescribeStacks by the stack's name, by a role with the scheduler policy alone", "the stack",
        "give the stack's ARN as --stack on the Airflow host, and report it", _stack_name,
        ("stack", "scheduler_policy"), makes="an IAM role",
    ),
    Check(
        "vcpu-quota", "GetServiceQuota of Fargate On-Demand vCPUs", f"room for [core] parallelism: {PARALLELISM} tasks",
        "request more (docs/tuning.md), or lower [core] parallelism", _quota,
    ),
    Check(
        "first-task", "RunTask on Fargate, then DescribeTasks until the end", "exit code 0, createdAt in both answers",
        "if the image was not pulled, give an --image that these subnets can pull; else see docs/troubleshooting.md",
        _first_task, _TASK, FIRST,
    ),
    Check(
        "found-again", "ListTasks and DescribeTasks after the task's end, as a restarted scheduler does", "the task",
        "report it: a container that ends while the scheduler restarts is not found", _found_again, _TASK, FIRST,
    ),
    Check(
        "client-token", "the same RunTask request again, after the task's end", "the same task, and no second one",
        "report it: a request sent again starts a second container", _same_token, _TASK, FIRST,
    ),
    Check(
        "token-conflict", "RunTask with the same client token and another group",
        "ConflictException, with the task in resourceIds",
        "report it: the executor cannot find the first container by the error", _token_conflict, _TASK, FIRST,
    ),
    Check(
        "container-log", "GetLogEvents of the container's stream, for a minute", "what the container printed",
        "Airflow's UI shows no container logs: see docs/logging.md", _container_log, _LOG, FIRST,
    ),
    *(
        Check(name, asks, expects, _TASK_REPORT, _ends(name), needs, name, named=named)
        for name, asks, expects, needs, named in (
            ("no-route", "RunTask in a subnet without a route to AWS",
             "never started; the advice says what could not be reached", (*_TASK, "isolated_subnet"), True),
            ("no-image", "RunTask with an image tag that does not exist",
             "never started; the advice says that the image does not exist", _TASK, False),
            ("no-secret", "RunTask with the ARN of a secret that does not exist",
             "never started; the advice says so, or that the execution role may not read it",
             (*_TASK, "execution_role"), False),
            ("no-program", "RunTask with an entrypoint that does not exist", "never started, or exit code 127",
             _TASK, False),
            ("exit-code", "RunTask of a command that exits with 3", "failed, exit code 3", _TASK, False),
            ("out-of-memory", "RunTask of a command that takes more than 512 MB",
             "failed, exit code 137; the advice says that memory ran out", _TASK, False),
            ("stopped", "StopTask of a task that runs", "failed, exit code 143", _TASK, False),
        )
    ),
    Check(
        "no-subnet", "RunTask in a subnet that does not exist", "a permanent error that names the subnet", _REPORT,
        _no_subnet, _TASK,
    ),
    Check(
        "no-definition", "RunTask of a task definition that does not exist", "TaskDefinition not found", _REPORT,
        _no_definition, _TASK,
    ),
    Check(
        "vanished-task", "DescribeTasks of a task that does not exist", "MISSING in failures",
        "report it: the executor follows tasks that are gone", _vanished, ("cluster",),
    ),
    Check(
        "no-cluster", "ListTasks of a cluster that does not exist", "ClusterNotFoundException", _REPORT,
        _refused(lambda account: account.client("ecs").list_tasks(cluster=account.run_id),
                 "ClusterNotFoundException", "Cluster not found"),
    ),
    Check(
        "image-tag", "BatchGetImage of a tag that does not exist", "ImageNotFound in failures",
        "report it: the image check names another reason", _missing_image, ("repository",),
    ),
    Check(
        "log-stream", "GetLogEvents of a stream that does not exist", "ResourceNotFoundException, naming the stream",
        _REPORT,
        _refused(lambda account: account.client("logs").get_log_events(
            logGroupName=account.target.log_group, logStreamName=account.run_id),
            "ResourceNotFoundException", "log stream does not exist"), ("log_group",),
    ),
    Check(
        "expires", "HeadObject of objects that were put with odd Expires headers",
        "headers that the entrypoint can read", "remove the header from your DAGs' objects, and report it",
        _expires, ("bucket",), makes="three objects of no bytes",
    ),
    # Last: its tasks take vCPUs that other checks need.
    Check(
        "burst", f"{BURST} RunTask calls at once", "tasks, throttling, the vCPU quota",
        "lower run_task_burst, and report it: Airflow tasks fail with such errors", _burst, _TASK,
        named=True, launches=BURST,
    ),
)  # fmt: skip
