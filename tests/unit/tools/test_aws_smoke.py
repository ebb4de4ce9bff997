"""`make aws-smoke` against the local ECS, and stand-ins for the rest of AWS: each check's two answers, and the removal.

The local ECS behaves as AWS is expected to; faults make it answer otherwise.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest
from airflow_ecs_entrypoint.errors import SettingsError
from airflow_ecs_executor.image_check.reference import parse

from local.ecs.control import EcsApi
from local.fakes.http_service import Answer, Connection, Request
from local.fakes.logs import FakeLogs
from local.fakes.s3 import FakeS3
from local.machine.console import guarded
from tests.aws_environment import AWS_ENVIRONMENT
from tests.paths import ROOT
from tests.unit.executor.cloudformation import OUTPUTS, CloudFormation, described
from tools.aws_smoke import account, checks
from tools.aws_smoke.__main__ import main
from tools.aws_smoke.checks import CHECKS
from tools.aws_smoke.messages import Messages
from tools.aws_smoke.tasks import TASKS

STACK = {
    **OUTPUTS,
    "bucket_name": "bucket",
    "repository_name": "data-platform-worker",
    "scheduler_policy_arn": "arn:aws:iam::210987654321:policy/data-platform-scheduler",
    "execution_role_arn": "arn:aws:iam::210987654321:role/data-platform-execution",
    "log_group_name": "/data-platform/worker",
}
CALLER = "arn:aws:iam::210987654321:user/jane.doe"
ROLE_KEY = "ASIAROLEROLEROLEROLE"


class Account(CloudFormation):
    """STS, IAM, CloudFormation, Service Quotas and ECR, as far as they are asked."""

    names_are_denied = False

    def __init__(self) -> None:
        super().__init__()
        self.roles: list[str] = []
        self.attached: list[str] = []
        self.boundaries: list[str] = []
        self.denied: list[str] = []
        self.has(described(**STACK))
        names = "<StackId>arn:aws:cloudformation:us-east-1:210987654321:stack/data-platform/1</StackId>"
        self.body = self.body.replace("<StackName>airflow-ecs", f"{names}<StackName>data-platform")

    def has_parameter(self, name: str, value: str) -> None:
        member = f"<member><ParameterKey>{name}</ParameterKey><ParameterValue>{value}</ParameterValue></member>"
        self.body = self.body.replace("<Outputs>", f"<Parameters>{member}</Parameters><Outputs>")

    def serve(self, request: Request, connection: Connection) -> None:
        if target := request.headers.get("x-amz-target"):
            operation, json_type = target.rpartition(".")[2], {"Content-Type": "application/x-amz-json-1.1"}
            answers = {
                "GetServiceQuota": {"Quota": {"Value": 100.0}},
                "BatchGetImage": {
                    "images": [],
                    "failures": [{"failureCode": "ImageNotFound", "failureReason": "Requested image not found"}],
                },
            }
            connection.send(Answer(200, json_type, json.dumps(answers[operation]).encode()))
            return
        asked = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
        action, role = asked["Action"], asked.get("RoleName", "")
        by_role = ROLE_KEY in request.headers["authorization"]
        if action == "DescribeStacks":
            if by_role and self.names_are_denied and asked["StackName"] == "data-platform":
                denied = f"User: {CALLER} is not authorized to perform: cloudformation:DescribeStacks"
                self._send_xml(connection, f"<Error><Code>AccessDenied</Code><Message>{denied}</Message></Error>", 403)
                return
            super().serve(request, connection)
            return
        result = ""
        if action in self.denied:
            message = f"User: {CALLER} is not authorized to perform: iam:{action} on resource: role {role}"
            self._send_xml(connection, f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>", 403)
            return
        if action == "GetCallerIdentity":
            result = f"<Arn>{CALLER}</Arn>"
        elif action == "CreateRole":
            assert CALLER in asked["AssumeRolePolicyDocument"]
            self.roles.append(role)
            self.boundaries.append(asked.get("PermissionsBoundary", ""))
            result = (
                f"<Role><RoleName>{role}</RoleName><Arn>arn:aws:iam::210987654321:role/{role}</Arn><Path>/</Path>"
                "<RoleId>1</RoleId><CreateDate>2026-01-31T08:00:00Z</CreateDate></Role>"
            )
        elif action == "DeleteRole":
            assert not self.attached, "IAM refuses to delete a role that has policies"
            self.roles.remove(role)
        elif action == "AttachRolePolicy":
            self.attached.append(asked["PolicyArn"])
        elif action == "DetachRolePolicy":
            self.attached.remove(asked["PolicyArn"])
        elif action == "AssumeRole":
            assert self.attached == [STACK["scheduler_policy_arn"]]
            result = (
                f"<Credentials><AccessKeyId>{ROLE_KEY}</AccessKeyId><SecretAccessKey>secret-of-the-role"
                "</SecretAccessKey><SessionToken>token</SessionToken><Expiration>2036-01-31T08:00:00Z</Expiration>"
                "</Credentials>"
            )
        self._send_xml(connection, f"<{action}Result>{result}</{action}Result>")

    def _send_xml(self, connection: Connection, text: str, status: int = 200) -> None:
        name = "ErrorResponse" if status >= 300 else "Response"
        connection.send(Answer(status, {"Content-Type": "text/xml"}, f"<{name}>{text}</{name}>".encode()))


class Logs(FakeLogs):
    """CloudWatch Logs of containers that print who they are; it knows the ECS whose containers they are."""

    def __init__(self, ecs: EcsApi) -> None:
        super().__init__()
        self._ecs = ecs
        self.put(STACK["log_group_name"], "another stream", "…")

    def answer(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        group, stream = request["logGroupName"], request["logStreamName"]
        for task in self._ecs.tasks(["arn", "environment"]):
            if stream == f"smoke/smoke/{task['arn'].rpartition('/')[2]}" and (group, stream) not in self.streams:
                self.put(group, stream, str(task["environment"]["AIRFLOW_ECS_TASK_INSTANCE"]))
        return super().answer(request)


@pytest.fixture(scope="module")
def server() -> Iterator[EcsApi]:
    with EcsApi() as api:
        yield api


@pytest.fixture
def ecs(server: EcsApi, monkeypatch: pytest.MonkeyPatch) -> EcsApi:
    """An ECS that does what the checks expect of AWS."""
    server.reset()
    server.configure(run_seconds=0.05)
    never = {
        "no-image": "CannotPullContainerError: pull image manifest has been retried 1 time(s): not found",
        "no-secret": "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
        "retrieval failed: unable to retrieve secret from asm: ResourceNotFoundException: no such secret",
        "no-program": "CannotStartContainerError: ResourceInitializationError: exec: no such file or directory",
        "no-route": "ResourceInitializationError: dial tcp 52.94.0.1:443: i/o timeout. Check your network route",
    }
    for name, reason in never.items():
        server.behave(f"/{name}", never_starts=reason)
    server.behave("/exit-code", exit_code=3)
    killed = "OutOfMemoryError: Container killed due to memory usage"
    server.behave("/out-of-memory", exit_code=137, container_reason=killed)
    for name in ("stopped", "burst"):
        server.behave(f"/{name}", run_seconds=None)
    server.fault(
        "RunTask", "error", match=checks.UNKNOWN_SUBNET, code="InvalidParameterException",
        message=f"Error retrieving subnet information for [{checks.UNKNOWN_SUBNET}]: The subnet ID does not exist",
    )  # fmt: skip
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        **AWS_ENVIRONMENT,
        "AWS_ENDPOINT_URL_ECS": server.url,
        "AWS_SECRET_ACCESS_KEY": "secret-of-the-caller",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    monkeypatch.setattr(account, "PAUSE", 0.02)
    monkeypatch.setattr(checks, "BURST", 20)
    return server


@pytest.fixture(autouse=True)
def aws(ecs: EcsApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with Account() as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL", service.url)
        yield service


@pytest.fixture(autouse=True)
def logs(ecs: EcsApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logs]:
    with Logs(ecs) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", service.url)
        yield service


@pytest.fixture(autouse=True)
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    with FakeS3() as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", service.url)
        yield service


class Ran:
    """How a run ended: its exit code, what it printed, and AWS's messages."""

    def __init__(self, code: int, output: str, out: Path) -> None:
        self.code, self.output = code, output
        self.lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []

    def of(self, check: str) -> str:
        """What is reported of one check."""
        found = re.search(rf"^(?:ok|OTHERWISE) +{check}\n(?:  .*\n)+", self.output, re.M)
        assert found, self.output
        return found[0]


