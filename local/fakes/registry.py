"""A small image registry over real HTTP: images of any configuration, logins, latency and faults on request.

It serves what a test has put in, or stands in front of a real registry (``upstream``), and tells both by the OCI
distribution API and by the API of Amazon ECR, as far as that reads images, makes repositories and logs in. A real
registry behind it takes what is pushed. Signatures are not checked.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import json
import secrets
import sys
import time
from typing import Any, Dict, Iterator, Mapping

from local.fakes.http_service import Answer, Connection, HttpService, Request

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_ECR_TARGET = "AmazonEC2ContainerRegistry_V20150921."
_JSON = {"Content-Type": "application/json"}
_ACCOUNT, _REGION = "123456789012", "us-east-1"
_WRITES = ("POST", "PUT", "PATCH")
_BLOCK = 65536

JsonObject = Dict[str, Any]


def digest_of(content: bytes) -> str:
    """Return the digest by which a registry knows this content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class FakeRegistry(HttpService):
    """The registry, on a port of this machine until the block ends.

    ``login``: empty, ``anonymous`` (a token for everybody), ``bearer`` (a token for ``user``), ``basic``, or ``ecr``:
    basic with the password of GetAuthorizationToken, and, as in Amazon ECR, nothing is pushed to a repository that does
    not exist, nor to an immutable tag that does.
    ``latency``: seconds before each answer. ``faults``: by the beginning of a request's name (see ``requests``) a
    status, an error code of ECR's API, ``hang``, or ``slow``. ``blobs_at``: another registry, to which requests for
    blobs are redirected. ``denied``: actions of ECR's API that are not allowed.
    """

    def __init__(
        self,
        upstream: str = "",
        login: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
        aws: str = "",
    ) -> None:
        """``upstream``: host and port of a real registry.

        ``aws``: host and port of an AWS stand-in that has the repositories, such as those that its CloudFormation has
        made; it is asked for them, and for everything else that is not known here. Empty: ``repositories`` are here.

        ``host`` and ``port`` are what is listened on; port 0 takes a free one.
        """
        super().__init__(host, port)
        self.upstream = upstream
        self.login = login
        self.user = ("airflow", "password")
        self.latency = 0.0
        self.faults: dict[str, Any] = {}
        self.denied: list[str] = []
        self.blobs_at = ""
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.requests: list[str] = []
        """What was asked for, such as ``manifests/1``, ``blobs/sha256:…``, ``token``, ``BatchGetImage``."""
        self.authorizations: list[str] = []
        self.repositories: dict[str, JsonObject] = {}
        """Those of Amazon ECR's API: CreateRepository's requests by name."""
        self.aws = aws
        self._password = secrets.token_hex(16)

    # What is in it

    def store_blob(self, repository: str, content: bytes) -> str:
        """Keep a blob; returns its digest."""
        self.blobs[digest_of(content)] = content
        return digest_of(content)

    def store_manifest(self, repository: str, version: str, media_type: str, content: bytes) -> str:
        """Keep a manifest or an index under a tag and its digest; returns the digest."""
        for name in {version or digest_of(content), digest_of(content)}:
            self.manifests[repository, name] = (media_type, content)
        return digest_of(content)

    def _manifest(self, repository: str, version: str) -> tuple[str, bytes] | None:
        if not self.upstream:
            return self.manifests.get((repository, version))
        accept = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX))
        status, headers, body = _ask(self.upstream, "GET", f"/v2/{repository}/manifests/{version}", {"Accept": accept})
        return (headers["Content-Type"], body) if status == 200 else None

    def _blob(self, repository: str, digest: str) -> bytes | None:
        if not self.upstream:
            return self.blobs.get(digest)
        status, _, body = _ask(self.upstream, "GET", f"/v2/{repository}/blobs/{digest}", {})
        return body if status == 200 else None

    # Requests

    def reads_body(self, request: Request) -> bool:
        """Layers are passed on while they come in."""
        return not (self.upstream and "/blobs/uploads/" in request.path)

    def serve(self, request: Request, connection: Connection) -> None:
        """Answer a request, or apply a fault."""
        path, authorization = request.path, request.headers.get("authorization", "")
        target = request.headers.get("x-amz-target", "")
        name = target[len(_ECR_TARGET) :] or "/".join(path.rsplit("/", 2)[-2:]).lstrip("/")
        self.requests.append(name)
        self.authorizations.append(authorization)
        if self.latency:
            time.sleep(self.latency)
        fault = next((what for beginning, what in self.faults.items() if name.startswith(beginning)), None)
        if fault == "hang":
            self.closing.wait()
            connection.end()
            return
        if isinstance(fault, int):
            answer = _error(fault, "FAULT")
        elif target:
            url = f"http://{request.headers['host']}"  # a container knows it by another name
            answer = self._ecr(name, json.loads(request.body), fault, url, authorization)
        elif self.upstream and path.startswith("/v2/") and request.method in ("HEAD", *_WRITES):
            self._pass_on(request, connection)
            return
        else:
            answer = self._distribution(path, authorization)
        if fault != "slow":
            connection.send(answer)
            return
        connection.send_head(answer.status, answer.headers, len(answer.body))
        for position in range(len(answer.body)):
            if self.closing.wait(0.1):
                return
            connection.write(answer.body[position : position + 1])

    def _distribution(self, path: str, authorization: str) -> Answer:
        if path == "/token":
            return self._token(authorization)
        if path.startswith("/download/"):
            repository, _, digest = path[len("/download/") :].rsplit("/", 2)
            content = self._blob(repository, digest)
            return _error(403, "DENIED") if content is None or authorization else Answer(200, {}, content)
        refused = self._refused(authorization)
        if refused:
            return refused
        if path == "/v2/":  # `docker login` asks for nothing else
            return Answer(200, _JSON, b"{}")
        repository, kind, version = path[len("/v2/") :].rsplit("/", 2)
        if kind == "manifests":
            found = self._manifest(repository, version)
            if found is None:
                return _error(404, "MANIFEST_UNKNOWN")
            return Answer(200, {"Content-Type": found[0], "Docker-Content-Digest": digest_of(found[1])}, found[1])
        if self.blobs_at:
            return Answer(307, {"Location": f"{self.blobs_at}{path}"})
        content = self._blob(repository, version)
        return _error(404, "BLOB_UNKNOWN") if content is None else Answer(200, {}, content)

    # Pushing

    def _pass_on(self, request: Request, client: Connection) -> None:
        """Forward a request to the real registry, unless Amazon ECR would refuse it."""
        refused = self._refused(request.headers.get("authorization", "")) or self._not_in_ecr(
            request.method, request.path
        )
        if refused:
            client.end()  # a body that was not read is in the way of the next request
            client.send(refused)
            return
        connection = http.client.HTTPConnection(self.upstream, timeout=300)
        try:
            connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():  # the host, too: the registry's answers then lead back here
                if name != "authorization":
                    connection.putheader(name, value)
            connection.endheaders(request.body or None)
            for part in _unread(request, client) if not request.body else ():
                connection.send(part)
            answer = connection.getresponse()
            content = answer.read()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _OF_A_CONNECTION}
            length = int(answer.headers.get("Content-Length") or 0)
            client.send_head(answer.status, kept, length if request.method == "HEAD" else len(content))
            client.write(content)
        finally:
            connection.close()

    def _not_in_ecr(self, method: str, path: str) -> Answer | None:
        if self.login != "ecr" or method not in _WRITES:
            return None
        kind = "/manifests/" if "/manifests/" in path else "/blobs/"
        repository, _, version = path[len("/v2/") :].partition(kind)
        found = self._repository(repository)
        if found is None:
            return _error(404, "NAME_UNKNOWN", message=_no_repository(repository))
        immutable = found.get("imageTagMutability") == "IMMUTABLE"
        if immutable and method == "PUT" and kind == "/manifests/" and self._manifest(repository, version):
            text = (
                f"The image tag '{version}' already exists in the '{repository}' repository and cannot be overwritten "
                "because the tag is immutable."
            )
            return _error(400, "TAG_INVALID", message=text)
        return None

    # Logins

    def _refused(self, authorization: str) -> Answer | None:
        if self.login in ("anonymous", "bearer") and authorization != "Bearer let-me-in":
            challenge = f'Bearer realm="{self.url}/token",service="{self.host}",scope="repository:any:pull"'
            return _error(401, "UNAUTHORIZED", {"WWW-Authenticate": challenge})
        if self.login in ("basic", "ecr") and authorization != self._basic():
            return _error(401, "UNAUTHORIZED", {"WWW-Authenticate": 'Basic realm="registry"'})
        return None

    def _token(self, authorization: str) -> Answer:
        if self.login == "bearer" and authorization != self._basic():
            return _error(401, "UNAUTHORIZED")
        return Answer(200, _JSON, json.dumps({"token": "let-me-in"}).encode())

    def _basic(self) -> str:
        user = ("AWS", self._password) if self.login == "ecr" else self.user
        return "Basic " + base64.b64encode(":".join(user).encode()).decode()

    # Amazon ECR: docs.aws.amazon.com/AmazonECR/latest/APIReference

    def _ecr(self, action: str, request: Mapping[str, Any], fault: Any, url: str, authorization: str) -> Answer:
        if action in self.denied:
            name = request.get("repositoryName") or (request.get("repositoryNames") or ["*"])[0]
            resource = f"arn:aws:ecr:eu-west-1:{request.get('registryId', _ACCOUNT)}:repository/{name}"
            text = (
                f"User: arn:aws:iam::123456789012:role/airflow is not authorized to perform: ecr:{action} on {resource}"
            )
            return _ecr_error("AccessDeniedException", text)
        if fault:
            return _ecr_error(str(fault), "on request")
        if action == "GetAuthorizationToken":
            token = base64.b64encode(f"AWS:{self._password}".encode()).decode()
            data = {"authorizationToken": token, "expiresAt": int(time.time()) + 12 * 3600, "proxyEndpoint": url}
            return _ecr_answer({"authorizationData": [data]})
        if action == "GetDownloadUrlForLayer":
            digest = request["layerDigest"]
            place = f"{url}/download/{request['repositoryName']}/blobs/{digest}"
            return _ecr_answer({"downloadUrl": place, "layerDigest": digest})
        if action == "BatchGetImage":
            return _ecr_answer(self._batch_get_image(request["repositoryName"], request["imageIds"]))
        if self.aws:
            return self._by_aws(action, request, authorization)
        if action == "CreateRepository":
            name = request["repositoryName"]
            if name in self.repositories:
                text = f"The repository with name '{name}' already exists in the registry with id '{_ACCOUNT}'"
                return _ecr_error("RepositoryAlreadyExistsException", text)
            self.repositories[name] = {"imageTagMutability": "MUTABLE", **request}
            return _ecr_answer({"repository": {"repositoryName": name}})
        assert action == "DescribeRepositories", action
        missing = [name for name in request["repositoryNames"] if name not in self.repositories]
        if missing:
            return _ecr_error("RepositoryNotFoundException", _no_repository(missing[0]))
        return _ecr_answer({"repositories": [self.repositories[name] for name in request["repositoryNames"]]})

    def _by_aws(self, action: str, request: Mapping[str, Any], authorization: str) -> Answer:
        """Return the answer of the AWS stand-in, which reads the region from the signature."""
        headers = {
            "Authorization": authorization,
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"{_ECR_TARGET}{action}",
        }
        status, answered, body = _ask(self.aws, "POST", "/", headers, json.dumps(request).encode())
        return Answer(status, {"Content-Type": answered.get("Content-Type", "")}, body)

    def _repository(self, name: str) -> JsonObject | None:
        if not self.aws:
            return self.repositories.get(name)
        scope = f"testing/20260101/{_REGION}/ecr/aws4_request"
        signature = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
        status, _, body = self._by_aws("DescribeRepositories", {"repositoryNames": [name]}, signature)
        found: list[JsonObject] = json.loads(body).get("repositories", []) if status == 200 else []
        return found[0] if found else None

    def _batch_get_image(self, repository: str, wanted: list[Mapping[str, str]]) -> JsonObject:
        images: list[JsonObject] = []
        failures: list[JsonObject] = []
        for image in wanted:
            found = self._manifest(repository, image.get("imageDigest") or image["imageTag"])
            if found is None:
                text = "Requested image not found"
                failures.append({"imageId": image, "failureCode": "ImageNotFound", "failureReason": text})
            else:
                name = {**image, "imageDigest": digest_of(found[1])}
                images.append({"imageId": name, "imageManifest": found[1].decode(), "imageManifestMediaType": found[0]})
        return {"images": images, "failures": failures}


