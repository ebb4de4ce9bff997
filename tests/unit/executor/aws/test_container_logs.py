"""Where a container's log is, and the text that Airflow is given of it."""

from __future__ import annotations

import json

import pytest
from airflow_ecs_executor.aws.container_logs import (
    AwsLogs,
    Line,
    NoContainerLog,
    Stream,
    awslogs_of,
    explain,
    lines_of,
    plain,
    structured,
    tail_text,
)
from airflow_ecs_executor.aws.errors import ApiError, ErrorKind
from airflow_ecs_executor.aws.task_definition import read_definition

ARN = "arn:aws:ecs:eu-west-1:123456789012:task/airflow/0123456789abcdef"
OPTIONS = {"awslogs-group": "/airflow", "awslogs-stream-prefix": "task", "awslogs-region": "us-east-1"}
STREAM = Stream("us-east-1", "/airflow", "task/airflow/0123456789abcdef")
NEW_YEAR = 1767225600123  # 2026-01-01T00:00:00.123Z


def definition(options=OPTIONS, driver="awslogs", name="airflow"):
    container = {"name": name}
    if driver:
        container["logConfiguration"] = {"logDriver": driver, "options": options}
    described = {"family": "worker", "revision": 7, "containerDefinitions": [{"name": "sidecar"}, container]}
    return read_definition(described, "airflow")


def without(option):
    return {name: value for name, value in OPTIONS.items() if name != option}


# The place


def test_the_stream_is_prefix_container_and_task():
    place = awslogs_of(definition(), "airflow")
    assert place == AwsLogs("/airflow", "task", "us-east-1")
    assert place.stream_of(ARN, "airflow") == STREAM


def test_without_a_region_it_is_the_task_s_own():
    place = awslogs_of(definition(without("awslogs-region")), "airflow")
    assert place.stream_of(ARN, "airflow").region == "eu-west-1"


@pytest.mark.parametrize(
    "described, words",
    [
        (definition(name="other"), ["worker:7", "no container 'airflow'"]),
        (definition(driver=None), ["no log driver", "logConfiguration"]),
        (definition(driver="awsfirelens"), ["log driver awsfirelens", "awslogs"]),
        (definition(without("awslogs-stream-prefix")), ["set awslogs-stream-prefix"]),
        (definition(without("awslogs-group")), ["set awslogs-group"]),
        (definition(None), ["set awslogs-group"]),
        (read_definition({}, "airflow"), ["no container"]),
    ],
)
def test_what_hides_the_log_is_said_in_one_line(described, words):
    with pytest.raises(NoContainerLog) as caught:
        awslogs_of(described, "airflow")
    assert all(word in str(caught.value) for word in words) and "\n" not in str(caught.value)


# The lines


def test_an_event_may_hold_several_lines_and_empty_ones_are_left_out():
    events = [{"timestamp": 1, "message": "a\r\n\n b\n"}, {"timestamp": 2, "message": ""}]
    assert lines_of(events) == [Line(1, "a"), Line(1, " b")]


def test_tokens_are_left_out():
    printed = "ExecuteTask(token='eyJhbGciOiJIUzUxMiJ9.eyJzdWIiOiJ4In0.c2ln_-A', ti=TaskInstance(id=1))"
    (line,) = lines_of([{"timestamp": 1, "message": printed}])
    assert line.text == "ExecuteTask(token='eyJ***', ti=TaskInstance(id=1))"


def test_airflow_2_finds_a_time_at_the_beginning_of_every_line():
    own = "[2026-01-01T00:00:01.000+0000] {x.py:1} INFO - said"
    text = plain([Line(NEW_YEAR, "hello"), Line(NEW_YEAR, "  indented"), Line(NEW_YEAR, own)])
    stamp = "[2026-01-01T00:00:00.123+0000] "
    assert text.splitlines() == [stamp + "hello", stamp + "  indented", own]


@pytest.mark.parametrize("line", ["2026-01-01 00:00:01,000 - x", "[2026-01-01 00:00:01] x", "2026-01-01T00:00:01Z"])
def test_what_airflow_2_would_not_read_as_a_time_gets_one(line):
    assert plain([Line(NEW_YEAR, line)]).endswith("] " + line)