Smoke = Callable[..., Ran]


@pytest.fixture
def smoke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Smoke:
    """Run it, without a question, for the stack unless told otherwise."""

    def run(*arguments: str, stack: str = "data-platform", yes: bool = True) -> Ran:
        out = tmp_path / "messages.jsonl"
        flags = [*(["--stack", stack] if stack else []), *(["--yes"] if yes else []), "--out", str(out)]
        code = guarded(lambda: main([*flags, *arguments]))
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err and "secret-of" not in printed.out + printed.err
        return Ran(code, printed.out + printed.err, out)

    return run


def left_in(ecs: EcsApi, aws: Account) -> list[str]:
    """What there is that costs, or is in somebody's way."""
    client = boto3.client("ecs")
    active = client.list_task_definitions(familyPrefix="aws-smoke")["taskDefinitionArns"]
    every = client.list_task_definitions(status="ACTIVE")["taskDefinitionArns"]
    client.close()
    running = [task["arn"] for task in ecs.tasks() if task["desiredStatus"] != "STOPPED"]
    return [*active, *(arn for arn in every if "aws-smoke" in arn), *running, *aws.roles, *aws.attached]


class TestAsExpected:
    def test_every_check_that_is_cheap_and_safe_is_asked(self, smoke: Smoke, ecs: EcsApi, aws: Account) -> None:
        ran = smoke()
        assert ran.code == 0, ran.output
        reported = re.findall(r"^ok +(\S+)$", ran.output, re.M)
        assert reported == [check.name for check in CHECKS if not check.named]
        assert left_in(ecs, aws) == []

    def test_each_says_what_was_asked_expected_answered_and_what_it_cost(self, smoke: Smoke) -> None:
        asked, expected, answered, cost = smoke("exit-code").of("exit-code").splitlines()[1:]
        assert asked == "  asked      RunTask of a command that exits with 3"
        assert expected == "  expected   failed, exit code 3"
        assert answered.startswith("  answered   Essential container in task exited; container 'smoke' ended with exit")
        assert re.fullmatch(r"  cost       0\.05 US cents, \d+ s", cost)

    def test_those_that_cost_or_disturb_are_asked_by_their_names(self, smoke: Smoke, ecs: EcsApi, aws: Account) -> None:
        ecs.fault("RunTask", "throttle", times=3, match="/burst")
        ecs.fault(
            "RunTask", "no_capacity", times=2, match="/burst", reason="You've reached the limit on the number of vCPUs"
        )
        ran = smoke("burst", "no-route", "--isolated-subnet", "subnet-2")
        assert ran.code == 0, ran.output
        assert re.findall(r"^ok +(\S+)$", ran.output, re.M) == ["no-route", "burst"], "its tasks take vCPUs"
        assert "3 × ThrottlingException: Rate exceeded" in ran.of("burst")
        bursts = [
            task["request"] for task in ecs.tasks() if "/burst" in task["environment"]["AIRFLOW_ECS_TASK_INSTANCE"]
        ]
        assert all("sleep 60 " in json.dumps(request) for request in bursts), "they cost little, however the run ends"
        assert "15 × launched" in ran.of("burst") and "2 × ECS did not start the task" in ran.of("burst")
        assert {"subnet-2"} == {
            subnet
            for task in ecs.tasks()
            for subnet in task["request"]["networkConfiguration"]["awsvpcConfiguration"]["subnets"]
            if task["environment"]["AIRFLOW_ECS_TASK_INSTANCE"].endswith("/no-route")
        }
        assert left_in(ecs, aws) == []

    def test_what_reads_only_needs_no_stack(self, smoke: Smoke, ecs: EcsApi) -> None:
        ran = smoke(stack="")
        assert ran.code == 0, ran.output
        assert re.findall(r"^ok +(\S+)$", ran.output, re.M) == ["vcpu-quota", "no-cluster"]
        assert "list-tasks     not asked: it requires --cluster" in ran.output
        assert "first-task     not asked: it requires --cluster, --subnets" in ran.output
        assert "stack-name     not asked: it requires --stack" in ran.output
        assert ecs.calls().keys() == {"ListTasks"}

    def test_flags_name_what_no_stack_does(self, smoke: Smoke, ecs: EcsApi) -> None:
        ran = smoke("first-task", "--cluster", "airflow", "--subnets", "subnet-9", "--assign-public-ip", stack="")
        assert ran.code == 0, ran.output
        (task,) = ecs.tasks()
        network = task["request"]["networkConfiguration"]["awsvpcConfiguration"]
        assert network == {"subnets": ["subnet-9"], "assignPublicIp": "ENABLED"}

    @pytest.mark.parametrize(
        "image, missing",
        [
            ("public.ecr.aws/docker/library/busybox:stable", "public.ecr.aws/docker/library/busybox"),
            (f"registry:5000/team/worker@sha256:{'0' * 64}", "registry:5000/team/worker"),
        ],
    )
    def test_the_image_that_does_not_exist_is_another_tag_of_the_one_that_subnets_can_pull(
        self, image: str, missing: str, smoke: Smoke, ecs: EcsApi
    ) -> None:
        smoke("no-image", "--image", image)
        client = boto3.client("ecs")
        (task,) = ecs.tasks(["arn"])
        described = client.describe_tasks(cluster="airflow", tasks=[task["arn"]])["tasks"][0]
        name = described["taskDefinitionArn"]
        (container,) = client.describe_task_definition(taskDefinition=name)["taskDefinition"]["containerDefinitions"]
        client.close()
        assert re.fullmatch(rf"{missing}:aws-smoke-\w+", container["image"])

    def test_the_role_has_the_permissions_boundary_of_the_stack(self, smoke: Smoke, aws: Account) -> None:
        smoke("stack-name")
        aws.has_parameter("PermissionsBoundaryArn", "arn:aws:iam::210987654321:policy/boundary")
        smoke("stack-name")
        assert aws.boundaries == ["", "arn:aws:iam::210987654321:policy/boundary"]


