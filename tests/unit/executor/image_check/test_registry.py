from __future__ import annotations

import json

import pytest
from airflow_ecs_executor.image_check import http as http_module
from airflow_ecs_executor.image_check.errors import NoSuchImageError, NoSuchPlatformError, RegistryError
from airflow_ecs_executor.image_check.http import Answer
from airflow_ecs_executor.image_check.reference import parse
from airflow_ecs_executor.image_check.registry import Credentials, Registry
from airflow_ecs_executor.image_check.remote import Images

from local.fakes.registry import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_MANIFEST,
    FakeRegistry,
    entry,
    put_image,
    put_index,
)
from tests.unit.executor.image_check.conftest import ACCOUNT_HOST, AMD64, ARM64, LookUps, config_for


@pytest.fixture
def one(registry):
    """``team/worker:1``: a plain image; returns its digest."""
    return put_image(registry, "team/worker", "1", config_for("amd64", a="b"))


def refusal(images, name, platform=AMD64):
    with pytest.raises(RegistryError) as caught:
        images.look_up(name, platform)
    return str(caught.value)


# Images


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_an_image_is_read_in_two_requests(registry, images, media_type):
    digest = put_image(registry, "team/worker", "1", config_for("amd64", a="b"), media_type)
    found = images.look_up(f"{registry.host}/team/worker:1", AMD64)
    assert found.config["config"]["Labels"] == {"a": "b"}
    assert found.digests == {digest} and found.reference.tag == "1"
    assert len(registry.requests) == 2


def test_an_image_by_its_digest(registry, images, one):
    found = images.look_up(f"{registry.host}/team/worker@{one}", AMD64)
    assert found.digests == {one} and found.config["architecture"] == "amd64"


def test_of_an_index_the_image_for_the_platform_is_read_and_no_sibling(registry, images, multi_platform):
    for platform, name in ((AMD64, "amd64"), (ARM64, "arm64")):
        registry.requests.clear()
        found = images.look_up(f"{registry.host}/team/worker:2", platform)
        assert found.config == config_for(name)
        assert found.digests == {multi_platform["index"], multi_platform[name]}
        assert len(registry.requests) == 3


def test_without_a_platform_the_usual_one_is_read_else_any(registry, images, multi_platform):
    assert images.look_up(f"{registry.host}/team/worker:2", None).config["architecture"] == "amd64"
    put_index(registry, "team/worker", "arm", [entry(multi_platform["arm64"], "linux/arm64")])
    assert images.look_up(f"{registry.host}/team/worker:arm", None).config["architecture"] == "arm64"


def test_an_index_of_docker_s_own_type(registry, images):
    digest = put_image(registry, "team/worker", "", config_for("amd64"), DOCKER_MANIFEST)
    put_index(registry, "team/worker", "d", [entry(digest, "linux/amd64", DOCKER_MANIFEST)], DOCKER_INDEX)
    assert images.look_up(f"{registry.host}/team/worker:d", AMD64).config["architecture"] == "amd64"


def test_an_image_for_other_platforms_alone(registry, images, multi_platform):
    put_index(registry, "team/worker", "arm", [entry(multi_platform["arm64"], "linux/arm64")])
    with pytest.raises(NoSuchPlatformError) as caught:
        images.look_up(f"{registry.host}/team/worker:arm", AMD64)
    assert caught.value.platforms == ("linux/arm64",)


# Logins


def test_a_token_for_everybody_takes_two_requests_more(registry, images, multi_platform):
    registry.login = "anonymous"
    images.look_up(f"{registry.host}/team/worker:2", ARM64)
    assert registry.requests[:3] == ["manifests/2", "token", "manifests/2"] and len(registry.requests) == 5


@pytest.mark.parametrize("login", ["bearer", "basic"])
def test_private_images_are_read_with_the_stored_login(registry, images, multi_platform, login):
    registry.login = login
    images.credentials = Credentials(*registry.user)
    assert images.look_up(f"{registry.host}/team/worker:2", AMD64).config["architecture"] == "amd64"
    assert len(registry.requests) <= 5