Store = Any
"""A `FakeRegistry`, or what stores blobs and manifests as it does."""


def put_image(
    store: Store, repository: str, tag: str, config: Mapping[str, Any], media_type: str = OCI_MANIFEST
) -> str:
    """Put an image without layers in, of which only the configuration counts; returns its digest."""
    content = json.dumps(config).encode()
    config_type = OCI_CONFIG if media_type == OCI_MANIFEST else DOCKER_CONFIG
    digest = store.store_blob(repository, content)
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": config_type, "digest": digest, "size": len(content)},
        "layers": [],
    }
    stored: str = store.store_manifest(repository, tag, media_type, json.dumps(manifest).encode())
    return stored


def put_index(store: Store, repository: str, tag: str, entries: list[JsonObject], media_type: str = OCI_INDEX) -> str:
    """Put an index in, of entries that `entry` makes; returns its digest."""
    index = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    stored: str = store.store_manifest(repository, tag, media_type, json.dumps(index).encode())
    return stored


def entry(digest: str, platform: str, media_type: str = OCI_MANIFEST, **more: Any) -> JsonObject:
    """Return an entry of an index: a manifest's digest, and what it is for, such as ``linux/amd64``.

    ``features`` are those of the operating system; ``more`` are further members.
    """
    system, _, architecture = platform.partition("/")
    described: JsonObject = {"os": system, "architecture": architecture}
    features = more.pop("features", None)
    if features:
        described["os.features"] = features
    return {"mediaType": media_type, "digest": digest, "size": 1, "platform": described, **more}