def refuses_two_filters(ecs: EcsApi) -> None:
    message = "cannot specify startedBy with other arguments"
    ecs.fault("ListTasks", "error", code="InvalidParameterException", message=message, match="desiredStatus")


OTHERWISE: dict[str, tuple[Callable[[EcsApi], None], str]] = {
    "list-tasks": (refuses_two_filters, "InvalidParameterException: cannot specify startedBy with other arguments"),
    "first-task": (lambda ecs: ecs.behave("/plain", exit_code=1), "exit code 1; .* reads: failed"),
    "found-again": (lambda ecs: ecs.fault("ListTasks", "empty"), "not among the tasks"),
    "client-token": (lambda ecs: ecs.fault("RunTask", "empty", after=1), r"tasks: \[\], failures: \[\]"),
    "token-conflict": (lambda ecs: ecs.fault("RunTask", "conflict", match='"group"'), "resourceIds: none"),
    "no-image": (lambda ecs: ecs.behave("/no-image", never_starts="Something new"), "Something new"),
    "no-secret": (lambda ecs: ecs.behave("/no-secret", exit_code=0), "reads: succeeded"),
    "no-program": (lambda ecs: ecs.behave("/no-program", exit_code=126), "exit code 126"),
    "exit-code": (lambda ecs: ecs.behave("/exit-code", exit_code=None), "left no exit code"),
    "out-of-memory": (lambda ecs: ecs.behave("/out-of-memory", exit_code=1), "exit code 1"),
    "stopped": (lambda ecs: ecs.behave("/stopped", run_seconds=None, stop_exit_code=137), "exit code 137"),
    "no-route": (lambda ecs: ecs.behave("/no-route", exit_code=0), "reads: succeeded"),
    "no-subnet": (EcsApi.clear_faults, "accepted"),
    "no-definition": (
        lambda ecs: ecs.fault("RunTask", "error", code="ClientException", message="No."), "ClientException: No"
    ),
    "vanished-task": (lambda ecs: ecs.fault("DescribeTasks", "empty"), r"failures: \[\]"),
    "no-cluster": (
        lambda ecs: ecs.fault("ListTasks", "error", code="ClientException", message="No."), "ClientException: No"
    ),
    "burst": (
        lambda ecs: ecs.fault("RunTask", "error", times=1, code="ClientException", message="No."),
        "1 × ClientException: No.",
    ),
}  # fmt: skip


