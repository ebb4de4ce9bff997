"""A service over HTTP for tests, on a free port of this machine."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, TypeVar

S = TypeVar("S", bound="HttpService")


class HttpService:
    """Has its port from the beginning, and serves until the block ends. What it answers is its subclass's business."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Nothing is answered yet. ``port``: 0 takes a free one."""
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                service.serve(self, service.body_of(self))

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _serve

            def log_message(self, *args: Any) -> None:
                """Keep the tests' output free of requests."""

        self.closing = threading.Event()
        self._server = _Server((host, port), Handler)
        self.host = f"{host}:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"

    def __enter__(self: S) -> S:
        """Start to serve."""
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def body_of(self, request: BaseHTTPRequestHandler) -> bytes:
        """The body of a request, which `serve` gets. Who reads it while it answers, as it comes in, returns nothing."""
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))

    def serve(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Answer a request, in a thread of its connection."""
        raise NotImplementedError

    @staticmethod
    def send(request: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer; to HEAD, all but its body."""
        HttpService.send_head(request, status, headers, len(body))
        if request.command != "HEAD":
            request.wfile.write(body)

    @staticmethod
    def send_head(request: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], length: int) -> None:
        """Send an answer without its body of ``length`` bytes."""
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(length))
        request.end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # with the default, one of many connections at once waits a second

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that leave before the end, as they do when an answer is slow."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)