_OF_A_CONNECTION = ("connection", "content-length", "date", "transfer-encoding")


def _unread(request: Request, client: Connection) -> Iterator[bytes]:
    """Return the body of a request as it comes in, chunks with their frames."""
    if "chunked" in request.headers.get("transfer-encoding", ""):
        size = -1
        while size != 0:
            line = client.rfile.readline()
            size = int(line.split(b";")[0], 16)
            yield line + client.rfile.read(size + 2)  # with the line's end behind it
        return
    left = int(request.headers.get("content-length") or 0)
    while left:
        part = client.rfile.read(min(_BLOCK, left))
        if not part:
            return
        left -= len(part)
        yield part


def _ask(host: str, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def _error(status: int, code: str, headers: Mapping[str, str] | None = None, message: str = "refused") -> Answer:
    body = {"errors": [{"code": code, "message": message}]}
    return Answer(status, {**_JSON, **(headers or {})}, json.dumps(body).encode())


def _no_repository(name: str) -> str:
    return f"The repository with name '{name}' does not exist in the registry with id '{_ACCOUNT}'"


def _ecr_answer(document: JsonObject) -> Answer:
    return Answer(200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(document).encode())


def _ecr_error(code: str, message: str) -> Answer:
    body = {"__type": code, "message": message}
    return Answer(400, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode())


def main() -> int:
    """Command line, for a container: ``python -m local.fakes.registry --port 5000 --upstream registry:5000``."""
    parser = argparse.ArgumentParser(prog="python -m local.fakes.registry", description=main.__doc__)
    parser.add_argument("--port", type=int, required=True, help="to listen on, on every address")
    parser.add_argument("--upstream", default="", help="host and port of the real registry behind it")
    parser.add_argument("--aws", default="", help="host and port of the AWS stand-in that has the repositories")
    options = parser.parse_args()
    with FakeRegistry(options.upstream, "ecr", host="0.0.0.0", port=options.port, aws=options.aws) as registry:
        registry.closing.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