class TestOtherwise:
    @pytest.mark.parametrize("check", OTHERWISE)
    def test_the_answer_is_told_with_what_to_do(self, check: str, smoke: Smoke, ecs: EcsApi, aws: Account) -> None:
        change, answer = OTHERWISE[check]
        if check in TASKS or check == "first-task":
            ecs.reset()  # the first rule that matches a task is taken
            ecs.configure(run_seconds=0.05)
        change(ecs)
        ran = smoke(check, "--isolated-subnet", "subnet-2")
        assert ran.code == 1, ran.output
        assert re.search(f"  answered   .*{answer}", ran.of(check)), ran.output
        (otherwise,) = (item.otherwise for item in CHECKS if item.name == check)
        assert f"  to do      {otherwise}\n" in ran.of(check)
        ecs.clear_faults()
        assert left_in(ecs, aws) == []

    @pytest.mark.parametrize(
        "stack", ["data-platform", "arn:aws:cloudformation:us-east-1:210987654321:stack/data-platform/1"]
    )
    def test_a_stack_that_is_denied_by_its_name(self, stack: str, smoke: Smoke, aws: Account, ecs: EcsApi) -> None:
        aws.names_are_denied = True
        ran = smoke("stack-name", stack=stack)
        assert ran.code == 1 and "by its id: accepted; by its name: AccessDenied: User" in ran.of("stack-name")
        assert left_in(ecs, aws) == []

    @pytest.mark.parametrize(
        "check, end",
        [
            *(("no-secret", end) for end in ("secret_timeout", "parameters_denied", "secrets_killed")),
            ("no-route", "pull_unexpected_status"),
            ("no-image", "pull_timeout"),
            ("out-of-memory", "killed"),
        ],
    )
    def test_a_task_that_ends_for_another_reason(self, check: str, end: str, smoke: Smoke, ecs: EcsApi) -> None:
        ecs.reset()
        ecs.behave(f"/{check}", end=end)
        ran = smoke(check, "--isolated-subnet", "subnet-2")
        assert ran.code == 1, ran.of(check)

    def test_tasks_that_would_not_start_either_are_not_launched(self, smoke: Smoke, ecs: EcsApi, aws: Account) -> None:
        ecs.behave("/plain", end="pull_timeout")
        ran = smoke()
        assert ran.code == 1
        assert "to do      if the image was not pulled, give an --image that these subnets can pull" in ran.of(
            "first-task"
        )
        assert re.findall(r"^not asked +(\S+): first-task never started", ran.output, re.M) == [
            check.name for check in CHECKS if check.task and not check.named and check.name != "first-task"
        ]
        assert re.findall(r"^OTHERWISE +(\S+)$", ran.output, re.M) == ["first-task"]
        assert len(ecs.tasks(["arn"])) == 1

    def test_a_log_that_holds_something_else(self, smoke: Smoke, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
        events = {"events": [{"timestamp": 0, "message": "hello"}]}
        monkeypatch.setattr(logs, "answer", lambda request: (200, events))
        ran = smoke("container-log", "log-stream")
        assert ran.code == 1
        assert "answered   'hello', printed" in ran.of("container-log")
        assert "answered   accepted" in ran.of("log-stream")

    def test_an_object_that_the_entrypoint_cannot_read(
        self, smoke: Smoke, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def describe(*_: object) -> None:
            raise SettingsError("no date")

        monkeypatch.setattr("airflow_ecs_entrypoint.sync.s3.S3.describe", describe)
        assert "Expires: 0 comes back as None; the entrypoint: no date" in smoke("expires").of("expires")
        assert s3.buckets["bucket"] == {}

    def test_a_permission_that_the_caller_lacks_is_named(self, smoke: Smoke, ecs: EcsApi) -> None:
        ecs.fault("ListTasks", "denied")
        assert "  to do      Allow ecs:ListTasks in the IAM policy" in smoke("list-tasks").of("list-tasks")


@pytest.fixture(autouse=True)
def takes_ctrl_c() -> Iterator[None]:
    """A job in the background ignores Ctrl-C, and so does all that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class TestRemoval:
    def test_ctrl_c_leaves_nothing(self, ecs: EcsApi, aws: Account, tmp_path: Path) -> None:
        ecs.reset()
        ecs.behave("/plain", run_seconds=0.05)
        ecs.configure(run_seconds=None)
        command = [sys.executable, "-m", "tools.aws_smoke", "--stack", "data-platform", "--yes"]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'executor'}:{ROOT / 'entrypoint'}"}
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                deadline = time.monotonic() + 60
                while len(ecs.tasks(["arn"])) < 7 and time.monotonic() < deadline:
                    time.sleep(0.05)
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=60)
            finally:
                process.kill()
        assert (process.returncode, errors) == (130, "Interrupted\n")
        assert left_in(ecs, aws) == []
        assert (tmp_path / "aws-smoke.jsonl").exists()

    def test_a_task_whose_launch_was_not_answered_is_stopped(self, smoke: Smoke, ecs: EcsApi, aws: Account) -> None:
        ecs.configure(run_seconds=None)
        ecs.fault("RunTask", "lost_answer")
        assert smoke("first-task").code == 1
        assert len(ecs.tasks()) == 1 and left_in(ecs, aws) == []

    def test_what_may_not_be_created_is_not_missed(self, smoke: Smoke, ecs: EcsApi, aws: Account) -> None:
        for operation in ("RegisterTaskDefinition", "DeregisterTaskDefinition"):
            ecs.fault(operation, "denied")
        aws.denied = ["CreateRole", "DeleteRole"]
        ran = smoke("first-task", "stack-name")
        assert ran.code == 1 and "Not removed" not in ran.output

    def test_what_may_have_been_created_is_missed(self, smoke: Smoke, ecs: EcsApi) -> None:
        ecs.fault("RegisterTaskDefinition", "lost_answer")
        ecs.fault("DeregisterTaskDefinition", "denied")
        assert smoke("first-task").code == 3

    @pytest.mark.parametrize("limit", ["Ctrl-C", "time"])
    def test_a_removal_that_ends_early_tells_the_commands_for_the_rest(
        self, limit: str, smoke: Smoke, ecs: EcsApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*_: object) -> None:
            signal.raise_signal(signal.SIGINT)

        if limit == "time":
            monkeypatch.setattr(account, "REMOVAL_SECONDS", 0.0)
        else:
            monkeypatch.setattr("tools.aws_smoke.account.Account.stop", interrupted)
        ran = smoke("first-task", "stack-name")
        assert ran.code == 3
        assert re.findall(r"remove it by: (?:for .* do )?aws (\w+ [\w-]+)", ran.output) == [
            "ecs stop-task", "ecs stop-task", "ecs deregister-task-definition", "iam detach-role-policy",
            "iam delete-role",
        ]  # fmt: skip


class TestQuestion:
    def test_what_would_be_done_is_told_before_it_is_asked_for(
        self, smoke: Smoke, ecs: EcsApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
        ran = smoke(yes=False)
        assert ran.code == 2 and ecs.calls() == {}
        assert "Made, and removed again: 7 ECS tasks, an IAM role, three objects of no bytes." in ran.output
        assert "Cost: up to 0.35 US cents. Time: some minutes." in ran.output
        assert "ERROR: Nothing was asked. Answer y, or give YES=1 (--yes)." in ran.output

    @pytest.mark.parametrize("typed, code", [("y\n", 0), ("", 2)])
    def test_somebody_has_to_say_yes(
        self, typed: str, code: int, smoke: Smoke, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        assert smoke("no-cluster", yes=False).code == code


class TestBadInput:
    @pytest.mark.parametrize(
        "arguments, environment, message",
        [
            (["nothing"], {}, "'nothing' is not a valid check. Expected: list-tasks, stack-name, "),
            (["no-route"], {}, "The check no-route requires --isolated-subnet."),
            (["--out", "/no/such/x.jsonl"], {}, "--out /no/such/x.jsonl: there is no folder /no/such."),
            ([], {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "The stack data-platform cannot be read: Endpoint"),
            (["--stack", ""], {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "AWS does not say whose credentials"),
            (
                ["--stack", ""],
                {"AWS_DEFAULT_REGION": ""},
                "You must specify a region. Give --region, or set AWS_REGION.",
            ),
            (["--stack", ""], {"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be found."),
            (["--stack", ""], {"AWS_ACCESS_KEY_ID": ""}, "AWS credentials are missing, wrong or expired"),
        ],
    )
    def test_it_is_told_in_one_message(
        self, arguments: list[str], environment: dict[str, str], message: str, smoke: Smoke,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        for name, value in environment.items():
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
        ran = smoke(*arguments)
        assert ran.code == 2
        assert "ERROR: " in ran.output and message in " ".join(ran.output.split())


class TestMessages:
    def test_another_run_adds_what_is_new(self, smoke: Smoke, tmp_path: Path) -> None:
        first = smoke("no-cluster").lines
        judged = (tmp_path / "messages.jsonl").read_text().replace('"expect": "hopeless"', '"expect": "denied"').strip()
        (tmp_path / "messages.jsonl").write_text(judged)
        lines = smoke("no-cluster", "image-tag").lines
        assert [line["id"] for line in first] == [line["id"] for line in lines[:1]]
        assert [line["expect"] for line in lines] == ["denied", "missing"]

    def test_every_error_failure_and_stopped_task_is_a_line(self, smoke: Smoke) -> None:
        lines = {(line["kind"], line["op"], line["code"]): line for line in smoke().lines}
        for key, expect, extra in (
            (("run_task_exception", "RunTask", "ClientException"), "revision_gone", {}),
            (("run_task_exception", "RunTask", "ConflictException"), "conflict", {}),
            (("describe/list/stop exception", "ListTasks", "ClusterNotFoundException"), "hopeless", {}),
            (("ecr_exception", "BatchGetImage", "failure:ImageNotFound"), "missing", {"tool": "image_check"}),
            (("logs", "GetLogEvents", "ResourceNotFoundException"), "hopeless", {}),
            (("stopped_task", "DescribeTasks", "UserInitiated"), "failed", {"started": True, "exitCode": 143}),
        ):
            assert (lines[key]["expect"], lines[key]["extra"]) == (expect, extra), key

    def test_a_line_has_the_fields_of_the_corpus(self, smoke: Smoke) -> None:
        (line,) = smoke("no-cluster").lines
        line.pop("id")
        source = line.pop("source")
        assert re.fullmatch(r"make aws-smoke, us-east-1, \d{4}-\d\d-\d\d", source)
        assert line == {
            "kind": "describe/list/stop exception", "op": "ListTasks", "code": "ClusterNotFoundException",
            "http_status": 400, "message": "Cluster not found.", "extra": {}, "wording": "quoted", "expect": "hopeless",
            "hint_must": None, "hint_not": None, "hint_weight": "needed", "sure": False, "common": 1,
        }  # fmt: skip

    @pytest.mark.parametrize(
        "said, public",
        [
            ("User: arn:aws:iam::210987654321:user/jane.doe is", "User: arn:aws:iam::123456789012:user/name is"),
            (
                "arn:aws:sts::210987654321:assumed-role/Admin/jane@x.org on arn:aws:iam::210987654321:role/path/exec",
                "arn:aws:sts::123456789012:assumed-role/name on arn:aws:iam::123456789012:role/name",
            ),
            (
                "arn:aws:organizations::210987654321:policy/o-acmecorp12/service_control_policy/p-acme0123",
                "arn:aws:organizations::123456789012:policy/name",
            ),
            (
                "(arn:aws-cn:secretsmanager:cn-north-1:210987654321:secret:team/db-AbCdEf:username::).",
                "(arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:name::).",
            ),
            ("'arn:aws:s3:::acme-data/key', arn:aws:s3:::acme", "'arn:aws:s3:::name', arn:aws:s3:::name"),
            ("federated-user/jane.doe", "federated-user/name"),
            ("instance-profile/acme is not, alias/acme:", "instance-profile/name is not, alias/name:"),
            ("the organization o-acmecorp12, ou-ab12-acmeunit", "the organization o-exampleorgid, ou-root-exampleouid"),
            ("jane.doe+aws@mail.acme.org.", "user@example.com."),
            ("policy/acme-prod-SchedulerPolicy-ABC123", "policy/name"),
            ("acme-prod-SchedulerPolicy-ABC123", "airflow-SchedulerPolicy-ABC123"),
            ("registry.acme.org:5000/team/worker:v1-secret:", "registry.example.com/image:tag:"),
            (
                "https://registry.acme.org:5000/v2/team/worker/manifests/v1-secret: 404",
                "https://registry.example.com/v2/image: 404",
            ),
            ("lookup registry.acme.org on [2600:1f18:ab::53]:53", "lookup registry.example.com on [2001:db8::1]:53"),
            ("task/acme-prod/0f1e2d3c4b5a69788796a5b4c3d2e1f0", "task/name"),
            ("the task 0f1e2d3c4b5a69788796a5b4c3d2e1f0", "the task 0123456789abcdef0123456789abcdef"),
            ("[subnet-0a1b2c3d4e5f60718, sg-1a2b3c4d]", "[subnet-0123456789abcdef0, sg-0123456789abcdef0]"),
            ("dial tcp 52.94.5.1:443: i/o timeout", "dial tcp 10.0.0.1:443: i/o timeout"),
            ("request id: 5E0A24C1-0001-4B7C-9C7E-aabbccddeeff", "request id: 00000000-0000-0000-0000-000000000000"),
            ("Encoded authorization failure message: " + "aB3_" * 40, "Encoded authorization failure message: …"),
            ("The key AKIA1234567890ABCDEF", "The key AKIAIOSFODNN7EXAMPLE"),
            ("the bucket acme-prod-dags", "the bucket airflow-dags"),
            ("the bucket acme-production", "the bucket acme-production"),
            ("Rate exceeded at 08:00:00", "Rate exceeded at 08:00:00"),
        ],
    )
    def test_names_and_numbers_are_replaced(self, said: str, public: str) -> None:
        messages = Messages()
        messages.hide({"acme-prod": "airflow", "": "nothing"})
        messages.hide_image(parse("registry.acme.org:5000/team/worker:v1-secret"))
        assert messages.public(said) == public

    def test_nothing_of_the_account_is_in_the_file(self, smoke: Smoke, aws: Account) -> None:
        aws.names_are_denied = True
        text = json.dumps(smoke().lines)
        assert "AccessDenied" in text
        assert not re.search(r"210987654321|jane|data-platform|aws-smoke-|secret-of|ASIA", text)
