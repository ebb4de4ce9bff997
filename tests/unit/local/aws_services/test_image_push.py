"""What a local registry gets of a saved image, and what is said when it cannot. tests/local pulls what was pushed."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from typing import cast

import pytest
from docker.errors import APIError
from docker.models.images import Image

from local.aws_services.image_push import push
from local.errors import ServiceError
from local.fakes.http_service import Answer, Connection, HttpService, Request

OCI = "application/vnd.oci.image.manifest.v1+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


CONFIG, LAYER = b'{"rootfs": {}}', b"\0" * 3_000_000
MANIFEST = json.dumps({"config": digest_of(CONFIG), "layers": [digest_of(LAYER)]}).encode()
INDEX = json.dumps({"manifests": [{"mediaType": OCI, "digest": digest_of(MANIFEST)}]}).encode()


class Saved:
    """An image as the engine saves it."""

    def __init__(self) -> None:
        files = {f"blobs/{digest_of(content).replace(':', '/')}": content for content in (LAYER, MANIFEST, CONFIG)}
        self._files = {"blobs": None, **files, "index.json": INDEX, "manifest.json": b"[]"}

    def save(self) -> Iterator[bytes]:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, content in self._files.items():
                info = tarfile.TarInfo(name)
                info.type, info.size = (tarfile.DIRTYPE, 0) if content is None else (tarfile.REGTYPE, len(content))
                archive.addfile(info, io.BytesIO(content or b""))
        text = packed.getvalue()
        yield from (text[start : start + 100_000] for start in range(0, len(text), 100_000))


class Registry(HttpService):
    """Keeps what it is sent, and refuses what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = ""
        self.got: dict[str, tuple[str, bytes]] = {}

    def serve(self, request: Request, connection: Connection) -> None:
        if request.method == "POST":
            connection.send(Answer(202, {"Location": "/v2/team/worker/blobs/uploads/1?_state=x"}))
            return
        self.got[request.target] = request.headers["content-type"], request.body
        refused = self.refused and self.refused in request.target
        connection.send(Answer(500, {}, b"full") if refused else Answer(201, {}))


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as service:
        yield service


def push_to(registry: Registry, saved: Saved) -> None:
    push(cast(Image, saved), registry.host, "team/worker", "1-s3")


def test_every_blob_goes_there_as_it_is_and_the_manifest_comes_last(registry: Registry) -> None:
    push_to(registry, Saved())
    blobs = {path.rpartition("digest=")[2]: content for path, (_, content) in registry.got.items() if "digest=" in path}
    assert blobs == {digest_of(content): content for content in (CONFIG, LAYER, MANIFEST)}
    assert all("?_state=x&digest=" in path for path in list(registry.got)[:-1])
    assert list(registry.got.items())[-1] == ("/v2/team/worker/manifests/1-s3", (OCI, MANIFEST))


@pytest.mark.parametrize("refused", ["digest=", "manifests"])
def test_what_the_registry_refuses_is_told_with_its_words(registry: Registry, refused: str) -> None:
    registry.refused = refused
    with pytest.raises(ServiceError, match="the registry answers 500: full"):
        push_to(registry, Saved())


def test_a_registry_that_is_gone() -> None:
    with pytest.raises(ServiceError, match="the registry does not answer"):
        push(cast(Image, Saved()), "127.0.0.1:9", "team/worker", "1-s3")


def test_an_engine_that_fails_is_not_the_registry_s_fault(registry: Registry) -> None:
    class Failing(Saved):
        def save(self) -> Iterator[bytes]:
            yield next(super().save())
            raise APIError("no space left on device")

    with pytest.raises(APIError, match="no space left"):
        push_to(registry, Failing())
