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
from airflow_ecs_executor.aws.errors import ErrorKind, classify
from airflow_ecs_executor.image_check.reference import parse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from images import aws
from images.errors import AwsError
from local.errors import LocalError
from tools.aws_smoke.messages import Messages

CALL_ERRORS = (BotoCoreError, ClientError, OSError)
"""What a call to AWS may raise. Anything else is a defect of the checks."""
PAUSE = 3.0
"""Seconds between two questions about the same thing."""
CONNECTIONS = 100
TIMEOUTS = Config(connect_timeout=5, read_timeout=20)
REMOVAL_SECONDS = 300.0
"""After these, the rest is left to the caller: AWS may not be within reach any more."""
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
        self._undo: dict[str, Callable[[], Any]] = {}
        """How to remove what was created, by the command that does so by hand."""
        self.wanted: list[str] = []
        """The tasks of `tools.aws_smoke.tasks` that the checks look at: the first is launched before the others."""
        self.known: dict[str, Any] = {}
        """What has become of them."""
        self.messages = Messages()
        stack, cluster = target.stack.rpartition(":stack/")[2].partition("/")[0], target.cluster.rpartition("/")[2]
        self.messages.hide({self.run_id: "smoke", stack: "airflow-ecs", cluster: "airflow", target.bucket: "bucket",
                            target.repository: "airflow-worker", target.log_group: "/airflow/worker"})  # fmt: skip
        self.messages.hide_image(parse(target.image))
        self.region = target.region
        try:
            self.caller = str(self.client("sts").get_caller_identity()["Arn"])
            self.region = str(self.client("sts").meta.region_name)
        except AwsError as error:
            raise SmokeError(str(error)) from None
        except CALL_ERRORS as error:
            raise SmokeError(str(aws.failed("AWS does not say whose credentials these are", error))) from None
        self.number = self.caller.split(":")[4]
        self.messages.hide(dict.fromkeys(self.caller.split("/")[1:], "caller"))

    def client(self, service: str, *, patient: bool = False) -> Any:
        """A boto3 client. Those of ECS do not retry, so that throttling is seen; ``patient`` ones do."""
        name = f"{service} {patient}"
        if name not in self._clients:
            once = {"total_max_attempts": 1}
            retries = {"mode": "standard", "total_max_attempts": 4} if patient else once if service == "ecs" else None
            config = Config(max_pool_connections=CONNECTIONS, retries=retries)
            self._clients[name] = aws.client(service, self.region or None, TIMEOUTS.merge(config))
            self.messages.listen(self._clients[name])
        return self._clients[name]

    def create(self, call: Callable[[], Any], by_hand: str, undo: Callable[[], Any]) -> Any:
        """Create something that ``undo`` removes at the end, or the command ``by_hand``.

        What AWS does not permit is not created. After any other error it may have been.
        """
        is_new = by_hand not in self._undo
        self._undo[by_hand] = undo
        try:
            return call()
        except Exception as error:
            if is_new and classify(error).denied:
                self._undo.pop(by_hand, None)
            raise

    def patient_ecs(self) -> Any:
        """The client for what is not measured: it retries."""
        return self.client("ecs", patient=True)

    def run_task(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call RunTask and return its answer; whatever becomes of that, the tasks are stopped at the end."""
        cluster = self.target.cluster
        found = f"aws ecs list-tasks --cluster {cluster} --started-by {self.run_id} --query 'taskArns[]' --output text"
        answer: Mapping[str, Any] = self.create(
            lambda: self.client("ecs").run_task(**request),
            f"for task in $({found}); do aws ecs stop-task --cluster {cluster} --task $task; done",
            self._stop_unanswered,
        )
        for task in answer["tasks"]:
            self._stop_later(str(task["taskArn"]))
        return answer

    def stop(self, arn: str) -> None:
        """Stop a task."""
        self.patient_ecs().stop_task(cluster=self.target.cluster, task=arn, reason=self.run_id)

    def _stop_later(self, arn: str) -> None:
        by_hand = f"aws ecs stop-task --cluster {self.target.cluster} --task {arn}"
        self._undo[by_hand] = partial(self.stop, arn)

    def _stop_unanswered(self) -> None:
        """Stop the tasks of this run that ECS knows of: the answer to a RunTask call may have been cut off."""
        time.sleep(PAUSE)  # a new task is not listed at once
        pages = self.patient_ecs().get_paginator("list_tasks")
        for page in pages.paginate(cluster=self.target.cluster, startedBy=self.run_id):
            for arn in page.get("taskArns", ()):
                self._stop_later(arn)

    # The scheduler's rights

    def scheduler_session(self, boundary: str = "") -> Any:
        """A boto3 session that may do what the stack's scheduler policy allows: by a role of this run's own."""
        iam, role, policy = self.client("iam"), self.run_id, self.target.scheduler_policy
        trust = {"Effect": "Allow", "Principal": {"AWS": self.caller}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        bounded = {"PermissionsBoundary": boundary} if boundary else {}
        arn = self.create(
            lambda: iam.create_role(RoleName=role, AssumeRolePolicyDocument=document, **bounded)["Role"]["Arn"],
            f"aws iam delete-role --role-name {role}",
            partial(iam.delete_role, RoleName=role),
        )
        self.create(
            partial(iam.attach_role_policy, RoleName=role, PolicyArn=policy),
            f"aws iam detach-role-policy --role-name {role} --policy-arn {policy}",
            partial(iam.detach_role_policy, RoleName=role, PolicyArn=policy),
        )
        assume = self.client("sts").assume_role
        given = eventually(lambda: assume(RoleArn=arn, RoleSessionName=role)["Credentials"], 20)
        return boto3.session.Session(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=self.region
        )

    # Removal

    def clean_up(self) -> list[str]:
        """Remove all that was created, and close the clients; returns the commands for what could not be removed.

        Ctrl-C ends the removal, as its time limit does.
        """
        if self._undo:
            print("Removing what was created. Ctrl-C ends the removal.", flush=True)
        handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGHUP)}
        left: list[str] = []
        deadline = time.monotonic() + REMOVAL_SECONDS
        try:
            while self._undo and time.monotonic() < deadline:
                by_hand, undo = next(reversed(self._undo.items()))
                left.append(by_hand)
                del self._undo[by_hand]
                try:
                    undo()
                    left.pop()
                except Exception as error:  # noqa: BLE001 - the removal continues whatever happens
                    reason = classify(error).reason
                    if _GONE.search(reason):
                        left.pop()
                    else:
                        left[-1] += f"    # {reason}"
        except KeyboardInterrupt:
            pass
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        for client in self._clients.values():
            client.close()
        return [*left, *reversed(self._undo)]


def eventually(call: Callable[[], Any], times: int) -> Any:
    """Call until AWS no longer denies it: a new role or policy takes some seconds to be known everywhere.

    docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html, "Changes that I make are not always immediately visible"
    """
    while True:
        try:
            return call()
        except CALL_ERRORS as error:
            times -= 1
            found = classify(error)
            if not times or not (found.denied or found.kind is ErrorKind.CREDENTIALS):
                raise
        time.sleep(PAUSE)
