"""What the containers of a task have in common, how they wait for each other, and what they are given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.machine.waiting import until
from tests.local.conftest import Document, Tasks, ends, python, shell

LIMITS = """
import json, os
from pathlib import Path

def first(*paths):
    return next(Path(path).read_text().split() for path in paths if Path(path).exists())

groups = Path("/sys/fs/cgroup")
memory = int(first(groups / "memory.max", groups / "memory/memory.limit_in_bytes")[0])
quota = first(groups / "cpu.max", groups / "cpu/cpu.cfs_quota_us")
period = quota[1] if len(quota) > 1 else first(groups / "cpu/cpu.cfs_period_us")[0]
print(json.dumps({"memory": memory, "cpu": int(quota[0]) / int(period)}))
"""
ENVIRONMENT = python("import json, os; print(json.dumps(dict(os.environ)))")


class TestSeveralContainers:
    def test_the_end_of_an_essential_one_stops_the_others(self, tasks: Tasks) -> None:
        sidecar = tasks.container(
            shell("trap 'exit 9' TERM; while :; do sleep 0.1; done"), name="sidecar", essential=False
        )
        task = tasks.finish(sidecar, tasks.container(shell("sleep 0.5; exit 3")))
        assert ends(task) == {"main": (3, None), "sidecar": (9, None)}
        assert task["stoppedReason"] == "Essential container in task exited"

    def test_the_end_of_another_one_does_not(self, tasks: Tasks) -> None:
        sidecar = tasks.container(shell("exit 5"), name="sidecar", essential=False)
        task = tasks.finish(sidecar, tasks.container(shell("sleep 1; exit 0")))
        assert ends(task) == {"main": (0, None), "sidecar": (5, None)}

    def test_nor_does_one_that_cannot_start(self, tasks: Tasks) -> None:
        sidecar = tasks.container(["/missing"], name="sidecar", essential=False)
        task = tasks.finish(sidecar, tasks.container(shell("sleep 0.3")))
        found = ends(task)
        assert found["main"] == (0, None)
        code, reason = found["sidecar"]
        assert code is None and str(reason).startswith("CannotStartContainerError: ")

    def test_when_an_essential_one_cannot_start_the_others_are_told_to_stop(self, tasks: Tasks) -> None:
        other = tasks.container(shell("trap 'exit 9' TERM; while :; do sleep 0.1; done"), name="other")
        main = tasks.container(["/missing"], dependsOn=[{"containerName": "slow", "condition": "COMPLETE"}])
        slow = tasks.container(["sleep", "1"], name="slow", essential=False)
        task = tasks.finish(other, main, slow)
        assert ends(task)["other"] == (9, None)
        assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", "Task failed to start")

    def test_they_share_localhost_and_volumes(self, tasks: Tasks) -> None:
        volume = [{"sourceVolume": "shared", "containerPath": "/shared"}]
        server = tasks.container(
            python(
                "import socket, pathlib; s = socket.create_server(('127.0.0.1', 8000));"
                "pathlib.Path('/shared/ready').touch(); s.accept()[0].sendall(b'hello')"
            ),
            name="server",
            essential=False,
            mountPoints=volume,
        )
        client = tasks.container(
            python(
                "import socket, pathlib, time\nwhile not pathlib.Path('/shared/ready').exists(): time.sleep(0.05)\n"
                "print(socket.create_connection(('127.0.0.1', 8000)).recv(9).decode())"
            ),
            mountPoints=volume,
        )
        task = tasks.finish(server, client, volumes=[{"name": "shared"}])
        assert tasks.lines(task) == ["hello"]
        assert tasks.left(task["taskArn"]) == []


class TestDependencies:
    def waiting(self, tasks: Tasks, condition: str, first: Document, **members: Any) -> Document:
        """The end of a task whose main container waits for another one."""
        depends = [{"containerName": "first", "condition": condition}]
        main = tasks.container(shell("cat /shared/*"), dependsOn=depends, mountPoints=first["mountPoints"], **members)
        return tasks.finish(main, first, volumes=[{"name": "shared"}])

    def first(self, tasks: Tasks, script: str, **members: Any) -> Document:
        """A container that is waited for."""
        volume = [{"sourceVolume": "shared", "containerPath": "/shared"}]
        return tasks.container(shell(script), name="first", essential=False, mountPoints=volume, **members)

    @pytest.mark.parametrize(("condition", "code"), [("COMPLETE", 4), ("SUCCESS", 0)])
    def test_one_that_must_have_ended_has(self, tasks: Tasks, condition: str, code: int) -> None:
        first = self.first(tasks, f"sleep 0.5; echo written >/shared/file; exit {code}")
        task = self.waiting(tasks, condition, first)
        assert tasks.lines(task) == ["written"]
        assert ends(task) == {"main": (0, None), "first": (code, None)}

    def test_one_that_is_waited_for_runs_before_the_task_does(self, tasks: Tasks) -> None:
        first = self.first(tasks, "sleep 1")
        main = tasks.container(dependsOn=[{"containerName": "first", "condition": "SUCCESS"}])
        arn = tasks.start(main, first, until="ACTIVATING", volumes=[{"name": "shared"}])

        def states() -> dict[str, str]:
            return {item["name"]: item["lastStatus"] for item in tasks.describe(arn)["containers"]}

        until(lambda: states() == {"main": "PENDING", "first": "RUNNING"}, 20, "only the first runs", pause=0.05)
        assert tasks.describe(arn)["lastStatus"] == "ACTIVATING"
        assert ends(tasks.wait(arn)) == {"main": (0, None), "first": (0, None)}

    def test_one_that_must_have_succeeded_but_failed_keeps_the_task_from_starting(self, tasks: Tasks) -> None:
        task = self.waiting(tasks, "SUCCESS", self.first(tasks, "exit 4"))
        assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", "Task failed to start")
        assert ends(task)["first"] == (4, None)
        code, reason = ends(task)["main"]
        assert code is None and str(reason).endswith("as dependency did not exit successfully")

    def test_one_that_others_depend_on_stops_after_them(self, tasks: Tasks) -> None:
        volume = [{"sourceVolume": "shared", "containerPath": "/shared"}]
        wait = "echo ready; while :; do sleep 0.1; done"
        first = self.first(tasks, f"trap 'test -e /shared/ended && exit 21; exit 22' TERM; {wait}")
        main = tasks.container(
            shell(f"trap 'sleep 0.5; touch /shared/ended; exit 20' TERM; {wait}"),
            dependsOn=[{"containerName": "first", "condition": "START"}],
            mountPoints=volume,
        )
        arn = tasks.start(main, first, volumes=[{"name": "shared"}])
        until(lambda: tasks.lines(arn) and tasks.lines(arn, "first"), 20, "both have written a line")
        assert ends(tasks.stop(arn)) == {"main": (20, None), "first": (21, None)}

    def test_one_that_must_be_healthy_is(self, tasks: Tasks) -> None:
        check = {"command": ["CMD-SHELL", "test -e /shared/up"], "interval": 5, "timeout": 2, "startPeriod": 10}
        first = self.first(tasks, "echo up >/shared/up; sleep 60", healthCheck=check, stopTimeout=2)
        task = self.waiting(tasks, "HEALTHY", first)
        assert tasks.lines(task) == ["up"]

    @pytest.mark.parametrize(
        ("script", "why"),
        [("sleep 60", "as dependency has timed out"), ("sleep 0.2", "as dependency has stopped")],
    )
    def test_one_that_does_not_become_healthy_is_not_waited_for_for_ever(
        self, tasks: Tasks, script: str, why: str
    ) -> None:
        check = {"command": ["CMD-SHELL", "exit 1"], "interval": 5, "timeout": 2}
        first = self.first(tasks, script, healthCheck=check, startTimeout=2, stopTimeout=2)
        task = self.waiting(tasks, "HEALTHY", first)
        assert task["stopCode"] == "TaskFailedToStart"
        assert str(ends(task)["main"][1]).endswith(why)


class TestOverrides:
    def test_command_and_environment(self, tasks: Tasks) -> None:
        family = tasks.define(tasks.container(environment=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))
        (arn,) = tasks.run(family, command=shell("echo $A $B $C"), environment=[
            {"name": "B", "value": "two"}, {"name": "C", "value": "three"},
        ])  # fmt: skip
        assert tasks.lines(tasks.wait(arn)) == ["1 two three"]

    def test_the_task_s_sizes_and_a_container_s_memory_are_in_force(self, tasks: Tasks) -> None:
        plain = tasks.finish(tasks.container(python(LIMITS)))
        assert tasks.json_of(plain) == {"cpu": 0.25, "memory": 512 * 1024**2}
        family = tasks.define(tasks.container(python(LIMITS)))
        (arn,) = tasks.run(family, memory=128, cpu=128)
        assert tasks.json_of(tasks.wait(arn)) == {"cpu": 0.25, "memory": 128 * 1024**2}


class TestSecretsAndFiles:
    def test_they_are_variables_of_the_container(self, tasks: Tasks) -> None:
        aws = tasks.aws
        secret = aws.client("secretsmanager").create_secret(Name="database", SecretString='{"password": "s3cret"}')
        aws.client("ssm").put_parameter(Name="/airflow/key", Value="fernet", Type="SecureString")
        aws.client("s3").create_bucket(Bucket="environment")
        aws.client("s3").put_object(Bucket="environment", Key="a.env", Body=b"# of a\nONE=a\nTWO=a b\n")
        aws.client("s3").put_object(Bucket="environment", Key="b.env", Body=b"ONE=b\nTHREE=b\n")
        task = tasks.finish(
            tasks.container(
                shell("echo $PASSWORD $KEY $ONE $TWO $THREE"),
                environment=[{"name": "THREE", "value": "definition"}],
                environmentFiles=[{"type": "s3", "value": f"arn:aws:s3:::environment/{key}.env"} for key in "ab"],
                secrets=[
                    {"name": "PASSWORD", "valueFrom": f"{secret['ARN']}:password::"},
                    {"name": "KEY", "valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/airflow/key"},
                ],
            )
        )
        assert tasks.lines(task) == ["s3cret fernet a a b definition"]


class TestEndpoints:
    def test_boto3_finds_the_credentials_of_the_task_role_by_itself(self, tasks: Tasks) -> None:
        script = (
            "import boto3, os; assert not [name for name in os.environ if 'KEY' in name];"
            "print(boto3.client('sts').get_caller_identity()['Arn'], boto3.Session().get_credentials().method)"
        )
        task = tasks.finish(
            tasks.container(python(script), environment=[{"name": "AWS_ENDPOINT_URL", "value": "http://aws:5000"}]),
            taskRoleArn="arn:aws:iam::123456789012:role/worker",
        )
        (line,) = tasks.lines(task)
        assert line.startswith("arn:aws:sts::123456789012:assumed-role/worker/") and line.endswith(" container-role")

    def test_without_a_task_role_there_are_none(self, tasks: Tasks) -> None:
        variables = tasks.json_of(tasks.finish(tasks.container(ENVIRONMENT)))
        assert not [name for name in variables if "CREDENTIALS" in name or "KEY" in name]
        assert (variables["AWS_EXECUTION_ENV"], variables["AWS_REGION"]) == ("AWS_ECS_FARGATE", "us-east-1")

    def test_a_container_learns_who_it_is(self, tasks: Tasks) -> None:
        script = (
            "import json, os, urllib.request as u; base = os.environ['ECS_CONTAINER_METADATA_URI_V4'];"
            "print(json.dumps([json.load(u.urlopen(base + path)) for path in ('', '/task', '/stats')]))"
        )
        task = tasks.finish(tasks.container(python(script), cpu=64, memory=256))
        own, whole, stats = tasks.json_of(task)
        interface = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
        assert own["Name"] == "main" and own["ContainerARN"] == task["containers"][0]["containerArn"]
        (network,) = own["Networks"]
        assert network["IPv4Addresses"] == [interface["privateIPv4Address"]]
        assert network["PrivateDNSName"] == interface["privateDnsName"]
        assert network["MACAddress"] == interface["macAddress"]
        assert own["Limits"] == {"CPU": 64, "Memory": 256}
        assert (whole["TaskARN"], whole["LaunchType"]) == (task["taskArn"], "FARGATE")
        assert whole["Limits"] == {"CPU": 0.25, "Memory": 512}
        assert [item["Name"] for item in whole["Containers"]] == ["main"]
        assert stats["memory_stats"]["limit"] == 256 * 1024**2


class TestLogs:
    def test_lines_are_in_order_whole_and_without_empty_ones(self, tasks: Tasks) -> None:
        script = (
            "import sys\nfor number in range(3000): print(number)\nprint('', 'é' * 20000, sep='\\n')\n"
            "sys.stdout.flush()\nsys.stdout.buffer.write(b'\\xff end')"
        )
        task = tasks.finish(tasks.container(python(script)))
        lines: list[str] = []
        token: dict[str, str] = {}
        stream = f"task/main/{task['taskArn'].rpartition('/')[2]}"
        while True:
            answer = tasks.logs.get_log_events(
                logGroupName="/tests", logStreamName=stream, startFromHead=True, limit=10000, **token
            )
            if not answer["events"]:
                break
            lines += [event["message"] for event in answer["events"]]
            token = {"nextToken": answer["nextForwardToken"]}
        assert lines[:3000] == [str(number) for number in range(3000)]
        assert lines[3000] == "é" * 20000
        assert len(lines) == 3002 and lines[3001].endswith(" end")

    def test_they_come_while_the_container_runs(self, tasks: Tasks) -> None:
        arn = tasks.start(tasks.container(shell("echo first; sleep 60"), stopTimeout=2))
        assert until(lambda: tasks.lines(arn), 20, "it has written a line") == ["first"]


def test_a_volume_lasts_no_longer_than_its_task(tasks: Tasks) -> None:
    volume = [{"sourceVolume": "data", "containerPath": "/data"}]
    family = tasks.define(
        tasks.container(shell("cat /data/*; echo old >/data/file"), mountPoints=volume), volumes=[{"name": "data"}]
    )
    for _ in range(2):
        (arn,) = tasks.run(family)
        assert "old" not in json.dumps(tasks.lines(tasks.wait(arn)))
        assert tasks.left(arn) == []
