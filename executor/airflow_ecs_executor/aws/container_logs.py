"""The log of a container in CloudWatch Logs: where it is, what it contains, and how Airflow shows it.

The ``awslogs`` driver writes the output of a container to the stream ``prefix/container/task id`` of a log group. The
task definition has the prefix and the group (Amazon ECS Developer Guide, "Send Amazon ECS logs to CloudWatch").
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
"""How much of a log is shown, from its beginning: Airflow's UI counts lines from there when it asks for newer ones."""
_PAGE = 10_000
"""Events in one answer, which has 1 MiB at most (Amazon CloudWatch Logs API Reference, GetLogEvents)."""
_BUDGET = 6.0
"""Seconds after which no further page is requested: somebody waits for the answer."""
_REMEMBERED = 1_000
_TAIL_CHARACTERS = 4_000
_TAIL_LINE_CHARACTERS = 500

_OWN_TIME = re.compile(r"\[?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* ")
"""What Airflow 2 reads as the time of a line: an ISO time as its first word, with or without brackets."""
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.,:Z+-]*")
_TOKEN = re.compile(r"eyJ[\w-]*\.[\w-]+\.[\w-]*")
"""A JSON Web Token. The supervisors of Airflow 3.0 and 3.1 print the one of the workload when they start."""
_NOISE = ("logger", "filename", "lineno", "loc")
"""Keys that Airflow 3 adds to every line, and that readers do not need."""


class NoContainerLog(Exception):  # noqa: N818 - not an error: many tasks have no such log
    """The log cannot be read; the message, one line, says why and what to do."""


@dataclass(frozen=True)
class AwsLogs:
    """Where the ``awslogs`` driver of a container writes to. ``region`` is None for the region of the task."""

    group: str
    prefix: str
    region: str | None = None

    def stream_of(self, arn: str, container_name: str) -> Stream:
        """Return the stream of the container of an ECS task."""
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
    """A line of a container's output."""

    moment: int
    """Its time, in milliseconds since the epoch."""
    text: str


def awslogs_of(definition: TaskDefinition, container_name: str) -> AwsLogs:
    """Return where the task definition makes the container log to. Raises NoContainerLog."""
    family = f"the task definition {definition.name}"
    if container_name not in definition.containers:
        raise NoContainerLog(f"{family} has no container {container_name!r}")
    options = definition.log_options
    if definition.log_driver != "awslogs":
        found = f"the log driver {definition.log_driver}" if definition.log_driver else "no log driver"
        raise NoContainerLog(
            f"the container {container_name!r} of {family} has {found}. To see its output here, give it a "
            "logConfiguration with awslogs"
        )
    for name in ("awslogs-group", "awslogs-stream-prefix"):
        if not options.get(name):
            raise NoContainerLog(
                f"the name of the stream is not known: set {name} in the logConfiguration of the container "
                f"{container_name!r} of {family}"
            )
    return AwsLogs(options["awslogs-group"], options["awslogs-stream-prefix"], options.get("awslogs-region"))


def lines_of(events: Iterable[Mapping[str, Any]]) -> list[Line]:
    """Return the lines in CloudWatch's events, without empty lines, and with tokens masked."""
    return [
        Line(int(event.get("timestamp") or 0), _TOKEN.sub("eyJ***", text))
        for event in events
        for text in str(event.get("message") or "").splitlines()
        if text.strip()
    ]


def plain(lines: Iterable[Line]) -> str:
    """Return the text for Airflow 2, which sorts the lines of a task's logs by the time at their beginning."""
    return "\n".join(
        line.text if _OWN_TIME.match(line.text) else f"[{_time(line).replace('Z', '+0000')}] {line.text}"
        for line in lines
    )


def structured(lines: Iterable[Line]) -> str:
    """Return the text for Airflow 3, which reads JSON objects with ``timestamp`` and ``event``, one per line.

    The Task SDK prints such lines itself; the entrypoint of this project omits the time.
    """
    return "\n".join(json.dumps(_own_object(line) or {"timestamp": _time(line), "event": line.text}) for line in lines)


