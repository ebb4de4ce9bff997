from __future__ import annotations

import base64
import json
import os

import pytest
from airflow_ecs_executor.image_check.credentials import stored_credentials
from airflow_ecs_executor.image_check.reference import DOCKER_HUB


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Writes docker's config.json, and makes credential helpers; then asks."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    environ = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{bin_folder}:/usr/bin:/bin"}
    monkeypatch.setenv("PATH", environ["PATH"])

    class Docker:
        def config(self, document):
            text = document if isinstance(document, str) else json.dumps(document)
            (tmp_path / "config.json").write_text(text, encoding="utf-8")

        def helper(self, name, script):
            path = bin_folder / f"docker-credential-{name}"
            path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            path.chmod(0o755)

        def ask(self, registry="ghcr.io"):
            return stored_credentials(registry, environ)

    return Docker()


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def test_nobody_is_logged_in_where_there_is_no_file(docker):
    assert not docker.ask() and not docker.ask().trouble


@pytest.mark.parametrize("key", ["ghcr.io", "https://ghcr.io", "https://ghcr.io/v2/"])
def test_a_login_is_found_by_its_host_however_it_is_written(docker, key):
    docker.config({"auths": {"other.io": {"auth": encoded("x:y")}, key: {"auth": encoded("me:pass:word")}}})
    found = docker.ask()
    assert (found.user, found.password) == ("me", "pass:word")
    assert not docker.ask("gcr.io")


def test_docker_hub_has_a_key_of_its_own(docker):
    docker.config({"auths": {"https://index.docker.io/v1/": {"auth": encoded("me:secret")}}})
    assert docker.ask(DOCKER_HUB).user == "me"


def test_user_and_password_may_stand_there_in_clear(docker):
    docker.config({"auths": {"ghcr.io": {"username": "me", "password": "secret"}}})
    assert docker.ask().password == "secret"


def test_an_identity_token(docker):
    docker.config({"auths": {"ghcr.io": {"auth": encoded("00000000-0000:"), "identitytoken": "token"}}})
    assert docker.ask().identity_token == "token"


def test_a_helper_is_asked_for_the_host(docker):
    docker.config({"credHelpers": {"ghcr.io": "mine"}, "credsStore": "other"})
    docker.helper("mine", 'read host; echo "{\\"Username\\": \\"$host\\", \\"Secret\\": \\"$1\\"}"')
    found = docker.ask()
    assert (found.user, found.password) == ("ghcr.io", "get")


def test_a_store_is_asked_for_every_host(docker):
    docker.config({"credsStore": "all", "auths": {"ghcr.io": {}}})
    docker.helper("all", 'echo \'{"Username": "<token>", "Secret": "identity"}\'')
    assert docker.ask().identity_token == "identity"


def test_a_helper_that_has_none_leaves_it_to_the_file(docker):
    docker.config({"credsStore": "all", "auths": {"ghcr.io": {"auth": encoded("me:secret")}}})
    docker.helper("all", 'echo "credentials not found in native keychain"; exit 1')
    assert docker.ask().user == "me"


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        ("exit 3", "docker-credential-mine failed"),
        ("echo nonsense", "cannot be read"),
        ("exec sleep 30", "TimeoutExpired"),
    ],
)
def test_a_helper_that_fails_is_told(docker, monkeypatch, script, trouble):
    monkeypatch.setattr("airflow_ecs_executor.image_check.credentials._HELPER_TIMEOUT", 0.3)
    docker.config({"credHelpers": {"ghcr.io": "mine"}})
    docker.helper("mine", script)
    found = docker.ask()
    assert not found and trouble in found.trouble


def test_a_helper_that_is_not_there_is_told(docker):
    docker.config({"credHelpers": {"ghcr.io": "missing"}})
    assert "docker-credential-missing cannot be run" in docker.ask().trouble


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"auths": {"ghcr.io": {"auth": "%"}}}', '{"auths": {"ghcr.io": {"auth": "/w=="}}}']
)
def test_a_file_that_cannot_be_read_is_told(docker, text):
    docker.config(text)
    assert not docker.ask() and "config.json" in docker.ask().trouble


@pytest.mark.parametrize("text", ["{}", '{"auths": []}', '{"auths": {"ghcr.io": "x"}}', '{"credHelpers": []}'])
def test_a_file_without_a_login_is_no_trouble(docker, text):
    docker.config(text)
    assert not docker.ask() and not docker.ask().trouble


def test_a_file_that_may_not_be_read_is_told(docker, tmp_path):
    (tmp_path / "config.json").mkdir()
    assert "config.json cannot be read" in docker.ask().trouble


def test_without_a_home_there_is_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not stored_credentials("ghcr.io", {key: os.environ[key] for key in ("PATH",)})


def test_secrets_are_not_shown(docker):
    docker.config({"auths": {"ghcr.io": {"auth": encoded("me:secret"), "identitytoken": "token"}}})
    assert "secret" not in repr(docker.ask()) and "token'" not in repr(docker.ask())
