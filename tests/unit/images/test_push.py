"""`build.py push`, as far as no engine is needed: where an image goes, who pushes it, what a refusal means."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest
from airflow_ecs_executor.image_check.reference import DOCKER_HUB, parse
from airflow_ecs_executor.image_check.registry import Credentials
from botocore.exceptions import ClientError, NoCredentialsError, SSLError

from images import aws
from images.diagnose import diagnose_push
from images.errors import AwsError, RequestError
from images.registry import ecr
from images.registry.docker_config import with_logins
from images.registry.logins import RegistryAuth, stored_credentials
from images.registry.push import auths_for, target_of
from local.fakes.registry import FakeRegistry
from tests.unit.images.conftest import Run

pytestmark = pytest.mark.usefixtures("nobody")

CONTENT = "sha256:0123456789abcdef" + "0" * 48
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
LOCAL, IN_ECR = "airflow-ecs-worker:2.10.5-python3.8-s3", f"{ECR}/team/worker:1"


class TestTarget:
    def test_an_image_with_a_registry_in_its_name_goes_there(self) -> None:
        assert target_of(IN_ECR, (LOCAL, IN_ECR), CONTENT) == IN_ECR

    def test_a_repository_takes_the_image_under_its_own_tag(self) -> None:
        assert target_of(LOCAL, (LOCAL,), CONTENT, to="r.example/w") == "r.example/w:2.10.5-python3.8-s3"
        assert target_of("worker", ("worker:latest",), CONTENT, to="r.example/w") == "r.example/w:latest"

    def test_a_tag_of_its_content(self) -> None:
        def tagged(tag: str) -> str:
            return target_of(LOCAL, (LOCAL,), CONTENT, to="r.example/w", tag=tag, content_tag=True).rpartition(":")[2]

        assert tagged("") == "2.10.5-python3.8-s3-0123456789ab"
        assert tagged("1.0") == "1.0-0123456789ab"
        assert tagged("a" * 128) == "a" * 115 + "-0123456789ab", "a tag has 128 characters at most"

    def test_a_local_name_alone_says_not_where_to(self) -> None:
        for image, names in ((LOCAL, (LOCAL,)), ("worker", ("worker:latest",)), ("0123456789ab", (LOCAL, IN_ECR))):
            with pytest.raises(RequestError, match="Give --to REPOSITORY"):
                target_of(image, names, CONTENT)

    def test_an_id_has_no_tag(self) -> None:
        with pytest.raises(RequestError, match="Give --tag TAG"):
            target_of("0123456789ab", (LOCAL,), CONTENT, to="r.example/w")
        assert target_of("0123456789ab", (), CONTENT, to="r.example/w", tag="1") == "r.example/w:1"


class TestFlags:
    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            ("x --to a:1", "--to 'a:1' is not a valid repository name"),
            ("x --to r.example/w --stack airflow-ecs", "both say where to push to"),
            ("x --tag a/b:1", "--tag 'a/b:1' is not a valid tag"),
            ("x --region Frankfurt", "is not a valid AWS region"),
            ("x --to ", "--to is empty"),
            ("", "IMAGE is empty"),
        ],
    )
    def test_flags_that_mean_nothing(self, run: Run, flags: str, words: str) -> None:
        answer = run("push", *flags.split(" "))
        assert (answer.code, words in answer.errors, answer.output) == (2, True, "")


class TestLogins:
    def test_amazon_ecr_s_comes_from_aws_whatever_docker_has(
        self, monkeypatch: pytest.MonkeyPatch, nobody: Path
    ) -> None:
        stored = {"auth": "YTpi"}
        (nobody / "config.json").write_text(json.dumps({"auths": {"r.example": stored, ECR: stored}}))
        with FakeRegistry(login="ecr") as fake:
            monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", fake.url)
            found = auths_for([IN_ECR, f"{ECR}/other:1", "r.example/w:1", "127.0.0.1:9/w:1"])
            assert fake.requests == ["GetAuthorizationToken"], "one for a registry"
        assert found.keys() == {ECR}, "the docker client has the others"
        assert found[ECR].credentials.user == "AWS" and found[ECR].credentials.password not in repr(found)

    def test_amazon_ecr_s_is_docker_s_where_aws_gives_none(self, monkeypatch: pytest.MonkeyPatch, nobody: Path) -> None:
        with pytest.raises(AwsError):
            auths_for([IN_ECR])
        (nobody / "config.json").write_text(json.dumps({"auths": {ECR: {"auth": "YTpi"}}}))
        assert auths_for([IN_ECR]) == {}

    @pytest.mark.parametrize(
        ("config", "registry", "expected"),
        [
            ({"auths": {"r.example": {"auth": "YTpi"}}}, "r.example", Credentials("a", "b")),
            ({"auths": {"https://r.example/v2/": {"auth": "YTpi"}}}, "r.example", Credentials("a", "b")),
            ({"auths": {"https://index.docker.io/v1/": {"auth": "YTpi"}}}, DOCKER_HUB, Credentials("a", "b")),
            ({"auths": {"r.example": {"identitytoken": "t"}}}, "r.example", Credentials(identity_token="t")),
            ({"credHelpers": {"r.example": "ours"}}, "r.example", Credentials("u", "p")),
            ({"credsStore": "ours", "auths": {"r.example": {}}}, "r.example", Credentials("u", "p")),
            ({"credsStore": "none-such"}, "r.example", None),
            ({"auths": {"r.example": {"auth": "%"}}}, "r.example", None),
            ({"auths": {"other.example": {"auth": "YTpi"}}}, "r.example", None),
            ({"auths": {"r.example": {"auth": "YTpi"}, "other.example": "x"}}, "r.example", Credentials("a", "b")),
            ({"auths": ["r.example"]}, "r.example", None),
            ([], "r.example", None),
        ],
    )
    def test_what_docker_login_has_stored(
        self,
        monkeypatch: pytest.MonkeyPatch,
        nobody: Path,
        tmp_path: Path,
        config: object,
        registry: str,
        expected: Credentials | None,
    ) -> None:
        helper = tmp_path / "docker-credential-ours"
        helper.write_text("""#!/bin/sh\nprintf '{"Username": "u", "Secret": "p"}'\n""")
        helper.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        (nobody / "config.json").write_text(json.dumps(config))
        assert stored_credentials(registry) == expected

    def test_the_registry_is_the_image_s_own_or_that_of_a_stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """AWS names the registry of the caller's account, by its plain name, whatever is to be pushed."""
        fips = "999999999999.dkr.ecr-fips.us-gov-west-1.amazonaws.com"
        assert ecr.registry_at(parse(f"{fips}/w:1"), f"https://{ECR}") == fips
        assert ecr.registry_at(parse(IN_ECR), "http://127.0.0.1:5001") == "127.0.0.1:5001"
        assert ecr.registry_at(parse(IN_ECR), "") == ECR

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            (IN_ECR, True),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/w:1", True),
            ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com/w:1", True),
            ("123456789012.dkr-ecr.eu-west-1.on.aws/w:1", True),
            ("public.ecr.aws/alias/w:1", True),
            ("ghcr.io/team/w:1", False),
            ("dkr.ecr.eu-west-1.amazonaws.com/w:1", False),
        ],
    )
    def test_what_is_amazon_ecr(self, name: str, expected: bool) -> None:
        assert ecr.is_ecr(parse(name)) is expected


