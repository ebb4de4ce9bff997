"""The log of a task's container in CloudWatch: where it is, what is in it, and how Airflow shows it.

The ``awslogs`` driver writes what a container prints to the stream ``prefix/container/task id`` of a log group, both
named in the task definition (Amazon ECS Developer Guide, "Send Amazon ECS logs to CloudWatch").
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from airflow_ecs_executor.aws.connection import ProcessClient
from airflow_ecs_executor.aws.ecs import Ecs, is_task_arn
from airflow_ecs_executor.aws.errors import ApiError, ErrorKind, classify
from airflow_ecs_executor.aws.task_definition import TaskDefinition, names_a_revision, read_definition
from airflow_ecs_executor.aws.wording import clock_is_wrong, policy_to_change

MOST_LINES = 10_000
MOST_CHARACTERS = 4 * 1024 * 1024
"""What is shown of a log, from its beginning: Airflow's UI counts from there when it asks for what has come since."""
_PAGE = 10_000
"""Events in one answer, which has 1 MiB at most (Amazon CloudWatch Logs API Reference, GetLogEvents)."""
_BUDGET = 6.0
"""Seconds after which no further page is asked for: somebody waits for the answer."""
_REMEMBERED = 1_000
_TAIL_CHARACTERS = 4_000
_TAIL_LINE_CHARACTERS = 500

_OWN_TIME = re.compile(r"\[?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* ")
"""What Airflow 2 takes for the time of a line: its first word, an ISO time in brackets or without."""
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.,:Z+-]*")
_TOKEN = re.compile(r"eyJ[\w-]*\.[\w-]+\.[\w-]*")
"""A JSON Web Token. The supervisors of Airflow 3.0 and 3.1 print that of the workload when they begin."""
_NOISE = ("logger", "filename", "lineno", "loc")
"""What Airflow 3 says on every line beside the message, and nobody misses."""


class NoContainerLog(Exception):
    """A log that cannot be read: one line that says why, and what to do."""


@dataclass(frozen=True)
class AwsLogs:
    """Where the ``awslogs`` driver of a container writes to. ``region`` None: the task's own."""

    group: str
    prefix: str
    region: str | None = None

    def stream_of(self, arn: str, container_name: str) -> Stream:
        """The stream of one task's container."""
        region, task_id = arn.split(":")[3], arn.rpartition("/")[2]
        return Stream(self.region or region, self.group, f"{self.prefix}/{container_name}/{task_id}")


class Stream(NamedTuple):
    """A log stream."""

    region: str
    group: str
    name: str

    def __str__(self) -> str:
        return f"CloudWatch log group {self.group}, stream {self.name}, {self.region}"


class Line(NamedTuple):
    """A line that a container printed."""

    moment: int
    """When, in milliseconds since the epoch."""
    text: str


def awslogs_of(definition: TaskDefinition, container_name: str) -> AwsLogs:
    """Where the task definition has our container, ``container_name``, log to. Raises NoContainerLog."""
    family = f"the task definition {definition.name}"
    if container_name not in definition.containers:
        raise NoContainerLog(f"{family} has no container {container_name!r}")
    options = definition.log_options
    if definition.log_driver != "awslogs":
        found = f"the log driver {definition.log_driver}" if definition.log_driver else "no log driver"
        raise NoContainerLog(
            f"the container {container_name!r} of {family} has {found}. Give it a logConfiguration with awslogs to see "
            "here what it prints"
        )
    for name in ("awslogs-group", "awslogs-stream-prefix"):
        if not options.get(name):
            raise NoContainerLog(
                f"the name of the stream is not known: set {name} in the logConfiguration of the container "
                f"{container_name!r} of {family}"
            )
    return AwsLogs(options["awslogs-group"], options["awslogs-stream-prefix"], options.get("awslogs-region"))


def lines_of(events: Iterable[Mapping[str, Any]]) -> list[Line]:
    """The lines in CloudWatch's events, one of which may hold several; empty ones are left out, and so are tokens."""
    return [
        Line(int(event.get("timestamp") or 0), _TOKEN.sub("eyJ***", text))
        for event in events
        for text in str(event.get("message") or "").splitlines()
        if text.strip()
    ]


def plain(lines: Iterable[Line]) -> str:
    """The text for Airflow 2, which sorts the lines of a task's logs by the time that each begins with."""
    return "\n".join(
        line.text if _OWN_TIME.match(line.text) else f"[{_time(line).replace('Z', '+0000')}] {line.text}"
        for line in lines
    )