def test_an_identity_token_is_exchanged(registry, images, one):
    registry.login = "anonymous"
    images.credentials = Credentials(identity_token="identity")
    images.look_up(f"{registry.host}/team/worker:1", AMD64)
    assert "token" in registry.requests


@pytest.mark.parametrize("login", ["bearer", "basic"])
@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        (None, "does not exist or is private: `docker login 127.0.0.1"),
        (Credentials("airflow", "wrong"), "the user that is logged in here may not read"),
    ],
)
def test_without_the_right_login_the_message_says_what_to_do(registry, images, one, login, credentials, words):
    registry.login = login
    images.credentials = credentials
    text = refusal(images, f"{registry.host}/team/worker:1")
    assert words in text and "wrong" not in text


def test_a_login_that_has_expired_is_told_apart():
    """As Amazon ECR Public answers, half a day after a login, although the image is for everybody."""

    class Expired:
        def request(self, *_, **__):
            return Answer(
                403, {}, b'{"errors": [{"code": "DENIED", "message": "Your authorization token has expired."}]}'
            )

    registry = Registry(Expired(), parse("public.ecr.aws/org/airflow:1"), lambda host: Credentials("AWS", "old"))
    with pytest.raises(RegistryError, match=r"has expired: `docker login public\.ecr\.aws` again, .* `docker logout"):
        registry.manifest("1")


def test_without_a_way_to_log_in_a_private_image_is_not_known(registry, one):
    registry.login = "bearer"
    with pytest.raises(RegistryError, match=r"the executor logs in to Amazon ECR only: .*`python build\.py check`"):
        Images(lambda region: None).look_up(f"{registry.host}/team/worker:1", AMD64)


def test_a_login_is_not_carried_to_another_host(registry, images, one):
    with FakeRegistry() as storage:
        storage.blobs.update(registry.blobs)
        registry.login, registry.blobs_at = "bearer", storage.url.replace("127.0.0.1", "localhost")
        images.credentials = Credentials(*registry.user)
        assert images.look_up(f"{registry.host}/team/worker:1", AMD64).digests == {one}
        assert storage.authorizations == [""]


def test_a_login_is_sent_to_safe_places_only(registry, images, one, monkeypatch):
    registry.login = "bearer"
    images.credentials = Credentials(*registry.user)
    monkeypatch.setattr(registry, "url", "http://elsewhere.example")
    assert "does not use HTTPS" in refusal(images, f"{registry.host}/team/worker:1")
    assert registry.requests == ["manifests/1"]


