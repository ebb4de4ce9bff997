"""Secrets in an image's environment, history and layers; images as `docker save` writes them, built in memory."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping

import pytest

from images.scan import Finding, scan_environment, scan_file, scan_history, scan_layers

KEY_ID = "AKIA" + "Q3EGRWT7LMNB2XZY"
SECRET_KEY = "wJalr+" + "Xu7tnFEMI/K7MDENGbPxRfiCYzz0123456789"
PEM = b"-----BEGIN PRIVATE KEY-----\nMIIEowIBAAKCAQEAx4UbaDzY5xj\n-----END PRIVATE KEY-----\n"
CLEAN = {"etc/hostname": b"x", "opt/airflow/dags/a.py": b"from airflow import DAG\n"}


def tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def legacy(*layers: bytes) -> bytes:
    """As engines up to 24 save an image."""
    files = {"repositories": b'{"x": {}}', "config.json": b"{}", "manifest.json": b"[]"}
    for number, layer in enumerate(layers):
        files |= {f"{number}/VERSION": b"1.0", f"{number}/json": b"{}", f"{number}/layer.tar": layer}
    return tar(files)


def oci(*layers: bytes) -> bytes:
    """As engines from 25 on save an image."""
    files = {"oci-layout": b"{}", "index.json": b"{}", "manifest.json": b"[]", "blobs/sha256/c0": b'{"config": 1}'}
    return tar(files | {f"blobs/sha256/{number:064x}": layer for number, layer in enumerate(layers)})


def scan(saved: bytes) -> list[Finding]:
    with tarfile.open(fileobj=io.BytesIO(saved), mode="r|*") as archive:
        return scan_layers(archive)


@pytest.fixture(params=[legacy, oci])
def save(request: pytest.FixtureRequest) -> Callable[..., bytes]:
    layout: Callable[..., bytes] = request.param
    return layout


class TestLayers:
    def test_a_clean_image_has_no_findings(self, save: Callable[..., bytes]) -> None:
        assert scan(save(tar(CLEAN), tar({}), gzip.compress(tar(CLEAN)))) == []

    @pytest.mark.parametrize("compress", [bytes, gzip.compress])
    def test_a_file_that_a_later_layer_deletes_is_found(
        self, save: Callable[..., bytes], compress: Callable[[bytes], bytes]
    ) -> None:
        first = compress(tar({"root/setup.sh": f"export AWS_ACCESS_KEY_ID={KEY_ID}\n".encode()}))
        then = compress(tar({"root/.wh.setup.sh": b""}))
        assert scan(save(tar(CLEAN), first, then)) == [Finding("/root/setup.sh", "AWS access key id")]

    def test_the_same_file_in_several_layers_is_one_finding(self, save: Callable[..., bytes]) -> None:
        layer = tar({"./srv/key.pem": PEM})
        assert scan(save(layer, layer)) == [Finding("/srv/key.pem", "private key")]

    def test_a_layer_that_cannot_be_read_does_not_pass_for_clean(self, save: Callable[..., bytes]) -> None:
        zstandard = b"\x28\xb5\x2f\xfd" + b"\0" * 100
        broken = gzip.compress(tar({"a": b"x" * 100_000}), compresslevel=0)[:50_000]
        for layer in (zstandard, broken):
            (finding,) = scan(save(tar(CLEAN), layer))
            assert finding.what == "could not be read, so not searched"

    def test_files_beside_the_root_keep_their_names(self, save: Callable[..., bytes]) -> None:
        assert scan(save(tar({"./.netrc": b"machine x password y"}), tar({".aws/credentials": b"[x]\ny = z"}))) == [
            Finding("/.aws/credentials", "a file that holds credentials"),
            Finding("/.netrc", "a file that holds credentials"),
        ]


@pytest.mark.parametrize(
    "path, content, kinds",
    [
        ("/etc/profile", f"aws_secret_access_key = {SECRET_KEY}", ["AWS secret access key or session token"]),
        ("/a.json", json.dumps({"aws_session_token": SECRET_KEY * 3}), ["AWS secret access key or session token"]),
        ("/root/.aws/credentials", f"aws_access_key_id={KEY_ID}", ["AWS access key id"]),
        ("/root/.pypirc", "[pypi]\nusername = a", ["a file that holds credentials"]),
        ("/root/.docker/config.json", '{"auths": {"x": {}}}', ["a file that holds credentials"]),
        (
            "/opt/airflow/airflow.cfg",
            "[core]\nfernet_key = abc\n[api_auth]\njwt_secret = d\n[webserver]\nsecret_key = e",
            [
                f"{option} (generated, the same for every user)"
                for option in ("core.fernet_key", "api_auth.jwt_secret", "webserver.secret_key")
            ],
        ),
        ("/opt/airflow/airflow.cfg", "[smtp]\nsmtp_password = x", ["smtp.smtp_password (secret)"]),
        ("/opt/airflow/simple_auth_manager_passwords.json.generated", '{"a": "b"}', ["a file that holds credentials"]),
        ("/home/airflow/id_rsa", PEM.decode(), ["private key"]),
    ],
)
def test_secrets_in_files_are_found_and_not_shown(path: str, content: str, kinds: list[str]) -> None:
    found = scan_file(path, content.encode())
    assert [finding.what for finding in found] == kinds
    assert all(finding.where == path for finding in found)
    assert KEY_ID not in str(found) and SECRET_KEY not in str(found)


@pytest.mark.parametrize(
    "path, content",
    [
        ("/opt/airflow/airflow.cfg", b"[core]\nfernet_key =\nparallelism = 8\n[secrets]\nuse_cache = False"),
        ("/opt/airflow/airflow.cfg", b"not a configuration"),
        ("/x/default_airflow.cfg", b"[core]\nfernet_key = {FERNET_KEY}"),
        ("/home/airflow/.local/lib/python3.12/site-packages/x/tests/key.pem", PEM),
        ("/usr/share/doc/x/README", b"aws_access_key_id = AKIAIOSFODNN7EXAMPLE"),
        ("/bin/x", b"\x7fELF\0\0" + KEY_ID.encode()),
        ("/root/.docker/config.json", b"{}"),
        ("/root/.netrc", b"\n"),
        ("/etc/ssl/certs/ca.pem", b"-----BEGIN CERTIFICATE-----\nMIIEowIBAAKCAQEAx4UbaDzY5xj\n"),
    ],
)
def test_what_only_looks_like_it_is_not_found(path: str, content: bytes) -> None:
    assert scan_file(path, content) == []


class TestEnvironment:
    def test_what_official_images_set_is_no_secret(self) -> None:
        variables = [
            *("PATH=/usr/bin", "GPG_KEY=7169605F62C751356D054A26A821E680E5FA6305", "PYTHON_SHA256=" + "0" * 64),
            *("AIRFLOW_UID=50000", "AIRFLOW__CORE__LOAD_EXAMPLES=false", "GUNICORN_CMD_ARGS=--worker-tmp-dir /dev/shm"),
            *("S3_URI=s3://bucket/dags", "AWS_DEFAULT_REGION=eu-west-1", "DB_PASSWORD=", "BUILD_ID"),
        ]
        assert scan_environment(variables, insecure=False) == []

    def test_secrets_are_named_and_not_shown(self) -> None:
        variables = [f"AWS_ACCESS_KEY_ID={KEY_ID}", "AIRFLOW__CORE__FERNET_KEY=hunter2", "URL=redis://:hunter2@host"]
        found = scan_environment(variables, insecure=False)
        assert [finding.where for finding in found] == [
            *("ENV AWS_ACCESS_KEY_ID", "ENV AIRFLOW__CORE__FERNET_KEY", "ENV URL")
        ]
        assert "hunter2" not in str(found) and KEY_ID not in str(found)

    def test_credentials_on_request_are_excused_and_others_not(self) -> None:
        variables = [f"AWS_ACCESS_KEY_ID={KEY_ID}", f"AWS_SECRET_ACCESS_KEY={SECRET_KEY}", "DB_PASSWORD=hunter2"]
        assert [finding.where for finding in scan_environment(variables, insecure=True)] == ["ENV DB_PASSWORD"]


class TestHistory:
    COMMANDS = ("CMD []", f"ENV AWS_ACCESS_KEY_ID={KEY_ID}", "RUN curl https://me:hunter2@host/x", "FROM debian")

    def test_steps_count_from_the_first(self) -> None:
        found = scan_history(self.COMMANDS, insecure=False)
        assert found == [
            Finding("history, step 2", "password in an address"),
            Finding("history, step 3", "AWS access key id"),
        ]

    def test_credentials_on_request_are_excused_and_others_not(self) -> None:
        assert [finding.where for finding in scan_history(self.COMMANDS, insecure=True)] == ["history, step 2"]
