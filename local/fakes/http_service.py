"""A small HTTP server for services that stand in for others in tests.

Standard library only, Python 3.8 and up: it runs inside the environments of several Airflows, and in containers. It is
written by hand because ``http.server`` takes several times as long for a request, which a benchmark would measure.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from datetime import datetime, timezone
from email.utils import format_datetime
from http.client import responses
from types import TracebackType
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote

S = TypeVar("S", bound="HttpService")

CONNECTION = "connection of a fake service"
"""The name of the threads that serve clients in this process."""


class Request(NamedTuple):
    """An HTTP request. The names of its headers are in lower case; a repeated header has its values in one."""

    method: str
    target: str
    """Path and query string as the client sent them."""
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


class HttpService:
    """A service on a port of this machine, which it has from the beginning. Subclasses implement `serve`.

    Use it as a context manager, or call `start` and `close`.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind the port; 0 takes a free one."""
        self.closing = threading.Event()
        """Set when the service is about to end. Whatever delays an answer waits for this event."""
        self._server = _Server((host, port), self)
        self.host = f"{host}:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"

    def start(self: S) -> S:
        """Start to serve."""
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop serving, and close all connections."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.disconnect()
        self._thread.join()

    def __enter__(self: S) -> S:
        """Start to serve."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        self.close()

    def reads_body(self, request: Request) -> bool:
        """Return whether the body of a request is read before `serve` is called; else `serve` reads it."""
        return True

    def serve(self, request: Request, connection: Connection) -> None:
        """Answer a request. Called in the thread of its connection."""
        raise NotImplementedError


class Connection(socketserver.StreamRequestHandler):
    """A client's connection, kept open between requests."""

    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        """Serve requests until either side closes the connection."""
        threading.current_thread().name = CONNECTION
        self.open = True
        self.server.connections.add(self.connection)
        try:
            while self.open:
                request = self._next()
                if request is None:
                    return
                self._is_head = request.method == "HEAD"
                self.server.service.serve(request, self)
        except OSError:
            pass  # The client has closed the connection.
        finally:
            self.server.connections.discard(self.connection)

    def _next(self) -> Request | None:
        """Read a request; None when the client has closed the connection, or does not speak HTTP."""
        line = self.rfile.readline()
        if not line.strip():
            return None
        if line.count(b" ") < 2:  # the Docker engine tries TLS first, and expects this answer
            self.write(self._head(400, {"Connection": "close"}, 0))
            return None
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers: dict[str, str] = {}
        for line in iter(self.rfile.readline, b""):
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                break
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("connection", "").lower() == "close":
            self.open = False
        path, _, query = target.partition("?")
        request = Request(method, target, unquote(path), dict(parse_qsl(query, keep_blank_values=True)), headers, b"")
        if not self.server.service.reads_body(request):
            return request
        return request._replace(body=self.rfile.read(int(headers.get("content-length", 0))))

    def send(self, answer: Answer) -> None:
        """Send a response; without its body if the request is HEAD."""
        head = self._head(answer.status, answer.headers, len(answer.body))
        self.write(head if self._is_head else head + answer.body)

    def send_head(self, status: int, headers: dict[str, str], length: int) -> None:
        """Send the head of a response whose body has ``length`` bytes."""
        self.write(self._head(status, headers, length))

    @staticmethod
    def _head(status: int, headers: dict[str, str], length: int) -> bytes:
        date = {"Date": format_datetime(datetime.now(timezone.utc), usegmt=True)}
        size = {} if status in (204, 304) else {"Content-Length": str(length)}
        lines = [f"{name}: {value}\r\n" for name, value in {**date, **headers, **size}.items()]
        return f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}\r\n{''.join(lines)}\r\n".encode("latin-1")

    def write(self, data: bytes) -> None:
        """Send bytes at once."""
        self.connection.sendall(data)

    def end(self) -> None:
        """Close the connection after this request."""
        self.open = False


class _Server(socketserver.ThreadingTCPServer):
    """One thread a connection; many may come at once."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128  # with the default, one of many connections at once waits for a second

    def __init__(self, address: tuple[str, int], service: HttpService) -> None:
        self.service = service
        self.connections: set[Any] = set()
        super().__init__(address, Connection)

    def disconnect(self) -> None:
        """Close what clients still hold open."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # It has just ended.
