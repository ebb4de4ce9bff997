"""The fake registry, asked as clients ask: by the OCI distribution API, and by the API of Amazon ECR with boto3."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from local.fakes.registry import (
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    FakeRegistry,
    digest_of,
    entry,
    put_image,
    put_index,
)

CONFIG = {"architecture": "amd64", "config": {"Labels": {"a": "b"}}}
PLACE = {"registryId": "123456789012", "repositoryName": "team/worker"}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def image(registry: FakeRegistry) -> str:
    """The digest of ``team/worker:1``."""
    return put_image(registry, "team/worker", "1", CONFIG)


@pytest.fixture
def ecr(registry: FakeRegistry) -> Iterator[Any]:
    client = ecr_client(registry)
    yield client
    client.close()


def ecr_client(registry: FakeRegistry) -> Any:
    """A client that asks once."""
    return boto3.client(
        "ecr",
        endpoint_url=registry.url,
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=5, proxies={}),
    )


def get(registry: FakeRegistry, path: str, **options: Any) -> requests.Response:
    """Ask without the proxies and the logins of this machine."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"{registry.url}{path}", timeout=5, **options)


def config_in(registry: FakeRegistry, digest: str) -> str:
    """The digest of the configuration of an image of ``team/worker``."""
    found: str = get(registry, f"/v2/team/worker/manifests/{digest}").json()["config"]["digest"]
    return found


class TestContent:
    @pytest.mark.parametrize(
        ("media_type", "config_type"), [(OCI_MANIFEST, OCI_CONFIG), (DOCKER_MANIFEST, DOCKER_CONFIG)]
    )
    def test_an_image_is_found_by_tag_and_by_digest(
        self, registry: FakeRegistry, media_type: str, config_type: str
    ) -> None:
        digest = put_image(registry, "team/worker", "1", CONFIG, media_type)
        for version in ("1", digest):
            answer = get(registry, f"/v2/team/worker/manifests/{version}")
            assert answer.headers["Content-Type"] == answer.json()["mediaType"] == media_type
            assert answer.headers["Docker-Content-Digest"] == digest_of(answer.content) == digest
        config = answer.json()["config"]
        content = get(registry, f"/v2/team/worker/blobs/{config['digest']}").content
        assert json.loads(content) == CONFIG
        assert config == {"mediaType": config_type, "digest": digest_of(content), "size": len(content)}

    def test_one_without_a_tag_is_found_by_its_digest_alone(self, registry: FakeRegistry) -> None:
        digest = put_image(registry, "team/worker", "", CONFIG)
        assert get(registry, f"/v2/team/worker/manifests/{digest}").ok
        assert [version for _, version in registry.manifests] == [digest]

    @pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_INDEX])
    def test_an_index_lists_what_it_was_given(self, registry: FakeRegistry, image: str, media_type: str) -> None:
        entries = [
            entry(image, "linux/amd64"),
            entry(image, "linux/arm64", DOCKER_MANIFEST, features=["lazy"], artifactType="a/b"),
        ]
        digest = put_index(registry, "team/worker", "2", entries, media_type)
        answer = get(registry, "/v2/team/worker/manifests/2")
        assert answer.headers["Content-Type"] == media_type and answer.headers["Docker-Content-Digest"] == digest
        first, second = answer.json()["manifests"]
        assert (first["digest"], first["platform"]) == (image, {"os": "linux", "architecture": "amd64"})
        assert second["platform"] == {"os": "linux", "architecture": "arm64", "os.features": ["lazy"]}
        assert (second["mediaType"], second["artifactType"]) == (DOCKER_MANIFEST, "a/b")

    @pytest.mark.parametrize(
        ("path", "code"),
        [
            ("/v2/team/worker/manifests/2", "MANIFEST_UNKNOWN"),
            ("/v2/team/other/manifests/1", "MANIFEST_UNKNOWN"),
            (f"/v2/team/worker/blobs/{digest_of(b'')}", "BLOB_UNKNOWN"),
        ],
    )
    def test_what_is_not_there(self, registry: FakeRegistry, image: str, path: str, code: str) -> None:
        answer = get(registry, path)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, code)

    def test_blobs_are_elsewhere_on_request(self, registry: FakeRegistry, image: str) -> None:
        config = config_in(registry, image)
        with FakeRegistry() as storage:
            storage.blobs[config] = b"from the storage"
            registry.blobs_at = storage.url
            answer = get(registry, f"/v2/team/worker/blobs/{config}", allow_redirects=False)
            assert answer.status_code == 307
            assert get(registry, f"/v2/team/worker/blobs/{config}").content == b"from the storage"
            assert storage.requests == [f"blobs/{config}"]


