"""What a request to a fake service costs, and requests that only the Docker engine sends."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator

import pytest

from local.fakes.http_service import Answer, Connection, HttpService, Request


class Service(HttpService):
    """Answers with the media types that the client accepts."""

    def serve(self, request: Request, connection: Connection) -> None:
        connection.send(Answer(200, {}, request.headers.get("accept", "").encode()))


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(service.host, timeout=5)
    yield connection
    connection.close()


def test_a_repeated_header_has_all_its_values(client: http.client.HTTPConnection) -> None:
    client.putrequest("GET", "/a")
    for value in ("text/plain", "text/html"):
        client.putheader("Accept", value)
    client.endheaders()
    assert client.getresponse().read() == b"text/plain, text/html"


def test_what_is_not_http_is_answered_as_such(service: Service) -> None:
    host, _, port = service.host.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(b"\x16\x03\x01\n")  # the beginning of TLS
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_thousand_requests_on_one_connection_cost_little(client: http.client.HTTPConnection) -> None:
    """Otherwise a benchmark measures the fake. The client's share is in it."""
    began = time.process_time()
    for _ in range(1000):
        client.request("GET", "/a")
        client.getresponse().read()
    assert time.process_time() - began < 1.5
