"""A small S3 over real HTTP: ListObjectsV2 with pages, GetObject with If-Match, and faults on request."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

MODIFIED = datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc)


class Fault:
    """What happens instead of the right answer, ``times`` times (-1: always), to requests for ``key``.

    ``key`` None means any object; the listing is asked for as "" (empty).
    """

    def __init__(self, key: str | None, kind: str, times: int = -1, **details: object) -> None:
        self.key, self.kind, self.times, self.details = key, kind, times, details


class FakeS3:
    """Buckets are dictionaries of key to bytes; ``requests`` counts what was asked for."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, bytes]] = {"bucket": {}}
        self.faults: list[Fault] = []
        self.page_size = 1000
        self.requests: Counter = Counter()
        self.authorizations: list[str] = []
        self.lock = threading.Lock()
        self.running = 0
        self.most_running = 0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                fake.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def fault_for(self, key: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                wanted = fault.key == key or (fault.key is None and key)
                if wanted and fault.times != 0:
                    fault.times -= 1
                    return fault
        return None

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        bucket, _, key = unquote(url.path[1:]).partition("/")
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        with self.lock:
            self.requests[key] += 1
            self.authorizations.append(handler.headers.get("Authorization", ""))
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            self.route(handler, bucket, key, query)
        except OSError:
            handler.close_connection = True  # The client has gone.
        finally:
            with self.lock:
                self.running -= 1

    def route(self, handler: BaseHTTPRequestHandler, bucket: str, key: str, query: dict[str, str]) -> None:
        fault = self.fault_for(key)
        objects = self.buckets.get(bucket)
        if fault and fault.kind == "error":
            code, status = str(fault.details["code"]), int(str(fault.details["status"]))
            extra = {str(k): str(v) for k, v in dict(fault.details.get("headers", {})).items()}  # type: ignore
            return self.error(handler, status, code, extra, str(fault.details.get("message", "refused")))
        if fault and fault.kind == "drop":
            handler.close_connection = True
            return None
        if objects is None:
            return self.error(handler, 404, "NoSuchBucket")
        if not key:
            return self.list(handler, bucket, objects, query)
        if key not in objects:
            return self.error(handler, 404, "NoSuchKey")
        if fault and fault.kind == "replace":
            objects[key] = fault.details["body"]  # type: ignore
        if fault and fault.kind == "delete":
            del objects[key]
            return self.error(handler, 404, "NoSuchKey")
        body = objects[key]
        wanted = handler.headers.get("If-Match")
        if wanted and wanted != etag(body):
            return self.error(handler, 412, "PreconditionFailed")
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", etag(body))
        handler.end_headers()
        if fault and fault.kind == "break":
            handler.wfile.write(body[: len(body) // 2])
            handler.close_connection = True
            return None
        if fault and fault.kind == "slow":
            for position in range(len(body)):
                handler.wfile.write(body[position : position + 1])
                time.sleep(0.1)
            return None
        if fault and fault.kind == "delay":
            time.sleep(float(str(fault.details["seconds"])))
        handler.wfile.write(body)
        return None

    def list(
        self, handler: BaseHTTPRequestHandler, bucket: str, objects: dict[str, bytes], query: dict[str, str]
    ) -> None:
        prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
        found = [key for key in sorted(objects) if key.startswith(prefix) and key > after]
        page, more = found[: self.page_size], len(found) > self.page_size
        name = quote if query.get("encoding-type") == "url" else escape
        items = "".join(
            f"<Contents><Key>{name(key)}</Key><LastModified>{MODIFIED:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>{escape(etag(objects[key]))}</ETag><Size>{len(objects[key])}</Size></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        self.send(
            handler,
            200,
            f"<ListBucketResult><Name>{bucket}</Name><EncodingType>url</EncodingType>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}</ListBucketResult>",
        )

    def error(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        code: str,
        headers: dict[str, str] | None = None,
        message: str = "refused",
    ) -> None:
        body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        self.send(handler, status, body, tuple((headers or {}).items()))

    @staticmethod
    def send(
        handler: BaseHTTPRequestHandler, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        body = ('<?xml version="1.0" encoding="UTF-8"?>' + text).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Content-Type", "application/xml")
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)


def etag(body: bytes) -> str:
    return '"' + hashlib.md5(body).hexdigest() + '"'
