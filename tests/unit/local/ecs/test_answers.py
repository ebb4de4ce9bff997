"""What AWS answers, by name: the local ECS gives it as a fault, word by word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.ecs.answers import ANSWERS, EXAMPLE_GROUP, EXAMPLE_SUBNET
from local.ecs.control import EcsApi
from local.ecs.ends import ENDS
from local.ecs.faults import KINDS
from tests.paths import DOCS
from tests.phrasebook.entry import CORPORA, read
from tests.unit.local.ecs import calls
from tests.unit.local.ecs.calls import CLUSTER


def _is_worded_here(source: str) -> bool:
    return source.startswith("no public source")


CALLS: Mapping[str, Callable[[Any], Any]] = {
    "RunTask": lambda client: run_task(client),
    "ListTasks": lambda client: client.list_tasks(cluster=CLUSTER),
    "DescribeTasks": lambda client: client.describe_tasks(cluster=CLUSTER, tasks=["x"]),
    "StopTask": lambda client: client.stop_task(cluster=CLUSTER, task="x"),
    "DescribeTaskDefinition": lambda client: client.describe_task_definition(taskDefinition="worker"),
    "RegisterTaskDefinition": lambda client: client.register_task_definition(family="x", containerDefinitions=[]),
}
USER = "arn:aws:sts::123456789012:assumed-role/airflow-scheduler/session"


def run_task(client: Any, subnet: str = EXAMPLE_SUBNET, group: str = EXAMPLE_GROUP, **parameters: Any) -> Any:
    network = {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group]}}
    return calls.run_task(client, networkConfiguration=network, **parameters)


@pytest.mark.parametrize("name", [name for name, answer in ANSWERS.items() if answer.code is not None])
def test_an_error_has_the_code_the_status_and_the_words_of_aws(ecs: EcsApi, client: Any, name: str) -> None:
    answer = ANSWERS[name]
    operation = next(iter(answer.operations), "ListTasks")
    ecs.fault(operation, name)
    with pytest.raises(ClientError) as caught:
        CALLS[operation](client)
    response = caught.value.response
    message = answer.message.format(user=USER, action=f"ecs:{operation}", resource="*")
    assert (response["Error"]["Code"], response["Error"]["Message"]) == (answer.code, message)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == answer.status


@pytest.mark.parametrize("name", [name for name, answer in ANSWERS.items() if answer.code is None])
def test_a_failure_has_the_reason_of_aws(ecs: EcsApi, client: Any, name: str) -> None:
    ecs.fault("RunTask", name)
    answer = run_task(client, count=2)
    assert (answer["tasks"], [item["reason"] for item in answer["failures"]]) == ([], [ANSWERS[name].message] * 2)
    assert ecs.tasks() == []


@pytest.mark.parametrize("name", ANSWERS)
def test_the_source_of_its_words_is_known(name: str) -> None:
    assert ANSWERS[name].source


@pytest.mark.parametrize(("name", "own"), [("throttle_subnets", "subnet-7"), ("throttle_security_groups", "sg-8")])
def test_it_names_what_the_request_names(ecs: EcsApi, client: Any, name: str, own: str) -> None:
    ecs.fault("RunTask", name)
    with pytest.raises(ClientError) as caught:
        run_task(client, "subnet-7", "sg-8")
    assert f" [{own}]: " in caught.value.response["Error"]["Message"]


@pytest.mark.parametrize("name", [name for name in ANSWERS if name.startswith("throttle")])
def test_throttling_is_counted_in_all_its_forms(ecs: EcsApi, client: Any, name: str) -> None:
    ecs.fault("RunTask", name)
    with pytest.raises(ClientError):
        run_task(client)
    assert ecs.calls()["RunTask"]["throttled"] == 1


@pytest.mark.parametrize("name", [name for name, answer in ANSWERS.items() if answer.status >= 500])
def test_what_a_server_error_refuses_may_be_carried_out(ecs: EcsApi, client: Any, name: str) -> None:
    ecs.fault("RunTask", name, times=1)
    ecs.fault("RunTask", name, carried_out=True, times=1)
    for launched in (0, 1):
        with pytest.raises(ClientError):
            run_task(client)
        assert len(ecs.tasks()) == launched


@pytest.mark.parametrize(("mark", "names"), [("names of faults", KINDS), ("names of ends", ENDS)])
def test_the_page_about_the_local_ecs_has_every_name(mark: str, names: Iterable[str]) -> None:
    page = (DOCS / "local-ecs.md").read_text(encoding="utf-8")
    table = page.split(f"<!-- {mark} -->\n\n")[1].split("\n\n")[0]
    cells = [row.split("|")[2] for row in table.splitlines()]
    assert sorted(re.findall(r"`([a-z0-9_]+)`", "".join(cells))) == sorted(names)


def _plain(text: str) -> str:
    """In one line, and without what is written now so, now so."""
    return " ".join(text.replace("’", "'").lower().split())


def _real_messages() -> str:
    """The phrasebook's messages, one a line."""
    entries = [entry for corpus in CORPORA for entry in read(corpus)]
    said = [text for entry in entries for text in (entry.message, entry.extra.get("containerReason")) if text]
    return "\n".join(map(_plain, said))


@pytest.mark.parametrize(
    "words",
    sorted(
        {answer.message for answer in ANSWERS.values() if not answer.plain and not _is_worded_here(answer.source)}
        | {text for end in ENDS.values() if not _is_worded_here(end.source)
           for text in (end.reason, end.container_reason) if text}
    ),
)  # fmt: skip
def test_the_words_of_aws_are_those_of_a_message_that_somebody_met(words: str) -> None:
    pattern = re.sub(r"\\\{\w+\\\}", ".+", re.escape(_plain(words).rstrip(".")))
    assert re.search(rf"^{pattern}\.?$", _real_messages(), re.MULTILINE), "tests/phrasebook has no such message"