def test_airflow_3_is_given_objects_with_time_and_message():
    (entry,) = structured([Line(NEW_YEAR, 'say "hi"')]).splitlines()
    assert json.loads(entry) == {"timestamp": "2026-01-01T00:00:00.123Z", "event": 'say "hi"'}


@pytest.mark.parametrize("moment", ["2026-01-01T00:00:01Z", "2026-01-01T00:00:01.123456+00:00", "2026-01-01 00:00:01"])
def test_the_task_sdk_s_own_objects_stay_as_they_are(moment):
    line = json.dumps({"timestamp": moment, "event": "x", "level": "info", "more": [1, {"é": None}]})
    assert structured([Line(NEW_YEAR, line)]) == line


def test_an_object_without_a_time_gets_one():
    line = '{"event": "airflow-ecs-entrypoint: started", "exit": 0}'
    shown = json.loads(structured([Line(NEW_YEAR, line)]))
    assert shown == {**json.loads(line), "timestamp": "2026-01-01T00:00:00.123Z"}


@pytest.mark.parametrize(
    "line", ["{", "{}", "[1]", "12", '{"event": 1, "timestamp": "2026-01-01T00:00:00Z"}',
             '{"event": "x", "timestamp": "soon"}', '{"event": "x", "timestamp": null}'],
)  # fmt: skip
def test_other_json_is_a_message(line):
    assert json.loads(structured([Line(NEW_YEAR, line)]))["event"] == line


# The end of a log in the event log


def test_the_end_of_a_log_names_its_stream_and_is_readable():
    sdk = {"timestamp": "2026-01-01T00:00:01Z", "event": "lost", "level": "error", "logger": "task", "code": 7}
    text = tail_text(STREAM, [Line(NEW_YEAR, "hello"), Line(NEW_YEAR, json.dumps(sdk))])
    head, *lines = text.splitlines()
    assert STREAM.name in head and STREAM.group in head
    assert lines == ["[2026-01-01T00:00:00.123+0000] hello", "[2026-01-01T00:00:01Z] ERROR - lost code=7"]


def test_the_end_of_a_log_is_cut_at_its_beginning_and_long_lines_at_their_end():
    lines = [Line(NEW_YEAR, f"{number}: {'x' * 1000}") for number in range(50)]
    text = tail_text(STREAM, lines)
    assert len(text) < 4200
    shown = text.splitlines()[1:]
    assert " 49: " in shown[-1] and " 0: " not in text
    assert {len(line) for line in shown} == {500} and shown[-1].endswith("…")


# What failed


def denied(reason, action=""):
    return ApiError(ErrorKind.PERMANENT, reason, "AccessDeniedException", action)


def missing(what):
    return ApiError(ErrorKind.PERMANENT, f"The specified log {what} does not exist.", "ResourceNotFoundException")


@pytest.mark.parametrize(
    "error, words",
    [
        (denied("no"), ["logs:GetLogEvents is not permitted", "IAM"]),
        (denied("no", "ecs:Other"), ["ecs:Other is not permitted"]),
        (denied("because no VPC endpoint policy allows the action"), ["allow it in the VPC endpoint policy as well"]),
        (denied("The specified KMS key does not exist or is not allowed"), ["KMS key cannot be used"]),
        (ApiError(ErrorKind.CREDENTIALS, "Signature expired: A is now earlier than B"), ["its clock is wrong: set it"]),
        (missing("group"), ["no log group /airflow in us-east-1", "create it"]),
        (missing("stream"), ["printed nothing yet", STREAM.name]),
        (ApiError(ErrorKind.CREDENTIALS, "none"), ["no valid AWS credentials"]),
        (ApiError(ErrorKind.OUTCOME_UNKNOWN, "timed\nout"), ["not answered in time", "timed out"]),
        (ApiError(ErrorKind.THROTTLED, "slow"), ["throttled"]),
        (ApiError(ErrorKind.SERVER, "broken"), ["logs:GetLogEvents failed. broken"]),
    ],
)
def test_a_failed_call_is_explained_in_one_line_with_what_to_do(error, words):
    text = explain(error, "logs:GetLogEvents", STREAM)
    assert all(word in text for word in words) and "\n" not in text
