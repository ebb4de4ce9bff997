"""A fake CloudWatch Logs that serves events that tests add, with faults. It has GetLogEvents only.

boto3 finds it by ``AWS_ENDPOINT_URL_CLOUDWATCH_LOGS``. It answers as the Amazon CloudWatch Logs API Reference says:
pages of ``limit`` events, and at the end of a stream the token that was sent.
"""

from __future__ import annotations

import json
import time
from typing import Any

from local.fakes.http_service import Answer, Connection, HttpService, Request

_TARGET = "Logs_20140328.GetLogEvents"


class FakeLogs(HttpService):
    """A fake CloudWatch Logs with the events that tests `put` into it."""

    def __init__(self) -> None:
        """Start without events."""
        super().__init__()
        self.streams: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.requests: list[dict[str, Any]] = []
        self.fault: tuple[str, str] | None = None
        """Code and message with which every call fails."""
        self.latency = 0.0
        """Seconds."""
        self.page = 10_000
        """Events in one answer, at most."""

    def put(self, group: str, stream: str, *messages: str, start: float | None = None) -> None:
        """Add events to a stream, a millisecond apart, from ``start`` (epoch seconds; default: now) on."""
        moment = int((time.time() if start is None else start) * 1000)
        events = self.streams.setdefault((group, stream), [])
        events += [{"timestamp": moment + number, "message": text} for number, text in enumerate(messages)]

    def serve(self, request: Request, connection: Connection) -> None:
        """Answer a request."""
        assert request.headers["x-amz-target"] == _TARGET, "the executor calls nothing else"
        status, answer = self.answer(json.loads(request.body))
        headers = {"Content-Type": "application/x-amz-json-1.1"}
        connection.send(Answer(status, headers, json.dumps(answer).encode()))

    def answer(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and document of the answer to a GetLogEvents request."""
        self.requests.append(request)
        time.sleep(self.latency)
        if self.fault is not None:
            return 400, {"__type": self.fault[0], "message": self.fault[1]}
        group, stream = request["logGroupName"], request["logStreamName"]
        if group not in {known for known, _ in self.streams}:
            return _not_found("group")
        if (group, stream) not in self.streams:
            return _not_found("stream")
        events = self.streams[group, stream]
        size = min(request.get("limit", self.page), self.page)
        token = request.get("nextToken")
        first = int(token.split("/")[1]) if token else 0 if request.get("startFromHead") else max(0, len(events) - size)
        part = events[first : first + size]
        return 200, {"events": part, "nextForwardToken": f"f/{first + len(part)}", "nextBackwardToken": f"b/{first}"}


def _not_found(what: str) -> tuple[int, dict[str, Any]]:
    return 400, {"__type": "ResourceNotFoundException", "message": f"The specified log {what} does not exist."}
