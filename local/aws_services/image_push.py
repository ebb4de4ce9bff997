"""Push images to a local registry without compressing their layers.

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
from local.fakes.registry import digest_of

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
    target = Registry(registry)
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
                target.upload(repository, digest, documents.get(digest, content), member.size)
        (manifest,) = index["manifests"]
        target.store_manifest(repository, tag, manifest["mediaType"], documents[manifest["digest"]])


class Registry:
    """A registry (https://distribution.github.io/distribution/spec/api/) without TLS and login, by one connection."""

    def __init__(self, host: str) -> None:
        """``host`` is ``host:port``. Nothing is sent yet."""
        self._connection = HTTPConnection(host, timeout=_TIMEOUT, blocksize=_BLOCK)

    def __enter__(self) -> Registry:
        """Connect with the first request."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._connection.close()

    def store_blob(self, repository: str, content: bytes) -> str:
        """Upload a blob and return its digest."""
        digest = digest_of(content)
        self.upload(repository, digest, content, len(content))
        return digest

    def upload(self, repository: str, digest: str, content: bytes | IO[bytes], size: int) -> None:
        """Upload a blob of a known digest while it is read."""
        location = urlsplit(self._ask("POST", f"/v2/{repository}/blobs/uploads/", b"", {}))
        path = f"{location.path}?{location.query}&digest={digest}"
        self._ask("PUT", path, content, {"Content-Length": str(size), "Content-Type": "application/octet-stream"})

    def store_manifest(self, repository: str, version: str, media_type: str, content: bytes) -> str:
        """Upload a manifest or an index under a tag, or without one under its digest, and return the digest."""
        digest = digest_of(content)
        self._ask("PUT", f"/v2/{repository}/manifests/{version or digest}", content, {"Content-Type": media_type})
        return digest

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
