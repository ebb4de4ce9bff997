"""What a test can ask of the local ECS API: behaviours of tasks, faults of calls, quotas of the account."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from local.ecs.control import EcsApi
from local.ecs.errors import EmulatorError
from local.ecs.quotas import FARGATE_QUOTAS
from tests.unit.local.ecs.calls import CLUSTER, Launch, arns, connect, reaches, refused, run_task, until


@pytest.fixture(scope="module")
def impatient(server: EcsApi) -> Iterator[Any]:
    """A client that waits for an answer for a short time only."""
    client = connect(server, read_timeout=0.3)
    yield client
    client.close()


@pytest.fixture
def launch(client: Any) -> Launch:
    """RunTask with a command of a text."""

    def run(text: str = "", **parameters: Any) -> dict[str, Any]:
        overrides = {"containerOverrides": [{"name": "airflow", "command": ["run", text]}]}
        return run_task(client, **{"overrides": overrides, **parameters})

    return run


def ended(client: Any, answer: dict[str, Any]) -> dict[str, Any]:
    """The first task of an answer when it is STOPPED."""
    return reaches(client, arns(answer)[0])


def code_of(call: Callable[..., Any], *arguments: Any, **parameters: Any) -> str:
    return refused(call, *arguments, **parameters)[0]


class TestBehaviours:
    def test_the_default_is_changed_for_all_tasks(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.behave(run_seconds=0, exit_code=5, container_reason="OutOfMemoryError: killed")
        (container,) = ended(client, launch())["containers"]
        assert (container["exitCode"], container["reason"]) == (5, "OutOfMemoryError: killed")

    def test_a_rule_is_for_the_tasks_whose_overrides_contain_a_text(
        self, launch: Launch, client: Any, ecs: EcsApi
    ) -> None:
        ecs.configure(run_seconds=0)
        ecs.behave("größe", exit_code=1)
        assert ended(client, launch("größe=1"))["containers"][0]["exitCode"] == 1
        assert ended(client, launch("other"))["containers"][0]["exitCode"] == 0

    def test_rules_are_tried_in_order_and_may_serve_a_few_tasks_only(
        self, launch: Launch, client: Any, ecs: EcsApi
    ) -> None:
        ecs.configure(run_seconds=0)
        ecs.behave("job", times=2, exit_code=1)
        ecs.behave("job", exit_code=2)
        ecs.behave(times=1, exit_code=3)
        codes = [ended(client, launch(text))["containers"][0]["exitCode"] for text in ("job", "x", "job", "job", "x")]
        assert codes == [1, 3, 1, 2, 0]

    def test_a_task_that_never_starts_has_no_exit_code(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.behave(never_starts="CannotPullContainerError: no such image", container_reason="CannotPullContainerError")
        task = ended(client, launch())
        assert (task["stopCode"], task["stoppedReason"]) == (
            "TaskFailedToStart",
            "CannotPullContainerError: no such image",
        )
        assert "startedAt" not in task
        assert [(item.get("exitCode"), item["reason"]) for item in task["containers"]] == [
            (None, "CannotPullContainerError")
        ]

    def test_the_digest_of_the_image_is_known_once_it_is_pulled(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.behave(times=1, run_seconds=0, image_digest="sha256:1")
        launched = launch()
        assert "imageDigest" not in launched["tasks"][0]["containers"][0]
        assert ended(client, launched)["containers"][0]["imageDigest"] == "sha256:1"

    def test_a_sidecar_has_an_exit_code_of_its_own(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.behave(run_seconds=0, sidecar_exit_codes={"sidecar": 9})
        task = ended(client, launch(taskDefinition="worker-with-sidecar"))
        assert {item["name"]: item["exitCode"] for item in task["containers"]} == {"airflow": 0, "sidecar": 9}

    def test_a_host_may_be_lost(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.behave(run_seconds=0, exit_code=None, stop_code="InfrastructureHealth", stopped_reason="Host gone")
        task = ended(client, launch())
        assert (task["stopCode"], task["stoppedReason"]) == ("InfrastructureHealth", "Host gone")
        assert "exitCode" not in task["containers"][0]

    def test_a_task_that_ignores_sigterm_is_killed_later(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        ecs.behave(stop_seconds=0.2, stop_exit_code=137)
        answer = launch()
        until(lambda: ecs.running() == 1)
        client.stop_task(cluster=CLUSTER, task=answer["tasks"][0]["taskArn"])
        assert ecs.running() == 1
        task = ended(client, answer)
        assert task["containers"][0]["exitCode"] == 137
        assert (task["stoppedAt"] - task["stoppingAt"]).total_seconds() >= 0.19

    def test_a_task_is_finished_by_hand(self, launch: Launch, client: Any, ecs: EcsApi) -> None:
        answer = launch()
        ecs.finish(answer["tasks"][0]["taskArn"], exit_code=4)
        task = ended(client, answer)
        assert (task["containers"][0]["exitCode"], task["stopCode"]) == (4, "EssentialContainerExited")
        with pytest.raises(EmulatorError, match="ended already"):
            ecs.finish(task["taskArn"])


class TestErrors:
    @pytest.mark.parametrize(
        ("kind", "details", "code", "part", "status"),
        [
            ("throttle", {}, "ThrottlingException", "Rate exceeded", 400),
            ("server_error", {}, "ServerException", "", 500),
            ("unavailable", {}, "ServiceUnavailable", "", 503),
            ("expired_credentials", {}, "ExpiredTokenException", "expired", 400),
            ("invalid_credentials", {}, "UnrecognizedClientException", "invalid", 400),
            ("denied", {}, "AccessDeniedException", "not authorized to perform: ecs:ListTasks on resource: *", 400),
            ("error", {"code": "LimitExceededException", "message": "m"}, "LimitExceededException", "m", 400),
            ("error", {"code": "Teapot", "status": 418}, "Teapot", "", 418),
        ],
    )
    def test_a_call_gets_the_error_that_was_asked_for_once(
        self, ecs: EcsApi, client: Any, kind: str, details: dict[str, Any], code: str, part: str, status: int
    ) -> None:
        ecs.fault("ListTasks", kind, times=1, **details)
        with pytest.raises(ClientError) as caught:
            client.list_tasks(cluster=CLUSTER)
        response = caught.value.response
        assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
        assert part in response["Error"]["Message"]
        assert client.list_tasks(cluster=CLUSTER)["taskArns"] == []

    def test_an_error_may_hide_that_the_task_was_launched(self, ecs: EcsApi, launch: Launch) -> None:
        ecs.fault("RunTask", "server_error", carried_out=True, times=1)
        ecs.fault("RunTask", "unavailable", times=1)
        assert code_of(launch) == "ServerException"
        assert len(ecs.tasks()) == 1
        assert code_of(launch) == "ServiceUnavailable"
        assert len(ecs.tasks()) == 1

    def test_the_tag_permission_is_missed_only_where_there_are_tags(self, ecs: EcsApi, launch: Launch) -> None:
        ecs.fault("RunTask", "denied", action="ecs:TagResource")
        assert launch()["tasks"]
        with pytest.raises(ClientError, match=r"perform: ecs:TagResource on resource: arn:.*:task/airflow/") as caught:
            launch(tags=[{"key": "a", "value": "b"}])
        assert caught.value.response["Error"]["Code"] == "AccessDeniedException"

    def test_a_conflict_names_tasks(self, ecs: EcsApi, client: Any, launch: Launch) -> None:
        ecs.fault("RunTask", "conflict", resource_ids=["arn:x"])
        with pytest.raises(client.exceptions.ConflictException) as caught:
            launch()
        assert caught.value.response["resourceIds"] == ["arn:x"]

    def test_no_capacity_is_a_failure_for_each_task(self, ecs: EcsApi, launch: Launch) -> None:
        ecs.fault("RunTask", "no_capacity", times=1)
        ecs.fault("RunTask", "no_capacity", reason="RESOURCE:MEMORY", times=1)
        assert [item["reason"].split(".")[0] for item in launch(count=2)["failures"]] == [
            "Capacity is unavailable at this time"
        ] * 2
        answer = launch()
        assert (answer["tasks"], answer["failures"][0]["reason"]) == ([], "RESOURCE:MEMORY")
        assert "container-instance" in answer["failures"][0]["arn"]
        assert launch()["tasks"]

    def test_an_answer_may_be_empty(self, ecs: EcsApi, launch: Launch) -> None:
        ecs.fault("RunTask", "empty")
        answer = launch()
        assert (answer["tasks"], answer["failures"], ecs.tasks()) == ([], [], [])


class TestLostConnections:
    def test_a_lost_answer_hides_that_the_task_was_launched(self, ecs: EcsApi, launch: Launch) -> None:
        ecs.fault("RunTask", "lost_answer", times=1)
        with pytest.raises(ConnectionClosedError):
            launch(clientToken="token")
        assert len(ecs.tasks()) == 1
        assert launch(clientToken="token")["tasks"][0]["taskArn"] == ecs.tasks()[0]["arn"]

    def test_a_lost_request_launches_nothing(self, ecs: EcsApi, launch: Launch) -> None:
        ecs.fault("RunTask", "lost_request", times=1)
        with pytest.raises(ConnectionClosedError):
            launch()
        assert ecs.tasks() == []
        assert ecs.calls()["RunTask"]["errors"] == 1

    def test_botocore_s_own_retry_keeps_its_token(self, ecs: EcsApi) -> None:
        ecs.fault("RunTask", "lost_answer", times=1)
        client = connect(ecs, retries={"total_max_attempts": 3, "mode": "standard"})
        try:
            assert run_task(client)["tasks"]
        finally:
            client.close()
        assert (len(ecs.tasks()), ecs.calls()["RunTask"]["count"]) == (1, 2)

    def test_a_call_that_hangs_is_carried_out_though_the_caller_gives_up(self, ecs: EcsApi, impatient: Any) -> None:
        ecs.fault("RunTask", "hang", seconds=60)
        with pytest.raises(ReadTimeoutError):
            run_task(impatient)
        until(lambda: len(ecs.tasks()) == 1)

    def test_the_answer_is_lost_too_when_it_is_an_error(self, ecs: EcsApi, client: Any) -> None:
        ecs.fault("ListTasks", "lost_answer", times=1)
        with pytest.raises(ConnectionClosedError):
            client.list_tasks(cluster="unknown")
        assert code_of(client.list_tasks, cluster="unknown") == "ClusterNotFoundException"


class TestDelays:
    def test_latency_may_vary_and_goes_with_another_fault(self, ecs: EcsApi, client: Any) -> None:
        ecs.fault("ListTasks", "latency", seconds=[0.1, 0.15])
        ecs.fault("ListTasks", "throttle")
        started = time.monotonic()
        assert code_of(client.list_tasks, cluster=CLUSTER) == "ThrottlingException"
        assert time.monotonic() - started >= 0.1

    def test_a_new_task_may_stay_unknown_for_a_while(self, ecs: EcsApi, launch: Launch, client: Any) -> None:
        ecs.fault("RunTask", "eventual", seconds=0.8)
        arn = launch(startedBy="me")["tasks"][0]["taskArn"]
        assert client.describe_tasks(cluster=CLUSTER, tasks=[arn])["failures"] == [{"arn": arn, "reason": "MISSING"}]
        assert client.list_tasks(cluster=CLUSTER, startedBy="me")["taskArns"] == []
        until(lambda: client.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"])
        assert client.list_tasks(cluster=CLUSTER, startedBy="me")["taskArns"] == [arn]


class TestWhichCalls:
    def test_after_and_times_count_the_calls(self, ecs: EcsApi, client: Any) -> None:
        ecs.fault("ListTasks", "throttle", after=1, times=2)
        assert outcomes(client, 5) == "ok no no ok ok"

    def test_match_looks_into_the_request(self, ecs: EcsApi, launch: Launch) -> None:
        ecs.fault("RunTask", "throttle", match='"größe 1"', times=1)
        assert launch("other")["tasks"]
        assert code_of(launch, "größe 1") == "ThrottlingException"
        assert launch("größe 1")["tasks"]

    def test_probability_can_be_repeated(self, ecs: EcsApi, client: Any) -> None:
        ecs.fault("ListTasks", "throttle", probability=0.5)
        ecs.configure(seed=1)
        first = outcomes(client, 20)
        ecs.configure(seed=1)
        assert outcomes(client, 20) == first
        assert 4 < first.count("ok") < 16

    def test_all_operations_can_be_meant_and_faults_can_be_taken_away(self, ecs: EcsApi, client: Any) -> None:
        ecs.fault("*", "expired_credentials")
        assert code_of(client.list_clusters) == code_of(client.list_tasks, cluster=CLUSTER) == "ExpiredTokenException"
        ecs.clear_faults()
        assert client.list_clusters()["clusterArns"]

    @pytest.mark.parametrize(
        ("operation", "kind", "details", "message"),
        [
            ("RunTask", "explode", {}, "There is no fault 'explode'. There are: latency, hang"),
            ("runTask", "throttle", {}, "not for 'runTask'"),
            ("ListTasks", "no_capacity", {}, "no_capacity is for: RunTask"),
            ("RunTask", "latency", {}, "needs seconds"),
            ("RunTask", "throttle", {"seconds": 1}, "not seconds"),
            ("RunTask", "error", {}, "needs code"),
        ],
    )
    def test_faults_that_make_no_sense_are_refused(
        self, ecs: EcsApi, operation: str, kind: str, details: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(EmulatorError) as caught:
            ecs.fault(operation, kind, **details)
        assert message in str(caught.value)


def outcomes(client: Any, count: int) -> str:
    """How so many calls of ListTasks went."""
    found = []
    for _ in range(count):
        try:
            client.list_tasks(cluster=CLUSTER)
            found.append("ok")
        except ClientError:
            found.append("no")
    return " ".join(found)


def calls_until_throttled(launch: Launch, **parameters: Any) -> int:
    """How many calls of RunTask in a row were carried out."""
    for number in range(200):
        try:
            launch(**parameters)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ThrottlingException"
            return number
    return 200


class TestQuotas:
    def test_calls_over_the_rate_are_throttled_and_counted(self, ecs: EcsApi, client: Any) -> None:
        ecs.configure(quotas={"ListTasks": [2, 2]})
        assert outcomes(client, 4) == "ok ok no no"
        calls = ecs.calls()["ListTasks"]
        assert (calls["count"], calls["throttled"], calls["errors"]) == (4, 2, 2)
        until(lambda: outcomes(client, 1) == "ok")
        ecs.configure(quotas={"ListTasks": None})
        assert outcomes(client, 5) == "ok ok ok ok ok"

    def test_run_task_has_one_for_calls_and_one_for_launched_tasks(self, ecs: EcsApi, launch: Launch) -> None:
        ecs.configure(run_task_rate=1, run_task_burst=2)
        assert launch(count=10)["tasks"] and launch(count=10)["tasks"]
        assert code_of(launch) == "ThrottlingException"
        ecs.configure(run_task_rate=None, launch_rate=1, launch_burst=10)
        assert launch(count=6)["tasks"]
        assert code_of(launch, count=6) == "ThrottlingException"
        assert launch(count=4)["tasks"]

    def test_on_fargate_calls_run_out_before_tasks_do(self, ecs: EcsApi, launch: Launch) -> None:
        ecs.configure(**FARGATE_QUOTAS, run_seconds=0)
        assert 20 <= calls_until_throttled(launch) < 100

    def test_running_tasks_are_limited(self, ecs: EcsApi, launch: Launch, client: Any) -> None:
        ecs.configure(max_running_tasks=2)
        answer = launch(count=2)
        with pytest.raises(ClientError, match="limit on the number of tasks you can run concurrently"):
            launch()
        client.stop_task(cluster=CLUSTER, task=answer["tasks"][0]["taskArn"])
        ended(client, answer)
        assert launch()["tasks"]

    def test_calls_at_the_same_time_are_counted(self, ecs: EcsApi, client: Any) -> None:
        ecs.fault("ListTasks", "latency", seconds=0.1)
        with ThreadPoolExecutor(4) as pool:
            for call in [pool.submit(client.list_tasks, cluster=CLUSTER) for _ in range(8)]:
                call.result()
        calls = ecs.calls(times=True)["ListTasks"]
        assert (calls["max_in_flight"], calls["count"], len(calls["times"])) == (4, 8, 8)
        assert abs(calls["times"][0] - time.time()) < 5
        assert "times" not in ecs.calls()["ListTasks"]

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"forget_afte": 1}, "There is no setting 'forget_afte'"),
            ({"quotas": {"X": [1, 1]}}, "no operation 'X'"),
            ({"stop_code": "Spot"}, "There is no stop code 'Spot'"),
        ],
    )
    def test_settings_that_make_no_sense_are_refused(self, ecs: EcsApi, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(EmulatorError) as caught:
            ecs.configure(**settings)
        assert message in str(caught.value)
