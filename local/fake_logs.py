"""A CloudWatch Logs that serves what tests have put into it, with faults. GetLogEvents only; standard library only.

boto3 finds it by ``AWS_ENDPOINT_URL_CLOUDWATCH_LOGS``. It answers as the Amazon CloudWatch Logs API Reference says:
pages of ``limit`` events, and at the end of a stream the token that was sent.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

_TARGET = "Logs_20140328.GetLogEvents"


class FakeLogs:
    """Serves until the block ends."""

    url: str

    def __init__(self) -> None:
        """Nothing listens yet."""
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

    def __enter__(self) -> FakeLogs:
        """Listen on a free port."""
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.headers["X-Amz-Target"] == _TARGET, "the executor calls nothing else"
                status, answer = service.answer(request)
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Keep the tests' output free of requests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

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
