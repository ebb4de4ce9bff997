"""The HTTP server under the fakes: connections that hang, end early or come all at once, and what a request costs."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from local.fakes.http_service import Answer, Connection, HttpService, Request


class Service(HttpService):
    """Answers with the request's path, after what the path asks for."""

    def serve(self, request: Request, connection: Connection) -> None:
        if request.path == "/hang":
            self.closing.wait()
            connection.end()
            return
        if request.path == "/slow":
            time.sleep(0.2)
        if request.path == "/half":
            connection.send_head(200, {}, 2 * len(request.path))
            connection.write(request.path.encode())
            connection.end()
            return
        headers = {"X-Method": request.method, "X-Accept": request.headers.get("accept", "")}
        connection.send(Answer(200, headers, request.path.encode() + request.body))


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(service.host, timeout=5)
    yield connection
    connection.close()


def test_a_connection_is_kept_and_a_head_has_no_body(client: http.client.HTTPConnection) -> None:
    for method, path, body in (("HEAD", "/a", b""), ("PUT", "/b%20c?d", b"e"), ("GET", "/f", b"")):
        client.request(method, path, body)
        answer = client.getresponse()
        text = {"HEAD": b"", "PUT": b"/b ce", "GET": b"/f"}[method]
        assert (answer.status, answer.headers["X-Method"], answer.read()) == (200, method, text)


def test_a_repeated_header_has_all_its_values(client: http.client.HTTPConnection) -> None:
    client.putrequest("GET", "/a")
    for value in ("text/plain", "text/html"):  # as the Docker engine sends them
        client.putheader("Accept", value)
    client.endheaders()
    answer = client.getresponse()
    assert (answer.headers["X-Accept"], answer.read()) == ("text/plain, text/html", b"/a")


def test_what_is_not_http_is_answered_as_such(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    host, _, port = service.host.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(b"\x16\x03\x01\n")  # the beginning of TLS
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")
    assert capfd.readouterr().err == ""


def test_answers_do_not_wait_for_each_other(service: Service) -> None:
    def ask() -> None:
        connection = http.client.HTTPConnection(service.host, timeout=5)
        connection.request("GET", "/slow")
        connection.getresponse().read()
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(20)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.2 <= time.monotonic() - began < 20 * 0.2


def test_an_answer_may_never_come_until_the_service_is_closed() -> None:
    with Service() as service:
        client = http.client.HTTPConnection(service.host, timeout=0.3)
        client.request("GET", "/hang")
        with pytest.raises(TimeoutError):
            client.sock.recv(1)
        client.sock.settimeout(5)
    assert client.sock.recv(1) == b""
    client.close()


def test_an_answer_may_end_too_early(client: http.client.HTTPConnection) -> None:
    client.request("GET", "/half")
    with pytest.raises(http.client.IncompleteRead):
        client.getresponse().read()


def test_a_client_that_leaves_is_not_an_error(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    client = http.client.HTTPConnection(service.host, timeout=5)
    client.request("GET", "/slow")
    client.close()
    time.sleep(0.4)
    assert capfd.readouterr().err == ""


def test_a_thousand_requests_on_one_connection_cost_little(client: http.client.HTTPConnection) -> None:
    """Otherwise a benchmark measures the fake. The client's share is in it."""
    began = time.process_time()
    for _ in range(1000):
        client.request("GET", "/a")
        client.getresponse().read()
    assert time.process_time() - began < 1.5
