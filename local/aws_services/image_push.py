"""Pushes an image to a local registry without compressing its layers.

`docker push` compresses every layer first, which takes half a minute for a worker image: longer than anything else that
a local deployment waits for. A registry on this machine needs no compressed layers, and the engine does not download
layers that it already has. `docker save` writes an OCI layout since Docker Engine 25.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import IO, Any
from urllib.parse import urlsplit

from docker.models.images import Image
from requests import RequestException

from images.verify import ChunkStream
from local.errors import ServiceError

_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")
_BLOCK = 1024 * 1024
_LARGEST_DOCUMENT = 1024 * 1024
"""Bytes. An image's manifest has some kilobytes."""
_TIMEOUT = 120.0


def push(image: Image, registry: str, repository: str, tag: str) -> None:
    """Copy manifest, configuration and layers of an image to ``registry``: ``host:port``, without TLS and login.

    Raises ServiceError when the registry fails, and docker's APIError when the engine does.
    """
    documents: dict[str, bytes] = {}
    index: dict[str, Any] = {}
    target = _Repository(registry, repository)
    with target, tarfile.open(fileobj=ChunkStream(image.save()), mode="r|", bufsize=_BLOCK) as saved:
        for member in saved:
            content, blob = saved.extractfile(member), _BLOB.fullmatch(member.name)
            if content is None:
                continue
            if member.name == "index.json":
                index = json.load(content)
            elif blob:
                digest = f"sha256:{blob[1]}"
                if member.size <= _LARGEST_DOCUMENT:
                    documents[digest] = content.read()
                target.put_blob(digest, documents.get(digest, content), member.size)
        (manifest,) = index["manifests"]
        target.put_manifest(tag, documents[manifest["digest"]], manifest["mediaType"])


class _Repository:
    """A repository of a registry (https://distribution.github.io/distribution/spec/api/), by one connection."""

    def __init__(self, registry: str, repository: str) -> None:
        self._connection = HTTPConnection(registry, timeout=_TIMEOUT, blocksize=_BLOCK)
        self._path = f"/v2/{repository}"

    def __enter__(self) -> _Repository:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def put_blob(self, digest: str, content: bytes | IO[bytes], size: int) -> None:
        location = urlsplit(self._ask("POST", f"{self._path}/blobs/uploads/", b"", {}))
        path = f"{location.path}?{location.query}&digest={digest}"
        self._ask("PUT", path, content, {"Content-Length": str(size), "Content-Type": "application/octet-stream"})

    def put_manifest(self, tag: str, content: bytes, media_type: str) -> None:
        self._ask("PUT", f"{self._path}/manifests/{tag}", content, {"Content-Type": media_type})

    def _ask(self, method: str, path: str, body: bytes | IO[bytes], headers: Mapping[str, str]) -> str:
        """Send a request, and return the address that the answer leads to."""
        try:
            self._connection.request(method, path, body, dict(headers))
            answer = self._connection.getresponse()
            text = answer.read()
        except RequestException:  # of the engine, whose answer is read while it is sent on
            raise
        except (OSError, HTTPException) as error:
            raise ServiceError(f"the registry does not answer: {error!r}") from error
        if answer.status >= 300:
            raise ServiceError(f"the registry answers {answer.status}: {text.decode(errors='replace')}")
        return answer.headers["Location"] or ""