def structured(lines: Iterable[Line]) -> str:
    """The text for Airflow 3, which reads JSON objects with ``timestamp`` and ``event``, one a line.

    The Task SDK prints such lines itself; the entrypoint of this project leaves out the time.
    """
    return "\n".join(json.dumps(_own_object(line) or {"timestamp": _time(line), "event": line.text}) for line in lines)


def tail_text(stream: Stream, lines: Sequence[Line]) -> str:
    """The end of a log for a person, in some 4,000 characters at most."""
    shown: list[str] = []
    left = _TAIL_CHARACTERS
    for line in reversed(lines):
        text = _readable(line)
        if len(text) > _TAIL_LINE_CHARACTERS:
            text = text[: _TAIL_LINE_CHARACTERS - 1] + "…"
        left -= len(text) + 1
        if left < 0:
            break
        shown.insert(0, text)
    return "\n".join([f"The end of the container's log ({stream}):", *shown])


def _time(line: Line) -> str:
    moment = datetime.fromtimestamp(line.moment / 1000, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{line.moment % 1000:03d}Z"


def _own_object(line: Line) -> dict[str, Any] | None:
    """The line as an object that Airflow 3 reads, with its own time or that of the event; None if it is none."""
    if not line.text.startswith("{"):
        return None
    try:
        found = json.loads(line.text)
    except ValueError:
        return None
    moment = found.setdefault("timestamp", _time(line))
    is_entry = isinstance(found.get("event"), str) and _ISO_TIME.fullmatch(str(moment))
    return found if is_entry else None


def _readable(line: Line) -> str:
    entry = _own_object(line)
    if entry is None:
        return plain([line])
    moment, level, event = entry.pop("timestamp"), str(entry.pop("level", "info")).upper(), entry.pop("event")
    more = "".join(f" {name}={value}" for name, value in entry.items() if name not in _NOISE)
    return f"[{moment}] {level} - {event}{more}"


class ContainerLogs:
    """The logs of one container of the tasks of a cluster. What can never change is asked for once."""

    def __init__(self, ecs: Ecs, connect: Callable[[str], Any], container_name: str) -> None:
        """``connect`` makes a client of CloudWatch Logs in a region."""
        self._ecs = ecs
        self._connect = connect
        self._container_name = container_name
        self._clients: dict[str, ProcessClient] = {}
        """By region."""
        self._places: dict[str, AwsLogs | str] = {}
        """By definition; a text says why it has none."""
        self._definitions: dict[str, str] = {}

    def definition_of(self, arn: str) -> str | None:
        """Ask ECS for the ARN of a task's definition; None: it does not know the task, as an hour after its end."""
        definition = self._definitions.get(arn)
        if definition is None:
            task = self._ecs.describe([arn]).tasks.get(arn)
            if task is None:
                return None
            definition = str(task["taskDefinitionArn"])
            _remember(self._definitions, arn, definition)
        return definition

    def stream(self, arn: str, definition: str) -> Stream:
        """Find the stream of a task's container. Raises NoContainerLog, and what botocore raises."""
        place = self._places.get(definition)
        if place is None:
            found = read_definition(self._ecs.describe_definition(definition), self._container_name)
            try:
                place = awslogs_of(found, self._container_name)
            except NoContainerLog as reason:
                place = str(reason)
            if names_a_revision(definition):
                _remember(self._places, definition, place)
        if isinstance(place, str):
            raise NoContainerLog(place)
        return place.stream_of(arn, self._container_name)

    def tail(self, stream: Stream, count: int) -> list[Line]:
        """Read the last lines of a stream. Raises what botocore raises."""
        answer = self._client(stream).get_log_events(
            logGroupName=stream.group, logStreamName=stream.name, limit=count, startFromHead=False
        )
        return lines_of(answer["events"])[-count:]

    def head(self, stream: Stream) -> tuple[list[Line], bool]:
        """Read a stream from its beginning, and whether there is more than is read. Raises what botocore raises."""
        deadline = time.monotonic() + _BUDGET
        lines: list[Line] = []
        parameters = {"logGroupName": stream.group, "logStreamName": stream.name, "limit": _PAGE, "startFromHead": True}
        while True:
            answer = self._client(stream).get_log_events(**parameters)
            lines += lines_of(answer["events"])
            token = answer.get("nextForwardToken")
            if not token or token == parameters.get("nextToken"):
                kept = _fitting(lines)
                return kept, len(kept) < len(lines)
            if len(lines) >= MOST_LINES or sum(len(line.text) for line in lines) >= MOST_CHARACTERS:
                return _fitting(lines), True
            if time.monotonic() > deadline:
                return lines, True
            parameters["nextToken"] = token

    def _client(self, stream: Stream) -> Any:
        client = self._clients.setdefault(stream.region, ProcessClient(lambda: self._connect(stream.region)))
        return client.get()

    def renew(self) -> None:
        """Make the clients anew with the next call: the credentials of these have expired."""
        for client in list(self._clients.values()):
            client.renew()

    def shown(
        self, arn: str | None, definition: str, render: Callable[[Iterable[Line]], str]
    ) -> tuple[list[str], list[str]]:
        """What Airflow's UI shows of a task's container: messages about the log, and its text.

        ``definition`` is taken where ECS does not tell the task's own. Never raises for what AWS does.
        """
        if arn is None or not is_task_arn(arn):
            return [_no_container(arn)], []
        messages: list[str] = []
        action = "ecs:DescribeTasks"
        stream = None
        try:
            try:
                definition = self.definition_of(arn) or definition
            except Exception as exception:
                error = classify(exception)
                if not error.denied:
                    raise
                messages.append(f"{explain(error, action)} Until then the configured task definition is taken")
            action = "ecs:DescribeTaskDefinition"
            stream = self.stream(arn, definition)
            action = "logs:GetLogEvents"
            lines, cut = self.head(stream)
        except NoContainerLog as reason:
            return [*messages, f"No container log: {reason}."], []
        except Exception as exception:
            error = classify(exception)
            if error.kind is ErrorKind.CREDENTIALS:
                self._ecs.renew()
                self.renew()
            return [*messages, f"No container log: {explain(error, action, stream)}"], []
        messages.append(f"Container log: {stream}")
        if cut:
            rest = f"aws logs get-log-events --log-group-name {stream.group} --log-stream-name {stream.name}"
            messages.append(f"Container log: only its first {len(lines)} lines are shown. All of it: {rest}")
        return messages, [render(lines)] if lines else []


def _fitting(lines: Sequence[Line]) -> list[Line]:
    left = MOST_CHARACTERS
    for number, line in enumerate(lines[:MOST_LINES]):
        left -= len(line.text)
        if left < 0:
            return list(lines[:number])
    return list(lines[:MOST_LINES])


def _remember(cache: dict[str, Any], key: str, value: Any) -> None:
    if len(cache) >= _REMEMBERED:
        cache.clear()
    cache[key] = value


def _no_container(arn: str | None) -> str:
    if arn:
        return f"No container log: this try was run by another executor ({arn} is no ARN of an ECS task)."
    return (
        "No container log: Airflow does not know the container of this try (yet). The task's event log says what has "
        "become of its launch."
    )


def explain(error: ApiError, action: str, stream: Stream | None = None) -> str:
    """Say why a call failed on the way to a log, and what to do, in one line. ``action``: the call's, in IAM."""
    reason = " ".join(error.reason.split())
    if clock_is_wrong(reason):
        return f"AWS refuses requests of this machine for their time: set its clock. {reason}"
    if error.denied and "KMS key" in reason:
        return f"the log group's KMS key cannot be used: check its state and its key policy. {reason}"
    if error.denied:
        remedy = policy_to_change(reason) or "allow it in the IAM policy of the role that reads the logs"
        return f"{error.action or action} is not permitted: {remedy}. {reason}"
    if error.code == "ResourceNotFoundException" and stream is not None:
        if "group" in reason:
            return (
                f"there is no log group {stream.group} in {stream.region}: create it, or set awslogs-create-group in "
                "the task definition and allow logs:CreateLogGroup to the execution role."
            )
        return f"the container has printed nothing yet ({stream}). Look again in a few seconds."
    if error.kind is ErrorKind.CREDENTIALS:
        return f"there are no valid AWS credentials here: give this process a role or a connection. {reason}"
    if error.kind is ErrorKind.OUTCOME_UNKNOWN:
        return f"{action} was not answered in time: check the region and the route to AWS. {reason}"
    if error.kind is ErrorKind.THROTTLED:
        return f"{action} is throttled. Look again in a few seconds. {reason}"
    return f"{action} failed. {reason}"