class TestDockerConfig:
    def test_the_user_s_configuration_stays_in_effect(self, nobody: Path) -> None:
        (nobody / "contexts").mkdir()
        (nobody / "cli-plugins").mkdir()
        (nobody / "config.json").write_text('{"currentContext": "x", "credHelpers": {"a": "b", "r.example": "x"}}')
        login = RegistryAuth("r.example", Credentials("AWS", 'pass"$word'))
        environ = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(nobody)}
        with with_logins([login], environ) as found:
            folder = Path(found["DOCKER_CONFIG"])
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert json.loads((folder / "config.json").read_text()) == {
                "currentContext": "x",
                "auths": {"r.example": {"auth": base64.b64encode(b'AWS:pass"$word').decode()}},
                "credHelpers": {"a": "b", "r.example": ""},
            }
            assert stat.S_IMODE((folder / "config.json").stat().st_mode) == 0o600
            assert (folder / "contexts").resolve() == nobody / "contexts" and (folder / "cli-plugins").is_dir()
            assert found["BUILDX_CONFIG"] == str(nobody / "buildx")
        assert not folder.exists()

    def test_without_a_login_of_ours_nothing_changes(self) -> None:
        with with_logins([]) as found:
            assert found == {}

    def test_a_configuration_that_docker_cannot_read_is_none(self, nobody: Path) -> None:
        for text in ("{", "[]"):
            (nobody / "config.json").write_text(text)
            with with_logins([RegistryAuth("r.example", Credentials("u", "p"))]) as found:
                config = json.loads((Path(found["DOCKER_CONFIG"]) / "config.json").read_text())
            assert config == {"auths": {"r.example": {"auth": "dTpw"}}, "credHelpers": {"r.example": ""}}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("tag invalid: The image tag '1' already exists and cannot be overwritten because ...", "--content-tag"),
        (
            "denied: User: arn:aws:iam::1:user/a is not authorized to perform: ecr:PutImage on resource: arn:x",
            "Allow ecr:PutImage. A push needs ecr:GetAuthorizationToken",
        ),
        (
            "WARNING: x\nError response from daemon: no basic auth credentials\n",
            ": no basic auth credentials\n  Log in",
        ),
        ("unauthorized: authentication required", "`docker login r.example:5000`"),
        ("dial tcp: lookup r.example: no such host", "the registry's name"),
        ("x509: certificate signed by unknown authority", "certs.d/r.example:5000/ca.crt"),
    ],
)
def test_what_a_registry_said_becomes_what_to_do(said: str, words: str) -> None:
    error = diagnose_push(said, "r.example:5000/w:1")
    assert words in str(error) and "r.example:5000/w" in error.message and error.exit_code == 15


def answered(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "x")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NoCredentialsError(), "AWS credentials are missing"),
        (answered("AccessDeniedException", "no"), "Allow ecr:Y"),
        (answered("ThrottlingException", "Rate exceeded"), "try again in a minute"),
        (SSLError(endpoint_url="x", error="CERTIFICATE_VERIFY_FAILED"), "AWS_CA_BUNDLE"),
        (answered("LimitExceededException", "Too many"), "Service Quotas"),
        (answered("RequestTimeTooSkewed", "too large"), "Set the clock"),
        (answered("InvalidSignatureException", "Signature not yet current: A"), "Set the clock"),
        (
            answered(
                "AccessDeniedException",
                "not authorized to perform: ecr:Z on resource: R because no resource-based policy allows ecr:Z",
            ),
            "ecr:Z: allow it in the resource-based policy as well.",
        ),
    ],
)
def test_what_aws_said_becomes_what_to_do(error: Exception, words: str) -> None:
    failure = aws.failed("It cannot be done", error, "ecr:Y")
    assert isinstance(failure, AwsError) and failure.message.startswith("It cannot be done: ")
    assert words in failure.hint