def test_what_netrc_says_of_the_host_is_not_sent(registry, images, one, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    images.look_up(f"{registry.host}/team/worker:1", AMD64)
    assert set(registry.authorizations) == {""}


# Proxies


@pytest.fixture
def proxy(monkeypatch):
    """A proxy that the environment names for everything; it refuses all, and keeps what it was asked for."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeRegistry() as fake:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, fake.url)
        yield fake


def test_no_proxy_leads_to_this_machine(registry, images, one, proxy):
    registry.login = "anonymous"
    assert images.look_up(f"{registry.host}/team/worker:1", AMD64).digests == {one}
    assert proxy.requests == []


def test_a_redirection_to_elsewhere_goes_through_the_proxy(registry, images, one, proxy):
    registry.blobs_at = "http://storage.invalid"
    refusal(images, f"{registry.host}/team/worker:1")
    assert [name.partition(":")[0] for name in proxy.requests] == ["blobs/sha256"]


# Faults


def test_an_image_that_is_not_there(registry, images, one):
    assert "has no image team/worker:3" in refusal(images, f"{registry.host}/team/worker:3")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (429, "too many requests"),
        (503, "has a server error (HTTP status 503"),
        (408, "has a server error (HTTP status 408"),
        (418, "does not answer like a registry"),
    ],
)
def test_a_registry_that_refuses(registry, images, one, fault, words):
    registry.faults["manifests"] = fault
    assert words in refusal(images, f"{registry.host}/team/worker:1")


def test_a_registry_that_is_not_there(images):
    text = refusal(images, "127.0.0.1:9/team/worker:1")
    assert "127.0.0.1:9 does not answer" in text and "refused" in text and "HTTPConnection" not in text


def test_a_name_that_nobody_knows(images):
    assert "registry.invalid does not answer" in refusal(images, "registry.invalid/team/worker:1")


@pytest.mark.parametrize("fault", ["hang", "slow"])
def test_a_registry_that_does_not_come_to_an_end_is_left_in_time(registry, one, fault):
    registry.faults["manifests"] = fault
    text = refusal(LookUps(registry, timeout=0.5), f"{registry.host}/team/worker:1")
    assert registry.host in text and ("does not answer" in text or "did not answer" in text)


def test_the_resolution_of_a_name_is_waited_for_no_longer(registry, one, monkeypatch):
    from airflow_ecs_executor.image_check.registry import Registry

    monkeypatch.setattr(Registry, "manifest", lambda *_: registry.closing.wait())
    text = refusal(LookUps(registry, timeout=0.2), f"{registry.host}/team/worker:1")
    assert "did not answer within 0.2 s" in text


def test_an_answer_without_end_is_cut(registry, images, one, monkeypatch):
    monkeypatch.setattr(http_module, "_MAX_BYTES", 10)
    assert "larger than 10 bytes" in refusal(images, f"{registry.host}/team/worker:1")


def test_content_is_held_to_its_digest(registry, images, one):
    name = next(iter(registry.blobs))
    registry.blobs[name] = json.dumps(config_for("arm64")).encode()
    assert "does not have its digest" in refusal(images, f"{registry.host}/team/worker:1")


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"\xff"])
def test_what_is_no_registry_is_told(registry, images, content):
    registry.store_manifest("team/worker", "1", "text/html", content)
    assert "is it a registry?" in refusal(images, f"{registry.host}/team/worker:1")


def test_what_is_no_image_is_told(registry, images):
    registry.store_manifest("team/worker", "chart", OCI_MANIFEST, b'{"schemaVersion": 2}')
    assert "is not an image that can be read" in refusal(images, f"{registry.host}/team/worker:chart")
    registry.store_manifest("team/worker", "old", "application/json", b'{"schemaVersion": 1}')
    assert "old schema 1" in refusal(images, f"{registry.host}/team/worker:old")


# What a name stands for


@pytest.mark.parametrize("host", [None, ACCOUNT_HOST])
def test_an_image_is_identified_by_its_manifest_alone(registry, images, one, host):
    found = images.identify(f"{host or registry.host}/team/worker:1")
    (config,) = registry.blobs
    assert (found.digest, found.contents, found.platforms) == (one, {one, config}, ())
    assert len(registry.requests) == 1


def test_an_index_is_known_by_its_own_digest_and_lists_its_platforms(registry, images, multi_platform):
    found = images.identify(f"{registry.host}/team/worker:2")
    assert found.digest == multi_platform["index"] and found.contents == {multi_platform["index"]}
    assert found.platforms == ("linux/amd64", "linux/arm64")
    assert len(registry.requests) == 1


@pytest.mark.parametrize("host", [None, ACCOUNT_HOST])
def test_a_name_that_stands_for_nothing_is_told_from_a_registry_in_trouble(registry, images, one, host):
    name = f"{host or registry.host}/team/worker:other"
    with pytest.raises(NoSuchImageError):
        images.identify(name)
    registry.faults.update(manifests=503, BatchGetImage="ServerException")
    with pytest.raises(RegistryError) as caught:
        images.identify(name)
    assert not isinstance(caught.value, NoSuchImageError)