def tail_text(stream: Stream, lines: Sequence[Line]) -> str:
    """Return the end of a log for a person, at most about 4,000 characters."""
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
    """Return the line as an object that Airflow 3 reads, with a time; None if it is not one."""
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
    """The logs of the Airflow container of a cluster's ECS tasks. What cannot change is requested once."""

    def __init__(self, ecs: Ecs, connect: Callable[[str], Any], container_name: str) -> None:
        """Call nothing yet. ``connect`` creates a client of CloudWatch Logs in a region."""
        self._ecs = ecs
        self._connect = connect
        self._container_name = container_name
        self._clients: dict[str, ProcessClient] = {}
        """By region."""
        self._places: dict[str, AwsLogs | str] = {}
        """By task definition; a string says why it has none."""
        self._definitions: dict[str, str] = {}

    def definition_of(self, arn: str) -> str | None:
        """Return the ARN of a task's definition; None if ECS no longer knows the task, as an hour after its end."""
        definition = self._definitions.get(arn)
        if definition is None:
            task = self._ecs.describe([arn]).tasks.get(arn)
            if task is None:
                return None
            definition = str(task["taskDefinitionArn"])
            _remember(self._definitions, arn, definition)
        return definition

    def stream(self, arn: str, definition: str) -> Stream:
        """Return the stream of a task's container. Raises NoContainerLog, and what botocore raises."""
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
        """Read a stream from its beginning; also return whether it has more. Raises what botocore raises."""
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
        """Create new clients with the next call, because the credentials of these have expired."""
        for client in list(self._clients.values()):
            client.renew()

    def shown(
        self, arn: str | None, definition: str, render: Callable[[Iterable[Line]], str]
    ) -> tuple[list[str], list[str]]:
        """Return what Airflow's UI shows of a task's container: messages about the log, and its text.

        No failed call raises. ``definition`` is used if ECS does not return the task's own.
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
                messages.append(f"{explain(error, action)} Until then, the configured task definition is used")
            action = "ecs:DescribeTaskDefinition"
            stream = self.stream(arn, definition)
            action = "logs:GetLogEvents"
            lines, cut = self.head(stream)
        except NoContainerLog as reason:
            return [*messages, f"No container log: {reason}."], []
        except Exception as exception:  # noqa: BLE001 - classify logs a defect with its traceback
            error = classify(exception)
            if error.kind is ErrorKind.CREDENTIALS:
                self._ecs.renew()
                self.renew()
            return [*messages, f"No container log: {explain(error, action, stream)}"], []
        messages.append(f"Container log: {stream}")
        if cut:
            rest = f"aws logs get-log-events --log-group-name {stream.group} --log-stream-name {stream.name}"
            messages.append(f"Container log: only its first {len(lines)} lines are shown. To read all of it: {rest}")
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
        return f"No container log: another executor ran this try ({arn} is not the ARN of an ECS task)."
    return (
        "No container log: Airflow does not know the container of this try (yet). The event log of the task has the "
        "state of its launch."
    )


def explain(error: ApiError, action: str, stream: Stream | None = None) -> str:
    """Say in one line why a log could not be read, and what to do. ``action`` is the IAM action of the failed call."""
    reason = " ".join(error.reason.split())
    if clock_is_wrong(reason):
        return f"AWS refuses requests of this machine because its clock is wrong: set it. {reason}"
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
        return f"the container has printed nothing yet ({stream}). Try again in a few seconds."
    if error.kind is ErrorKind.CREDENTIALS:
        return f"there are no valid AWS credentials here: give this process a role or a connection. {reason}"
    if error.kind is ErrorKind.OUTCOME_UNKNOWN:
        return f"{action} was not answered in time: check the region and the network route to AWS. {reason}"
    if error.kind is ErrorKind.THROTTLED:
        return f"{action} is throttled. Try again in a few seconds. {reason}"
    return f"{action} failed. {reason}"
