"""The ECS tasks that the checks look at: each ends in its own way. All but the first are launched together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_ecs_executor.aws.errors import not_started
from airflow_ecs_executor.aws.identity import IDENTITY_VARIABLE, new_client_token
from airflow_ecs_executor.aws.task_outcome import Outcome, OutcomeKind, outcome_of
from airflow_ecs_executor.image_check.reference import parse

from local.errors import LocalError
from local.machine.waiting import until
from tools.aws_smoke import account as pace
from tools.aws_smoke.account import Account
from tools.aws_smoke.messages import CONTAINER

LOG_PREFIX = "smoke"
PUBLIC_IMAGE = "public.ecr.aws/docker/library/busybox"
PATIENCE = 900.0
"""Seconds for a task to end; AWS gives up on a network that leads nowhere after some minutes."""
FIRST = "plain"
"""The task that is launched before all others."""


def sleeping(seconds: int) -> str:
    """A script that sleeps, and ends as soon as it is asked to."""
    return f"trap 'exit 143' TERM; sleep {seconds} & wait"


@dataclass(frozen=True)
class Task:
    """A task, and how the executor has to read its end."""

    script: str
    endings: Collection[str]
    exit_codes: Collection[int | None] = (None,)
    advice: str = ""
    """A pattern in the executor's hint: the cause, not the subject alone."""
    container: Callable[[Account], Mapping[str, Any]] | None = None
    """What its container definition has beside the usual; None: it takes the usual task definition."""
    stopped: bool = False
    """We stop it once it runs."""
    isolated: bool = False
    """It runs in the subnet from which no route leads to AWS."""


def _missing_image(account: Account) -> Mapping[str, Any]:
    image = account.target.image
    return {"image": f"{image.partition('@')[0].removesuffix(f':{parse(image).tag}')}:{account.run_id}"}


def _missing_secret(account: Account) -> Mapping[str, Any]:
    partition, region = account.caller.split(":")[1], account.region
    arn = f"arn:{partition}:secretsmanager:{region}:{account.number}:secret:{account.run_id}"
    return {"secrets": [{"name": "SECRET", "valueFrom": arn}]}


TASKS: Mapping[str, Task] = {
    FIRST: Task(f'echo "${IDENTITY_VARIABLE}"', ["succeeded"], [0]),
    "exit-code": Task("exit 3", ["failed"], [3]),
    "out-of-memory": Task("x=x; while :; do x=$x$x; done", ["failed"], [137], "ran out of memory"),
    "no-image": Task("true", ["never started"], advice="image .*does not exist", container=_missing_image),
    # IAM decides first: where the execution role may not read the secret, AWS does not say that there is none
    # (https://github.com/jenkinsci/aws-secrets-manager-credentials-provider-plugin/pull/65).
    "no-secret": Task(
        "true", ["never started"], advice="secret .*does not exist|secretsmanager:GetSecretValue",
        container=_missing_secret,
    ),
    "no-program": Task(
        "true", ["never started", "failed"], [None, 127],
        container=lambda account: {"entryPoint": ["/no/such/program"]},
    ),
    "stopped": Task(sleeping(600), ["failed"], [143], stopped=True),
    "no-route": Task("true", ["never started"], advice="could not be reached", isolated=True),
}  # fmt: skip


def identity_of(account: Account, name: str) -> str:
    """What a task is told apart by, as the executor does it: a variable in its environment."""
    return f"{account.run_id}/{name}"


def request_of(account: Account, name: str, definition: str, script: str) -> dict[str, Any]:
    """What RunTask takes to run a shell script, as the executor sends it."""
    target = account.target
    public = "ENABLED" if target.assign_public_ip else "DISABLED"
    network: dict[str, Any] = {"subnets": target.subnets.split(","), "assignPublicIp": public}
    if target.security_groups:
        network["securityGroups"] = target.security_groups.split(",")
    environment = [{"name": IDENTITY_VARIABLE, "value": identity_of(account, name)}]
    override = {"name": CONTAINER, "command": [script], "environment": environment}
    return {
        "cluster": target.cluster,
        "taskDefinition": definition,
        "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": network},
        "overrides": {"containerOverrides": [override]},
        "startedBy": account.run_id,
        "clientToken": new_client_token(),
    }


