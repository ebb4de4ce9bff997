"""A small S3 over real HTTP, with object versions, latency and faults on request.

In a test, ``FakeS3()`` serves its dictionaries on a port of this machine. As a program it is filled over HTTP::

    python -m local.fakes.s3 --port 9000 --latency 0.02

Then any S3 client writes (path style; ``PUT /bucket`` makes a bucket), ``POST /-/faults`` replaces the faults by a JSON
list of objects such as ``{"key": "dags/a.py", "kind": "error", "times": 2, "code": "SlowDown", "status": 503}``, and
``GET /-/requests`` tells what was read or deleted.

It knows what loading DAGs needs: ListObjectsV2, ListObjectVersions, GetObject and HeadObject (a version, conditions,
a range), PutObject, DeleteObject, CreateBucket, GetBucketVersioning. Signatures are not checked.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import itertools
import json
import re
import signal
import threading
import time
from collections import Counter, defaultdict
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any, Iterator, NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import escape

from local.fakes.http_service import Answer, Connection, HttpService, Request

MODIFIED = datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc)
"""When every object was modified that has no versions."""
LISTING, VERSIONS = "", "?versions"
"""What listings are called where objects have their key: in ``requests`` and in faults."""
DELETION = "?delete:"
"""Stands before the key of an object that is to be deleted, in the same places."""
WRITING = "?put"
"""What writing any object is called in faults."""
_CONTROL = "/-/"  # No bucket has so short a name.


class Fault:
    """What happens when ``key`` is read, ``times`` times (-1: always), instead of the normal answer.

    ``key`` None means any object; ``LISTING`` and ``VERSIONS`` are the listings, ``DELETION`` + key is a deletion.
    Kinds, and their details:

    - ``error``: ``status``, ``code``, and if wanted ``message`` and ``headers``
    - ``drop``: the connection is closed without an answer
    - ``hang``: no answer ever, until the server is closed
    - ``break``: half of the body, then the connection is closed
    - ``delay``: ``seconds`` between the answer's head and its body
    - ``trickle``: ``bytes_per_second`` of the body; ``slow``: ten of them
    - ``replace``: the object gets another ``body`` first
    - ``delete``: the object is deleted first
    """

    def __init__(self, key: str | None, kind: str, times: int = -1, **details: Any) -> None:
        self.key, self.kind, self.times, self.details = key, kind, times, details

    def concerns(self, key: str) -> bool:
        """Return whether a read of ``key`` meets this fault."""
        return self.times != 0 and (
            self.key == key if self.key is not None else key not in (LISTING, VERSIONS, WRITING)
        )


class Version(NamedTuple):
    """A version of an object; one without a body is a delete marker."""

    version_id: str
    modified: datetime
    body: bytes | None


class FakeS3(HttpService):
    """Buckets are dictionaries of key to bytes; ``requests`` counts what was read or deleted.

    A test may fill ``buckets`` itself, with objects that have no versions. ``put`` and ``delete`` keep ``versions``, as
    a bucket with versioning does: for each key a list, the newest last.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, latency: float = 0.0) -> None:
        """Serve on a port (0: a free one); ``latency``: seconds before each answer."""
        super().__init__(host, port)
        self.buckets: dict[str, dict[str, bytes]] = {"bucket": {}}
        self.versions: dict[str, dict[str, list[Version]]] = defaultdict(dict)
        self.faults: list[Fault] = []
        self.latency = latency
        self.default_encryption = "AES256"
        self.encryption: dict[str, tuple[str, str]] = {}
        """How objects that were put over HTTP are encrypted, and by which key, by their key."""
        self.checksummed: set[str] = set()
        """Keys of objects that were put over HTTP with their SHA-256, of which S3 then tells."""
        self.metadata: dict[str, dict[str, str]] = {}
        """Headers ``x-amz-meta-…`` of objects that were put over HTTP, by their key."""
        self.keeps_versions = True
        """Whether what is put or deleted over HTTP leaves versions."""
        self.suspended = False
        """Whether a bucket without versions once kept them: then its objects have the version ``null``."""
        self.page_size = 1000
        self.requests: Counter[str] = Counter()
        self.authorizations: list[str] = []
        self.running = 0
        self.most_running = 0
        self._lock = threading.RLock()
        self._version_ids = (f"version-{number}" for number in itertools.count(1))

    # Objects

    def put(self, bucket: str, key: str, body: bytes, modified: datetime | None = None) -> str:
        """Write an object, in a bucket that is made if need be; return the id of its version."""
        with self._lock:
            self.buckets.setdefault(bucket, {})[key] = body
            return self._add(bucket, key, body, modified)

    def delete(self, bucket: str, key: str, modified: datetime | None = None) -> str:
        """Delete an object, which leaves a delete marker; return the id of that."""
        with self._lock:
            self.buckets[bucket].pop(key, None)
            return self._add(bucket, key, None, modified)

    def _add(self, bucket: str, key: str, body: bytes | None, modified: datetime | None) -> str:
        moment = modified or datetime.now(timezone.utc).replace(microsecond=0)
        version = Version(next(self._version_ids), moment, body)
        self.versions[bucket].setdefault(key, []).append(version)
        return version.version_id

    def _history(self, bucket: str, key: str) -> list[Version]:
        """Return the versions of a key, the newest first; an object without versions has one, as S3 calls it."""
        kept = self.versions[bucket].get(key)
        if kept:
            return [Version(*version) for version in reversed(kept)]
        body = self.buckets[bucket].get(key)
        return [] if body is None else [Version("null", MODIFIED, body)]

    def _current(self, bucket: str, key: str) -> Version:
        """Return the object of a key that is there, whoever wrote it into ``buckets``."""
        body = self.buckets[bucket][key]
        newest = self._history(bucket, key)[0]
        return newest if newest.body == body else Version("null", MODIFIED, body)

    # Requests

    def serve(self, request: Request, connection: Connection) -> None:
        """Answer a request, with the faults that concern it."""
        if request.path.startswith(_CONTROL):
            connection.send(self._control(request))
            return
        bucket, _, key = request.path[1:].partition("/")
        name = key or (VERSIONS if "versions" in request.query else LISTING)
        if request.method == "DELETE":
            name = DELETION + key
        concerned = request.method in ("GET", "HEAD", "DELETE")
        with self._lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            if concerned:
                self.requests[name] += 1
                self.authorizations.append(request.headers.get("authorization", ""))
            fault = self._fault_for(name) if concerned else None
            if request.method == "PUT" and key:
                fault = self._fault_for(WRITING)
        try:
            if self.latency:
                time.sleep(self.latency)
            if fault is None:
                connection.send(self._answer(request, bucket, key))
            else:
                self._misbehave(fault, request, bucket, key, connection)
        finally:
            with self._lock:
                self.running -= 1

    def _fault_for(self, name: str) -> Fault | None:
        for fault in self.faults:
            if fault.concerns(name):
                fault.times -= 1
                return fault
        return None

    def _misbehave(self, fault: Fault, request: Request, bucket: str, key: str, connection: Connection) -> None:
        """Answer with a fault."""
        details = fault.details
        if fault.kind == "error":
            headers = {str(name): str(value) for name, value in dict(details.get("headers", {})).items()}
            text = str(details.get("message", "refused"))
            connection.send(_error(int(details["status"]), str(details["code"]), text, headers))
            return
        if fault.kind == "drop":
            connection.end()
            return
        if fault.kind == "hang":
            self.closing.wait()
            connection.end()
            return
        if fault.kind in ("replace", "delete"):
            self._change(bucket, key, details.get("body") if fault.kind == "replace" else None)
        answer = self._answer(request, bucket, key)
        if fault.kind not in ("break", "delay", "trickle", "slow"):
            connection.send(answer)
            return
        connection.send_head(answer.status, answer.headers, len(answer.body))
        if fault.kind == "break":
            connection.write(answer.body[: len(answer.body) // 2])
            connection.end()
        elif fault.kind == "delay":
            self.closing.wait(float(details["seconds"]))
            connection.write(answer.body)
        else:
            self._trickle(answer.body, float(details.get("bytes_per_second", 10)), connection)

    def _change(self, bucket: str, key: str, body: bytes | str | None) -> None:
        """Replace or delete an object; one without versions gets none by it."""
        with self._lock:
            new = body.encode() if isinstance(body, str) else body
            if self.versions[bucket].get(key):
                self.delete(bucket, key) if new is None else self.put(bucket, key, new)
            elif new is None:
                self.buckets[bucket].pop(key, None)
            else:
                self.buckets[bucket][key] = new

    def _trickle(self, body: bytes, rate: float, connection: Connection) -> None:
        """Write a body slowly, ten pieces a second or one byte at a time."""
        piece = max(1, int(rate / 10))
        for position in range(0, len(body), piece):
            connection.write(body[position : position + piece])
            if self.closing.wait(piece / rate):
                connection.end()
                return

    def _control(self, request: Request) -> Answer:
        """Answer a control request."""
        wanted = (request.method, request.path[len(_CONTROL) :])
        with self._lock:
            if wanted == ("POST", "faults"):
                self.faults = [Fault(**item) for item in json.loads(request.body)]
                return Answer(200, {})
            if wanted == ("GET", "requests"):
                return Answer(200, {"Content-Type": "application/json"}, json.dumps(self.requests).encode())
        return Answer(404, {})

    def _answer(self, request: Request, bucket: str, key: str) -> Answer:
        """Return the answer without faults."""
        with self._lock:
            if request.method == "PUT":
                return self._write(request, bucket, key)
            if bucket not in self.buckets:
                return _error(404, "NoSuchBucket")
            if request.method == "DELETE" and key:
                if not self.keeps_versions:
                    self.buckets[bucket].pop(key, None)
                    return Answer(204, {})
                version_id = self.delete(bucket, key)
                return Answer(204, {"x-amz-delete-marker": "true", "x-amz-version-id": version_id})
            if request.method not in ("GET", "HEAD"):
                return _error(405, "MethodNotAllowed")
            if key:
                return self._read(request, bucket, key)
            if "versioning" in request.query:
                suspended = "<Status>Suspended</Status>" if self.suspended else ""
                status = "<Status>Enabled</Status>" if self.keeps_versions else suspended
                return _xml(f"<VersioningConfiguration>{status}</VersioningConfiguration>")
            return (self._list_versions if "versions" in request.query else self._list)(bucket, request.query)

    def _write(self, request: Request, bucket: str, key: str) -> Answer:
        """PutObject or CreateBucket."""
        if not key:
            self.buckets.setdefault(bucket, {})
            return Answer(200, {"Location": f"/{bucket}"})
        if bucket not in self.buckets:
            return _error(404, "NoSuchBucket")
        if "aws-chunked" in request.headers.get("content-encoding", "") or "uploadId" in request.query:
            return _error(501, "NotImplemented", "only whole bodies can be put here")
        version = {}
        if self.keeps_versions:
            version["x-amz-version-id"] = self.put(bucket, key, request.body)
        else:
            self.buckets[bucket][key] = request.body
            if self.suspended:
                version["x-amz-version-id"] = "null"
        self.metadata[key] = {name: text for name, text in request.headers.items() if name.startswith("x-amz-meta-")}
        if "x-amz-checksum-sha256" in request.headers:
            self.checksummed.add(key)
        kind = request.headers.get("x-amz-server-side-encryption") or self.default_encryption
        self.encryption[key] = (kind, request.headers.get("x-amz-server-side-encryption-aws-kms-key-id") or "")
        headers = {"x-amz-server-side-encryption": kind} if kind else {}
        return Answer(200, {"ETag": etag(request.body), **version, **headers})

    def _read(self, request: Request, bucket: str, key: str) -> Answer:
        """GetObject, of a version or of the newest."""
        version_id = request.query.get("versionId")
        if version_id is not None:
            found = {version.version_id: version for version in self._history(bucket, key)}.get(version_id)
            if found is None:
                return _error(404, "NoSuchVersion")
        elif key in self.buckets[bucket]:
            found = self._current(bucket, key)
        else:
            return _error(404, "NoSuchKey")
        headers = {"Last-Modified": format_datetime(found.modified, usegmt=True), **self.metadata.get(key, {})}
        if self.versions[bucket].get(key) or self.suspended:
            headers["x-amz-version-id"] = found.version_id
        if (
            request.headers.get("x-amz-checksum-mode") == "ENABLED"
            and key in self.checksummed
            and found.body is not None
        ):
            headers["x-amz-checksum-sha256"] = base64.b64encode(hashlib.sha256(found.body).digest()).decode()
        if found.body is None:
            return _error(405, "MethodNotAllowed", headers={**headers, "x-amz-delete-marker": "true"})
        return _conditional(request, headers, found.body)

    def _list(self, bucket: str, query: dict[str, str]) -> Answer:
        """ListObjectsV2."""
        objects, prefix = self.buckets[bucket], query.get("prefix", "")
        after = bytes.fromhex(query.get("continuation-token", "")).decode()
        page, more = self._page((key for key in sorted(objects) if key.startswith(prefix) and key > after), query)
        name = _namer(query)
        items = "".join(
            f"<Contents><Key>{name(key)}</Key>{_described(self._current(bucket, key))}</Contents>" for key in page
        )
        token = f"<NextContinuationToken>{page[-1].encode().hex()}</NextContinuationToken>" if more else ""
        return _xml(
            f"<ListBucketResult><Name>{bucket}</Name><KeyCount>{len(page)}</KeyCount>{_encoding(query)}"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}</ListBucketResult>"
        )

    def _list_versions(self, bucket: str, query: dict[str, str]) -> Answer:
        """ListObjectVersions: by key, and of a key the newest first."""
        page, more = self._page(self._versions_after(bucket, query), query)
        name = _namer(query)
        items = ""
        for key, version, latest in page:
            kind = "DeleteMarker" if version.body is None else "Version"
            items += (
                f"<{kind}><Key>{name(key)}</Key><VersionId>{version.version_id}</VersionId>"
                f"<IsLatest>{str(latest).lower()}</IsLatest>{_described(version)}</{kind}>"
            )
        following = ""
        if more:
            key, version, _ = page[-1]
            following = (
                f"<NextKeyMarker>{name(key)}</NextKeyMarker>"
                f"<NextVersionIdMarker>{version.version_id}</NextVersionIdMarker>"
            )
        return _xml(
            f"<ListVersionsResult><Name>{bucket}</Name>{_encoding(query)}"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{following}{items}</ListVersionsResult>"
        )

    def _versions_after(self, bucket: str, query: dict[str, str]) -> Iterator[tuple[str, Version, bool]]:
        """Key, version, and whether it is the latest, behind the markers of a listing."""
        prefix, key_marker = query.get("prefix", ""), query.get("key-marker", "")
        version_marker = query.get("version-id-marker", "")
        for key in sorted({*self.buckets[bucket], *self.versions[bucket]}):
            if not key.startswith(prefix) or key < key_marker or (key == key_marker and not version_marker):
                continue
            history = self._history(bucket, key)
            ids = [version.version_id for version in history]
            first = ids.index(version_marker) + 1 if key == key_marker and version_marker in ids else 0
            for index in range(first, len(history)):
                yield key, history[index], index == 0

    def _page(self, found: Iterator[Any], query: dict[str, str]) -> tuple[list[Any], bool]:
        """As much as one answer holds, and whether there is more."""
        size = min(self.page_size, int(query.get("max-keys", self.page_size)))
        page = list(itertools.islice(found, size))
        return page, bool(page) and next(found, None) is not None


def etag(body: bytes) -> str:
    """Return the ETag of an object that was put in one piece."""
    return f'"{hashlib.md5(body).hexdigest()}"'


def _conditional(request: Request, headers: dict[str, str], body: bytes) -> Answer:
    """Return an object's answer under the conditions and the range of the request."""
    tag = etag(body)
    headers["ETag"] = tag
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted not in (tag, "*"):
        return _error(412, "PreconditionFailed")
    known = request.headers.get("if-none-match")
    if known is not None and (known == "*" or tag in known):
        return Answer(304, headers)
    part = re.match(r"bytes=(\d+)-(\d*)$", request.headers.get("range", ""))
    if part is None:
        return Answer(200, headers, body)
    start, end = int(part.group(1)), min(int(part.group(2) or len(body)), len(body) - 1)
    if start > end:
        return _error(416, "InvalidRange")
    headers["Content-Range"] = f"bytes {start}-{end}/{len(body)}"
    return Answer(206, headers, body[start : end + 1])


def _described(version: Version) -> str:
    """Return what a listing tells of a version besides its name."""
    modified = f"<LastModified>{version.modified:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
    if version.body is None:
        return modified
    return f"{modified}<ETag>{escape(etag(version.body))}</ETag><Size>{len(version.body)}</Size>"


def _namer(query: dict[str, str]) -> Any:
    """Return how a listing writes keys."""
    return quote if query.get("encoding-type") == "url" else escape


def _encoding(query: dict[str, str]) -> str:
    return "<EncodingType>url</EncodingType>" if query.get("encoding-type") == "url" else ""


def _xml(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    body = ('<?xml version="1.0" encoding="UTF-8"?>' + text).encode()
    return Answer(status, {"Content-Type": "application/xml", **(headers or {})}, body)


def _error(status: int, code: str, message: str = "refused", headers: dict[str, str] | None = None) -> Answer:
    return _xml(f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>", status, headers)


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True, help="on all addresses of this machine")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with FakeS3("0.0.0.0", options.port, options.latency):
        ended.wait()


if __name__ == "__main__":
    main()