class TestLogins:
    PATH = "/v2/team/worker/manifests/1"

    def token(self, registry: FakeRegistry, **options: Any) -> requests.Response:
        """Ask for a token where the registry says."""
        refused = get(registry, self.PATH)
        assert refused.status_code == 401
        challenge = refused.headers["WWW-Authenticate"]
        assert challenge.startswith(f'Bearer realm="{registry.url}/token",service="{registry.host}",scope="')
        return get(registry, "/token", **options)

    def test_a_token_for_everybody(self, registry: FakeRegistry, image: str) -> None:
        registry.login = "anonymous"
        token = self.token(registry).json()["token"]
        assert get(registry, self.PATH, headers={"Authorization": f"Bearer {token}"}).ok

    def test_a_token_for_the_user(self, registry: FakeRegistry, image: str) -> None:
        registry.login = "bearer"
        assert self.token(registry).status_code == 401
        assert self.token(registry, auth=("airflow", "wrong")).status_code == 401
        token = self.token(registry, auth=registry.user).json()["token"]
        assert get(registry, self.PATH, headers={"Authorization": f"Bearer {token}"}).ok
        assert get(registry, self.PATH, headers={"Authorization": "Bearer another"}).status_code == 401

    def test_the_password_with_every_request(self, registry: FakeRegistry, image: str) -> None:
        registry.login = "basic"
        refused = get(registry, self.PATH, auth=("airflow", "wrong"))
        assert refused.status_code == 401 and refused.headers["WWW-Authenticate"].startswith("Basic ")
        assert get(registry, self.PATH, auth=registry.user).ok

    @pytest.mark.parametrize("login", ["", "anonymous", "bearer", "basic"])
    def test_whether_one_is_logged_in_is_told_without_an_image(self, login: str) -> None:
        with FakeRegistry(login=login, user=("me", "secret")) as registry:
            assert get(registry, "/v2/").status_code == (401 if login else 200)
            headers = {"Authorization": "Bearer let-me-in"} if login in ("anonymous", "bearer") else {}
            assert get(registry, "/v2/", headers=headers, auth=None if headers else ("me", "secret")).ok

    def test_what_was_asked_for_and_with_which_login_is_kept(self, registry: FakeRegistry, image: str) -> None:
        get(registry, self.PATH)
        get(registry, self.PATH, headers={"Authorization": "Bearer x"})
        assert registry.requests == ["manifests/1", "manifests/1"]
        assert registry.authorizations == ["", "Bearer x"]