def definition_of(account: Account, name: str = "") -> str:
    """The ARN of a task definition of one small container on Fargate; without a name, that of the usual one."""
    arn: str = _once(account, f"definition {name}", lambda: _define(account, name))
    return arn


def _define(account: Account, name: str) -> str:
    target, task = account.target, TASKS.get(name)
    given: dict[str, Any] = {"name": CONTAINER, "image": target.image, "essential": True, "entryPoint": ["sh", "-c"]}
    if target.log_group and target.execution_role:
        options = {"awslogs-group": target.log_group, "awslogs-region": account.region}
        given["logConfiguration"] = {
            "logDriver": "awslogs", "options": {**options, "awslogs-stream-prefix": LOG_PREFIX}
        }  # fmt: skip
    if task and task.container:
        given.update(task.container(account))
    role = {"executionRoleArn": target.execution_role} if target.execution_role else {}
    family = f"{account.run_id}-{name}" if name else account.run_id
    answer = account.create(
        lambda: account.patient_ecs().register_task_definition(
            family=family, networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            containerDefinitions=[given], **role,
        ),
        f"aws ecs deregister-task-definition --task-definition {family}:1",
        lambda: account.patient_ecs().deregister_task_definition(taskDefinition=f"{family}:1"),
    )  # fmt: skip
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def launched(account: Account, name: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The RunTask request of a task, and the task as the answer has it. Raises what the launch raised."""
    for other in [FIRST] if name == FIRST else account.wanted:
        try:
            _once(account, other, partial(_launch, account, other))
        except Exception:
            if other == name:
                raise
    found: tuple[Mapping[str, Any], Mapping[str, Any]] = account.known[name]
    return found


def _launch(account: Account, name: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    task = TASKS[name]
    request = request_of(account, name, definition_of(account, name if task.container else ""), task.script)
    if task.isolated:
        network = {"subnets": [account.target.isolated_subnet], "assignPublicIp": "DISABLED"}
        request["networkConfiguration"] = {"awsvpcConfiguration": network}
    answer = account.run_task(request)
    if not answer["tasks"]:
        raise LocalError(not_started(answer["failures"]).reason)
    return request, answer["tasks"][0]


def never_started(account: Account) -> bool:
    """Whether the first task was asked for, and did not come to run."""
    launch, end = account.known.get(FIRST), account.known.get(f"end {FIRST}")
    return isinstance(launch, Exception) or (
        isinstance(end, tuple) and end[1].kind in (OutcomeKind.NEVER_STARTED, OutcomeKind.STOPPED_BY_USER)
    )


def ended(account: Account, name: str) -> tuple[Mapping[str, Any], Outcome]:
    """Wait for a task's end: how DescribeTasks describes it, and how the executor reads that."""
    found: tuple[Mapping[str, Any], Outcome] = _once(account, f"end {name}", lambda: _end(account, name))
    return found


def _end(account: Account, name: str) -> tuple[Mapping[str, Any], Outcome]:
    arn = str(launched(account, name)[1]["taskArn"])
    if TASKS[name].stopped:
        _reaches(account, arn, "RUNNING")
        account.stop(arn)
    task = _reaches(account, arn, "STOPPED")
    end = outcome_of(task, CONTAINER, foreign_image=True)
    assert end is not None
    return task, end


def _reaches(account: Account, arn: str, status: str) -> Mapping[str, Any]:
    task: Mapping[str, Any] = {}

    def there() -> bool:
        nonlocal task
        answer = account.patient_ecs().describe_tasks(cluster=account.target.cluster, tasks=[arn])
        task = next(iter(answer["tasks"]), {})
        return task.get("lastStatus") in (status, "STOPPED")

    what = f"the task {arn} is {status}"
    until(there, PATIENCE, what, pause=pace.PAUSE, explain=lambda: str(task.get("lastStatus", "not described")))
    return task


def _once(account: Account, name: str, make: Callable[[], Any]) -> Any:
    """What is made the first time that it is asked for; a failure is kept as well."""
    if name not in account.known:
        try:
            account.known[name] = make()
        except Exception as error:  # noqa: BLE001 - kept, and raised for each caller
            account.known[name] = error
    found = account.known[name]
    if isinstance(found, Exception):
        raise found
    return found
