"""The account that is asked: its clients, what the checks make in it, and the removal of all of that."""

from __future__ import annotations

import json
import re
import secrets
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import boto3
from airflow_ecs_executor.failures import Trouble, classify
from botocore.config import Config

from images import aws
from images.errors import AwsError
from local.errors import LocalError
from tools.aws_smoke.messages import Messages

PAUSE = 3.0
"""Seconds between two questions about the same thing."""
CONNECTIONS = 100
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GONE = re.compile(r"not found|does not exist|cannot be found|NoSuchEntity", re.IGNORECASE)
"""What is not there need not be removed: its creation failed, or ECS has forgotten the task."""


class SmokeError(LocalError):
    """Nothing was asked: a wrong flag, no credentials, or nobody said yes."""

    exit_code = 2


@dataclass(frozen=True)
class Target:
    """Where the checks look: a stack's outputs, or flags. What is empty is not known."""

    region: str = ""
    stack: str = ""
    scheduler_policy: str = ""
    cluster: str = ""
    subnets: str = ""
    security_groups: str = ""
    assign_public_ip: bool = False
    execution_role: str = ""
    log_group: str = ""
    repository: str = ""
    bucket: str = ""
    image: str = ""
    isolated_subnet: str = ""


class Account:
    """Clients, tasks and clean-up. Every answer is heard by ``messages``."""

    def __init__(self, target: Target) -> None:
        """Ask AWS who is calling. Raises SmokeError."""
        self.target = target
        self.run_id = f"aws-smoke-{secrets.token_hex(4)}"
        self._clients: dict[str, Any] = {}
        self._undo: list[tuple[str, Callable[[], Any]]] = []
        self._arns: list[str] = []
        self._launches = False
        self.wanted: list[str] = []
        """The tasks of `tools.aws_smoke.tasks` that the checks look at: they are launched together."""
        self.known: dict[str, Any] = {}
        """What has become of them."""
        self.messages = Messages()
        stack, cluster = target.stack.rpartition(":stack/")[2].partition("/")[0], target.cluster.rpartition("/")[2]
        self.messages.hide({self.run_id: "smoke", stack: "airflow-ecs", cluster: "airflow", target.bucket: "bucket",
                            target.repository: "airflow-worker", target.log_group: "/airflow/worker"})  # fmt: skip
        self.region = target.region
        try:
            self.caller = str(self.client("sts").get_caller_identity()["Arn"])
            self.region = str(self.client("sts").meta.region_name)
        except AwsError as error:
            raise SmokeError(str(error)) from None
        except Exception as error:
            raise SmokeError(str(aws.failed("AWS does not say whose credentials these are", error))) from None
        self.number = self.caller.split(":")[4]

    def client(self, service: str, *, patient: bool = False) -> Any:
        """A boto3 client. Those of ECS do not retry, so that throttling is seen; ``patient`` ones do."""
        name = f"{service} {patient}"
        if name not in self._clients:
            once = {"total_max_attempts": 1}
            retries = {"mode": "standard", "total_max_attempts": 10} if patient else once if service == "ecs" else None
            config = Config(max_pool_connections=CONNECTIONS, retries=retries)
            self._clients[name] = aws.client(service, self.region or None, config)
            self.messages.listen(self._clients[name])
        return self._clients[name]

    def later(self, what: str, undo: Callable[[], Any]) -> None:
        """Keep for the end how to remove what is about to be made, and the command that does so by hand."""
        self._undo.append((what, undo))

    def patient_ecs(self) -> Any:
        """The client for what is not measured: it retries."""
        return self.client("ecs", patient=True)

    def run_task(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call RunTask and return its answer; whatever becomes of that, the tasks are stopped at the end."""
        self._launches = True
        answer: Mapping[str, Any] = self.client("ecs").run_task(**request)
        self._arns += [str(task["taskArn"]) for task in answer["tasks"]]
        return answer

    def stop(self, arn: str) -> None:
        """Stop a task."""
        self.patient_ecs().stop_task(cluster=self.target.cluster, task=arn, reason=self.run_id)

    # The scheduler's rights

    def scheduler_session(self) -> Any:
        """A boto3 session that may do what the stack's scheduler policy allows: by a role of this run's own."""
        iam, role, policy = self.client("iam"), self.run_id, self.target.scheduler_policy
        trust = {"Effect": "Allow", "Principal": {"AWS": self.caller}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        self.later(f"aws iam delete-role --role-name {role}", partial(iam.delete_role, RoleName=role))
        arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        self.later(
            f"aws iam detach-role-policy --role-name {role} --policy-arn {policy}",
            partial(iam.detach_role_policy, RoleName=role, PolicyArn=policy),
        )
        iam.attach_role_policy(RoleName=role, PolicyArn=policy)
        assume = self.client("sts").assume_role
        given = eventually(lambda: assume(RoleArn=arn, RoleSessionName=role)["Credentials"], 20)
        return boto3.session.Session(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=self.region
        )

    # Removal

    def clean_up(self) -> list[str]:
        """Remove all that was made, and close the clients; returns the commands for what could not be removed."""
        signals = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
        left = []
        try:
            for arn in sorted({*self._arns, *self._found()}):
                by_hand = f"aws ecs stop-task --cluster {self.target.cluster} --task {arn}"
                self.later(by_hand, partial(self.stop, arn))
            while self._undo:
                by_hand, undo = self._undo.pop()
                try:
                    undo()
                except Exception as error:
                    reason = classify(error).reason
                    if not _GONE.search(reason):
                        left.append(f"{by_hand}    # {reason}")
        finally:
            for number, handler in signals.items():
                signal.signal(number, handler)
        for client in self._clients.values():
            client.close()
        return left

    def _found(self) -> list[str]:
        """The tasks of this run that ECS knows of: the answer to a RunTask call may have been cut off."""
        if not self._launches:
            return []
        time.sleep(PAUSE)  # a new task is not listed at once
        try:
            pages = self.patient_ecs().get_paginator("list_tasks")
            found = pages.paginate(cluster=self.target.cluster, startedBy=self.run_id)
            return [str(arn) for page in found for arn in page["taskArns"]]
        except Exception:
            return []  # those whose ARNs are known are stopped all the same


def eventually(call: Callable[[], Any], times: int) -> Any:
    """Call until AWS no longer denies it: a new role or policy takes some seconds to be known everywhere.

    docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html, "Changes that I make are not always immediately visible"
    """
    for left in reversed(range(times)):
        try:
            return call()
        except Exception as error:
            found = classify(error)
            if not left or not (found.denied or found.trouble is Trouble.CREDENTIALS):
                raise
        time.sleep(PAUSE)