class TestFaults:
    def test_latency_comes_before_each_answer_and_answers_do_not_wait_for_each_other(
        self, registry: FakeRegistry, image: str
    ) -> None:
        registry.latency = 0.2
        threads = [threading.Thread(target=get, args=(registry, "/v2/team/worker/manifests/1")) for _ in range(20)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 0.2 <= time.monotonic() - began < 20 * 0.2
        assert len(registry.requests) == 20

    def test_a_status_by_the_beginning_of_the_request_s_name(self, registry: FakeRegistry, image: str) -> None:
        registry.faults["blobs"] = 503
        assert get(registry, "/v2/team/worker/manifests/1").ok
        assert get(registry, f"/v2/team/worker/blobs/{config_in(registry, image)}").status_code == 503
        registry.faults["manifests/2"] = 429
        assert get(registry, "/v2/team/worker/manifests/1").ok
        assert get(registry, "/v2/team/worker/manifests/2").status_code == 429

    def test_a_slow_answer_is_whole(self, registry: FakeRegistry) -> None:
        registry.faults["blobs"] = "slow"
        digest = registry.store_blob("team/worker", b"12345")
        began = time.monotonic()
        assert get(registry, f"/v2/team/worker/blobs/{digest}").content == b"12345"
        assert time.monotonic() - began >= 0.5

    def test_a_client_that_leaves_before_the_end_is_nobodys_trouble(self, capfd: pytest.CaptureFixture[str]) -> None:
        with FakeRegistry() as registry:
            registry.faults["blobs"] = "slow"
            digest = registry.store_blob("team/worker", b"12345")
            connection = http.client.HTTPConnection(registry.host, timeout=5)
            connection.request("GET", f"/v2/team/worker/blobs/{digest}")
            assert connection.getresponse().read(1) == b"1"
            connection.close()
            time.sleep(0.4)
        assert capfd.readouterr().err == ""

    def test_no_answer_at_all_until_it_is_closed(self) -> None:
        with FakeRegistry() as registry:
            registry.faults["manifests"] = "hang"
            connection = http.client.HTTPConnection(registry.host, timeout=0.3)
            connection.request("GET", "/v2/team/worker/manifests/1")
            with pytest.raises(TimeoutError):
                connection.sock.recv(1)
            connection.sock.settimeout(5)
        assert connection.sock.recv(1) == b""
        connection.close()


class TestEcr:
    @staticmethod
    def wanted(*images: Mapping[str, str]) -> dict[str, Any]:
        return {**PLACE, "imageIds": [*images]}

    @staticmethod
    def refusal(error: pytest.ExceptionInfo[ClientError]) -> str:
        return str(error.value.response["Error"]["Code"])

    def test_manifests_by_tag_and_by_digest(self, registry: FakeRegistry, ecr: Any, image: str) -> None:
        asked: list[dict[str, str]] = [{"imageTag": "1"}, {"imageDigest": image}]
        found = ecr.batch_get_image(**self.wanted(*asked))["images"]
        assert [item["imageId"] for item in found] == [{"imageTag": "1", "imageDigest": image}, {"imageDigest": image}]
        for item in found:
            assert digest_of(item["imageManifest"].encode()) == image
            assert item["imageManifestMediaType"] == OCI_MANIFEST
        assert registry.requests == ["BatchGetImage"]

    def test_images_that_are_not_there_are_failures_beside_the_others(self, ecr: Any, image: str) -> None:
        answer = ecr.batch_get_image(**self.wanted({"imageTag": "2"}, {"imageTag": "1"}))
        assert [item["imageId"]["imageTag"] for item in answer["images"]] == ["1"]
        assert [(item["imageId"], item["failureCode"]) for item in answer["failures"]] == [
            ({"imageTag": "2"}, "ImageNotFound")
        ]

    def test_a_blob_is_at_an_address_that_takes_no_login(self, registry: FakeRegistry, ecr: Any, image: str) -> None:
        registry.login = "basic"
        (digest,) = registry.blobs
        url = ecr.get_download_url_for_layer(**PLACE, layerDigest=digest)["downloadUrl"]
        path = urlsplit(url).path
        assert url == f"{registry.url}{path}"
        assert json.loads(get(registry, path).content) == CONFIG
        assert get(registry, path, auth=registry.user).status_code == 403
        assert get(registry, path.replace(digest, digest_of(b""))).status_code == 403
        assert registry.requests[:2] == ["GetDownloadUrlForLayer", f"blobs/{digest}"]

    @pytest.mark.parametrize("action", ["BatchGetImage", "GetDownloadUrlForLayer"])
    def test_an_action_that_is_denied(self, registry: FakeRegistry, ecr: Any, image: str, action: str) -> None:
        registry.denied.append(action)
        (digest,) = registry.blobs
        asks: dict[str, Callable[[], Any]] = {
            "BatchGetImage": lambda: ecr.batch_get_image(**self.wanted({"imageTag": "1"})),
            "GetDownloadUrlForLayer": lambda: ecr.get_download_url_for_layer(**PLACE, layerDigest=digest),
        }
        with pytest.raises(ClientError, match=rf"ecr:{action} on arn:aws:ecr:.*:123456789012:.*/team/worker") as error:
            asks.pop(action)()
        assert self.refusal(error) == "AccessDeniedException"
        for ask in asks.values():
            ask()

    def test_an_error_code_on_request(self, registry: FakeRegistry, ecr: Any, image: str) -> None:
        registry.faults["BatchGetImage"] = "RepositoryNotFoundException"
        with pytest.raises(ClientError) as error:
            ecr.batch_get_image(**self.wanted({"imageTag": "1"}))
        assert self.refusal(error) == "RepositoryNotFoundException"

    def test_its_login_opens_it_and_no_other_does(self, registry: FakeRegistry, ecr: Any, image: str) -> None:
        registry.login = "ecr"
        (data,) = ecr.get_authorization_token()["authorizationData"]
        user, password = base64.b64decode(data["authorizationToken"]).decode().split(":")
        assert (data["proxyEndpoint"], user) == (registry.url, "AWS")
        assert get(registry, "/v2/team/worker/manifests/1", auth=(user, password)).ok
        assert get(registry, "/v2/team/worker/manifests/1", auth=registry.user).status_code == 401

    def test_repositories_are_made_once(self, registry: FakeRegistry, ecr: Any) -> None:
        with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
            ecr.describe_repositories(repositoryNames=["team/worker"])
        ecr.create_repository(repositoryName="team/worker", imageTagMutability="IMMUTABLE")
        (found,) = ecr.describe_repositories(repositoryNames=["team/worker"])["repositories"]
        assert found["imageTagMutability"] == registry.repositories["team/worker"]["imageTagMutability"] == "IMMUTABLE"
        with pytest.raises(ecr.exceptions.RepositoryAlreadyExistsException):
            ecr.create_repository(repositoryName="team/worker")

    def test_repositories_may_be_elsewhere(self, registry: FakeRegistry, ecr: Any) -> None:
        """moto's, say, which its CloudFormation has made."""
        ecr.create_repository(repositoryName="team/worker", imageTagMutability="IMMUTABLE")
        with FakeRegistry(aws=registry.host) as front:
            client = ecr_client(front)
            (found,) = client.describe_repositories(repositoryNames=["team/worker"])["repositories"]
            assert found["imageTagMutability"] == "IMMUTABLE" and not front.repositories
            with pytest.raises(client.exceptions.RepositoryNotFoundException):
                client.describe_repositories(repositoryNames=["other"])
            client.close()


class TestUpstream:
    """Another registry behind it; tests/images has a real one there."""

    @pytest.fixture
    def front(self, registry: FakeRegistry, image: str) -> Iterator[FakeRegistry]:
        with FakeRegistry(upstream=registry.host) as fake:
            yield fake

    def test_what_is_there_is_told_as_it_is(self, registry: FakeRegistry, front: FakeRegistry, image: str) -> None:
        answer = get(front, "/v2/team/worker/manifests/1")
        assert digest_of(answer.content) == image and answer.headers["Content-Type"] == OCI_MANIFEST
        config = answer.json()["config"]["digest"]
        assert json.loads(get(front, f"/v2/team/worker/blobs/{config}").content) == CONFIG
        assert front.requests == registry.requests == ["manifests/1", f"blobs/{config}"]

    def test_what_is_not_there_is_not_here(self, front: FakeRegistry) -> None:
        assert get(front, "/v2/team/worker/manifests/2").status_code == 404
        assert get(front, f"/v2/team/worker/blobs/{digest_of(b'')}").status_code == 404

    def test_logins_and_faults_are_its_own(self, registry: FakeRegistry, front: FakeRegistry) -> None:
        front.login = "basic"
        assert get(front, "/v2/team/worker/manifests/1").status_code == 401
        assert get(front, "/v2/team/worker/manifests/1", auth=front.user).ok
        front.faults["manifests"] = 503
        assert get(front, "/v2/team/worker/manifests/1", auth=front.user).status_code == 503
        assert registry.authorizations == [""]

    def test_amazon_ecr_s_api_is_in_front_of_it_too(
        self, registry: FakeRegistry, front: FakeRegistry, image: str
    ) -> None:
        client = ecr_client(front)
        (found,) = client.batch_get_image(**PLACE, imageIds=[{"imageTag": "1"}])["images"]
        assert found["imageId"]["imageDigest"] == image
        (digest,) = registry.blobs
        url = client.get_download_url_for_layer(**PLACE, layerDigest=digest)["downloadUrl"]
        assert json.loads(get(front, urlsplit(url).path).content) == CONFIG
        client.close()
